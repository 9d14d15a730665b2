"""Signing in: the browser signs a challenge with the member's own key, which never leaves it."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from api.staff.form import texts_of
from api.staff.gate import COOKIE, PAGE_HEADERS, caller_of, refusal
from api.staff.ports import StaffServices
from domain.staff import StaffMember, login_statement

STATIC = Path(__file__).parent.parent / "static"
_LONGEST_NAME = 64
_BY_NAME, _BY_ADDRESS = 10, 60  # attempts a minute; a login is two
_REFUSED = "unknown name, or another key"


async def login_page(request: Request) -> Response:
    """Serve the page on which staff signs in."""
    return FileResponse(STATIC / "staff-login.html", headers=PAGE_HEADERS)


class Login:
    """The routes of the login; what is refused says no more than that it is."""

    def __init__(self, services: StaffServices) -> None:
        self._services = services

    async def challenge(self, request: Request) -> Response:
        """Give a challenge, to names that exist and to others alike."""
        form = await texts_of(request)
        name = form.get("name", "")
        if not 0 < len(name) <= _LONGEST_NAME:
            return refusal(400, "a name is needed")
        if not await self._allowed(request, name):
            return refusal(429, "too many attempts: wait a minute")
        challenge = await self._services.sessions.challenge(name)
        return JSONResponse({"challenge": challenge})

    async def sign_in(self, request: Request) -> Response:
        """Begin a session for a signed challenge."""
        services, form = self._services, await texts_of(request)
        name, challenge = form.get("name", ""), form.get("challenge", "")
        if not await self._allowed(request, name):
            return refusal(429, "too many attempts: wait a minute")
        member = services.directory.find(name)
        fresh = await services.sessions.take_challenge(name, challenge)
        statement = login_statement(services.origin, name, challenge)
        if member is None or not fresh or not self._signed(member, statement, form):
            await services.records.append(
                "?", "staff-login", "login_refused", {"name": name[:_LONGEST_NAME]}
            )
            return refusal(403, _REFUSED)
        roles = [str(role) for role in sorted(member.roles)]
        await services.records.append(name, "staff-login", "signed_in", {"roles": roles})
        token = await services.sessions.open(name, member.public_key_hex)
        answer = JSONResponse({"name": name, "roles": roles})
        answer.set_cookie(
            COOKIE,
            token,
            httponly=True,
            samesite="lax",
            secure=services.origin.startswith("https:"),
            path="/",
        )
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        caller = await caller_of(request, self._services)
        if caller is not None:
            await self._services.sessions.close(caller.token)
        answer = JSONResponse({})
        answer.delete_cookie(COOKIE, path="/")
        return answer

    async def _allowed(self, request: Request, name: str) -> bool:
        """Count the attempt, for the name and for the address."""
        address = request.client.host if request.client else "?"
        sessions = self._services.sessions
        by_name = await sessions.allow_attempt(f"name:{name[:_LONGEST_NAME]}", _BY_NAME)
        return await sessions.allow_attempt(f"address:{address}", _BY_ADDRESS) and by_name

    def _signed(self, member: StaffMember, statement: str, form: dict[str, str]) -> bool:
        try:
            signature = bytes.fromhex(form.get("signature_hex", ""))
        except ValueError:
            return False
        key = bytes.fromhex(member.public_key_hex)
        return self._services.verify(key, statement.encode(), signature)
