"""Web sessions: sign in, refresh, step up, list, end."""

from __future__ import annotations

import datetime as dt
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from api.access_tokens import AccessToken
from api.auth import Caller
from api.edge import CallerDep, EdgeRoute, ServicesDep, access, host_of
from api.errors import Problem
from api.schemas.common import microseconds
from api.schemas.sessions import (
    CodeIn,
    EndedSession,
    LinkIn,
    ListedSessionOut,
    SessionList,
    SessionOut,
    SignInIn,
)
from api.services import Services
from domain.customer import Scope
from domain.web_login import Where
from domain.web_session import ACCESS_SPAN, LONGEST_AGENT, STEP_UP_SPAN, OpenedSession, token_hash

router = APIRouter(prefix="/v1", tags=["sessions"], route_class=EdgeRoute)

COOKIE = "rialto_session"
_PATH = "/v1/sessions"
_MILLISECOND = dt.timedelta(milliseconds=1)


@router.post("/sessions", status_code=201, response_model=SessionOut)
@access(None, weight=50)
async def sign_in(
    login: SignInIn, services: ServicesDep, request: Request, response: Response
) -> SessionOut:
    """Sign in with password and second factor; for web pages.

    The answer's access token is shown with each request; a cookie that scripts cannot read is what
    refreshes it. A wrong name, password or code are one refusal (401). Ten tries in five minutes
    and forty a day for a name, thirty in five minutes for an address.
    """
    refuse_foreign_pages(request, services)
    await services.limiter.attempt(login.name, host_of(request))
    opened = await services.web.logins.sign_in(
        login.name, login.password, login.code, _where(request)
    )
    if opened is None:
        raise Problem("bad_login")
    return _told(opened, services, response)


@router.post("/sessions/link", status_code=201, response_model=SessionOut)
@access(None, weight=50)
async def sign_in_by_link(
    shown: LinkIn, services: ServicesDep, request: Request, response: Response
) -> SessionOut:
    """Sign in with the link that a demo market has printed: once, within 15 minutes.

    Where no demo runs no link signs in. Thirty tries in five minutes for an address.
    """
    refuse_foreign_pages(request, services)
    await services.limiter.attempt(f"#link {token_hash(shown.link)}", host_of(request))
    links = services.web.links
    opened = None if links is None else await links.sign_in(shown.link, _where(request))
    if opened is None:
        raise Problem("bad_login", "The link was used before, is too old, or is not of this demo.")
    return _told(opened, services, response)


@router.post("/sessions/refresh", response_model=SessionOut)
@access(None, weight=5)
async def refresh(services: ServicesDep, request: Request, response: Response) -> SessionOut:
    """Exchange the cookie for a new one and a new access token.

    Each cookie counts once. One that comes again, ten seconds after its successor was given out or
    later, shows that it was stolen: its session ends.
    """
    refuse_foreign_pages(request, services)
    token = request.cookies.get(COOKIE, "")
    opened = await services.web.sessions.refresh(token) if token else None
    if opened is None:
        raise Problem("session_ended", headers={"Set-Cookie": _gone(services)} if token else None)
    return _told(opened, services, response)


@router.post("/sessions/step-up", response_model=SessionOut)
@access(Scope.READ, weight=20, session=True)
async def step_up(
    factor: CodeIn, caller: CallerDep, services: ServicesDep, request: Request, response: Response
) -> SessionOut:
    """Show a fresh second factor: for five minutes the session may do what needs one."""
    await services.limiter.attempt(f"#{caller.customer_id}", host_of(request))
    at = await services.web.logins.step_up(caller.customer_id, caller.key_id, factor.code)
    if at is None:
        raise Problem("bad_login", "The code is not right, or was used before.")
    key = await services.keys.find(caller.key_id)
    if key is None or key.expires_at is None:
        raise Problem("session_ended")
    opened = OpenedSession(caller.key_id, caller.customer_id, "", key.expires_at, at)
    return _told(opened, services, response)


@router.get("/sessions", response_model=SessionList)
@access(Scope.READ, weight=2, session=True)
async def list_sessions(caller: CallerDep, services: ServicesDep) -> SessionList:
    """List your sessions that go on, newest first."""
    found = await services.web.sessions.listed(caller.customer_id)
    return SessionList(
        sessions=[
            ListedSessionOut(
                session_id=one.session_id,
                address=one.address,
                agent=one.agent,
                created_us=microseconds(one.created_at),
                used_us=microseconds(one.used_at),
                expires_us=microseconds(one.expires_at),
                is_this=one.session_id == caller.key_id,
            )
            for one in found
        ]
    )


@router.delete("/sessions/{session_id}", response_model=EndedSession)
@access(Scope.READ, weight=2, session=True)
async def end_session(
    session_id: str, caller: CallerDep, services: ServicesDep, response: Response
) -> EndedSession:
    """End one of your sessions, this one (signing out) or another; sockets close in seconds."""
    ended = await services.web.sessions.end(caller.customer_id, session_id, by=_name_of(caller))
    if not ended:
        raise Problem("not_found")
    await services.key_ended(session_id)
    if session_id == caller.key_id:
        response.headers["Set-Cookie"] = _gone(services)
    return EndedSession(session_id=session_id)


def refuse_foreign_pages(request: Request, services: Services) -> None:
    """Refuse what a page of another site has sent: the browser says whose page it was."""
    origin = request.headers.get("origin")
    own = {request.headers.get("host", ""), urlsplit(services.web.public_url).netloc} - {""}
    if origin is not None and urlsplit(origin).netloc not in own:
        raise Problem("wrong_origin")


def _where(request: Request) -> Where:
    agent = request.headers.get("user-agent", "")
    printable = "".join(one if " " <= one <= "~" else "?" for one in agent)
    return Where(host_of(request), printable[:LONGEST_AGENT])


def _name_of(caller: Caller) -> str:
    return f"customer:{caller.customer_id}"


def _told(opened: OpenedSession, services: Services, response: Response) -> SessionOut:
    """Return the answer with an access token; a refresh token that is new goes into the cookie."""
    now_ms = services.now_ms()
    expires_us = microseconds(opened.expires_at)
    access_ms = min(now_ms + ACCESS_SPAN // _MILLISECOND, expires_us // 1000)
    until_ms = microseconds(opened.stepped_up_at + STEP_UP_SPAN) // 1000
    token = AccessToken(opened.session_id, access_ms, until_ms)
    response.headers["Cache-Control"] = "no-store"
    if opened.refresh:
        left = max(0, expires_us // 1000 - now_ms) // 1000
        response.headers["Set-Cookie"] = _cookie(services, opened.refresh, left)
    return SessionOut(
        session_id=opened.session_id,
        access_token=services.web.tokens.sealed(token),
        access_expires_us=access_ms * 1000,
        stepped_up_until_us=until_ms * 1000,
        expires_us=expires_us,
    )


def _cookie(services: Services, value: str, seconds: int) -> str:
    """Return the header: no script reads it, no page of another site sends it."""
    secure = "; Secure" if services.web.is_https else ""
    return f"{COOKIE}={value}; Max-Age={seconds}; Path={_PATH}; HttpOnly; SameSite=Strict{secure}"


def _gone(services: Services) -> str:
    return _cookie(services, "", 0)
