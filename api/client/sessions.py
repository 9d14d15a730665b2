"""Calls for a login and its sessions: sign in, refresh, step up, list, end; the login itself.

Who signs in makes an `api.client.session.Session` of the answer, and has calls signed by that.
"""

from __future__ import annotations

from api.client.call import Call, delete, get, part, send
from api.schemas.sessions import (
    ActivationIn,
    CodeIn,
    EndedSession,
    EnrolmentIn,
    EnrolmentOut,
    LinkIn,
    PasswordChanged,
    PasswordIn,
    RecoveryCodes,
    SessionList,
    SessionOut,
    SignInIn,
)


def sign_in(login: SignInIn) -> Call[SessionOut]:
    """Sign in by password and second factor. A code counts once, so who hears no answer waits."""
    return send("POST", SessionOut, "/v1/sessions", login).openly()


def sign_in_by_link(link: str) -> Call[SessionOut]:
    """Sign in by the link of a demo, of which `link` is what stands behind `#login=`."""
    return send("POST", SessionOut, "/v1/sessions/link", LinkIn(link=link)).openly()


def refresh() -> Call[SessionOut]:
    """Exchange the cookie that the client keeps; a client does it by itself."""
    return Call("POST", "/v1/sessions/refresh", SessionOut, is_public=True)


def step_up(code: str) -> Call[SessionOut]:
    """Show a fresh second factor; the session `take`s the answer."""
    return send("POST", SessionOut, "/v1/sessions/step-up", CodeIn(code=code))


def listed() -> Call[SessionList]:
    """List the sessions that go on, newest first."""
    return get(SessionList, "/v1/sessions")


def end(session_id: str) -> Call[EndedSession]:
    """End one of the sessions, this one (signing out) or another."""
    return delete(EndedSession, f"/v1/sessions/{part(session_id)}")


def change_password(passwords: PasswordIn) -> Call[PasswordChanged]:
    """Change the password; all other sessions end."""
    return send("POST", PasswordChanged, "/v1/login/password", passwords)


def enrol() -> Call[EnrolmentOut]:
    """Get the secret of another second factor."""
    return Call("POST", "/v1/login/second-factor", EnrolmentOut)


def confirm(code: str) -> Call[RecoveryCodes]:
    """Show a code of the new second factor, which then takes the place of the old one."""
    path = "/v1/login/second-factor/confirmation"
    return send("POST", RecoveryCodes, path, CodeIn(code=code))


def enrol_invited(wanted: EnrolmentIn) -> Call[EnrolmentOut]:
    """Choose a password with an invitation, and get the secret of a second factor."""
    return send("POST", EnrolmentOut, "/v1/login/enrolment", wanted).openly()


def activate(shown: ActivationIn) -> Call[RecoveryCodes]:
    """Show the first code of what was enrolled: the login is made."""
    return send("POST", RecoveryCodes, "/v1/login/activation", shown).openly()
