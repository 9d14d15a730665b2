"""Signing in: what a page sends and what it is told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from api.schemas.common import Input, Output
from domain.web_login import LONGEST_NAME, LONGEST_PASSWORD

NameText = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=LONGEST_NAME, pattern=r"^[ -~]+$")
]
PasswordText = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=LONGEST_PASSWORD)
]
CodeText = Annotated[
    str, StringConstraints(strict=True, min_length=6, max_length=24, pattern=r"^[A-Za-z0-9 -]+$")
]
InvitationText = Annotated[
    str, StringConstraints(strict=True, min_length=32, max_length=64, pattern=r"^[A-Za-z0-9 -]+$")
]
LinkText = Annotated[
    str, StringConstraints(strict=True, min_length=43, max_length=43, pattern=r"^[A-Za-z0-9_-]+$")
]
CODE = "Six digits of your authenticator app, or one of your recovery codes; each counts once."


class SignInIn(Input):
    """Who signs in."""

    name: NameText = Field(examples=["alice"])
    password: PasswordText
    code: CodeText = Field(description=CODE, examples=["492039"])


class LinkIn(Input):
    """Who has a link of a demo."""

    link: LinkText = Field(description="What stands behind `#login=` in it.")


class CodeIn(Input):
    """A second factor."""

    code: CodeText = Field(description=CODE, examples=["492039"])


class PasswordIn(Input):
    """Another password."""

    password: PasswordText = Field(description="The present one.")
    new_password: PasswordText = Field(description="Of 12 characters at least, without your name.")


class EnrolmentIn(Input):
    """An invitation, and the password that is to be."""

    name: NameText = Field(examples=["alice"])
    invitation: InvitationText = Field(description="Both halves, as two officers gave them to you.")
    password: PasswordText = Field(description="Of 12 characters at least, without your name.")


class ActivationIn(Input):
    """An invitation, and a code of the app that was enrolled with it."""

    name: NameText = Field(examples=["alice"])
    invitation: InvitationText = Field(description="Both halves, as two officers gave them to you.")
    code: CodeText = Field(description="Six digits of the app.", examples=["492039"])


class SessionOut(Output):
    """A session, and what its next requests show."""

    session_id: str
    access_token: str = Field(
        description="For the header `Authorization: Bearer ...`, and a WebSocket's login."
    )
    access_expires_us: int = Field(description="Until then; refresh before.")
    stepped_up_until_us: int = Field(
        description="Until then it may do what needs a fresh second factor."
    )
    expires_us: int = Field(description="When the session ends unless it is refreshed.")


class ListedSessionOut(Output):
    """A session of yours that goes on."""

    session_id: str
    address: str = Field(description="Where it began.")
    agent: str = Field(description="What the browser called itself.")
    created_us: int
    used_us: int = Field(description="When it was refreshed last.")
    expires_us: int
    is_this: bool = Field(description="Whether this request is of it.")


class SessionList(Output):
    """Your sessions, newest first; at most 10."""

    sessions: list[ListedSessionOut]


class EndedSession(Output):
    """A session that has ended."""

    session_id: str


class EnrolmentOut(Output):
    """A second factor to be; it counts from its confirmation on. None of this is told again."""

    secret: str = Field(description="For an authenticator app, typed by hand.")
    uri: str = Field(description="The same for a program: `otpauth://...`.")
    picture: str = Field(description="The same as a QR code, a `data:` URI of an SVG picture.")


class RecoveryCodes(Output):
    """Codes that count once each in the place of the app's, should it be lost; told this once."""

    recovery_codes: list[str]


class PasswordChanged(Output):
    """The password is another one, and all other sessions have ended."""

    session_id: str
