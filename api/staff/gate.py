"""Who is at the door: the session's cookie, and where requests that change something come from."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from api.staff.ports import StaffServices
from domain.staff import StaffMember

COOKIE = "rialto_staff"
LOOKING = frozenset(("GET", "HEAD"))
LARGEST_BODY = 4 * 2**20  # a payload has at most 2 MB, in base64
# The pages' own files only: Temporal's UI sets its own policy.
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A member of staff who is signed in, and the token of the session."""

    member: StaffMember
    token: str


class TooLargeError(Exception):
    """The request's body is larger than any that is of use."""


def refusal(status: int, why: str) -> JSONResponse:
    """Return a refusal in words, never with anything of what was asked for."""
    return JSONResponse({"message": why}, status_code=status, headers={"Cache-Control": "no-store"})


def misplaced(request: Request, origin: str) -> Response | None:
    """Return the refusal of a request that our own pages would not send.

    Another `Host` is a name that was bound to our address; another `Origin` is another site, which
    the browser would send the cookie for.
    """
    if request.headers.get("host", "") != urlsplit(origin).netloc:
        return refusal(421, "this is another host's name")
    if request.method not in LOOKING and request.headers.get("origin") != origin:
        return refusal(403, "requests that change something come from our own pages only")
    return None


async def caller_of(request: Request, services: StaffServices) -> Caller | None:
    """Return who is signed in; a key that was changed or a member who left ends the session."""
    token = request.cookies.get(COOKIE, "")
    found = await services.sessions.holder(token) if token else None
    if found is None:
        return None
    name, key = found
    member = services.directory.find(name)
    if member is None or member.public_key_hex != key:
        await services.sessions.close(token)
        return None
    return Caller(member, token)


def sign_in_first(request: Request) -> Response:
    """Send a person to the login and refuse a program."""
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(target, safe='')}", 303)
    return refusal(401, "sign in first")


async def body_of(request: Request) -> bytes:
    """Return the body; `TooLargeError` beyond 4 MiB, however it is announced."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > LARGEST_BODY:
            raise TooLargeError
    return bytes(parts)
