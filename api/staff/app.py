"""The application of the staff's origin: whatever it is asked, the login comes first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from api.staff.console import Console
from api.staff.form import MalformedFormError
from api.staff.gate import (
    Caller,
    TooLargeError,
    caller_of,
    misplaced,
    refusal,
    sign_in_first,
)
from api.staff.login import STATIC, Login, login_page
from api.staff.ports import StaffServices
from api.staff.temporal import TemporalRoutes

OpenHandler = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Request, Caller], Awaitable[Response]]
HOME = "/console"
_OPEN_FILES = (
    *("staff.css", "icon.svg", "format.js", "staff-key.js", "staff-login.js", "staff-console.js"),
    *("staff-rows.js", "staff-dialog.js", "staff-statement.js", "staff-files.js"),
)
_ALL = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_staff_app(services: StaffServices) -> ASGIApp:
    """Return the application around the staff's services."""

    def open_to_all(handler: OpenHandler) -> OpenHandler:
        async def guarded(request: Request) -> Response:
            return misplaced(request, services.origin) or await _answered(handler(request))

        return guarded

    def staff(handler: Handler) -> OpenHandler:
        async def guarded(request: Request) -> Response:
            if refused := misplaced(request, services.origin):
                return refused
            return await _answered(_signed_in(request, services, handler))

        return guarded

    login, temporal = Login(services), TemporalRoutes(services)
    routes = [
        Route("/login", open_to_all(login_page), methods=["GET"]),
        Route("/login/challenge", open_to_all(login.challenge), methods=["POST"]),
        Route("/login/sign-in", open_to_all(login.sign_in), methods=["POST"]),
        Route("/logout", open_to_all(login.sign_out), methods=["POST"]),
        *(_open_file(name, open_to_all) for name in _OPEN_FILES),
        Route("/codec/decode", staff(temporal.decode), methods=["POST"]),
        Route("/codec/encode", staff(temporal.encode), methods=["POST"]),
        Route("/", staff(_home), methods=["GET"]),
        *(
            Route(f"{HOME}{path}", staff(handler), methods=[method])
            for method, path, handler in _console_routes(Console(services))
        ),
        Route(f"{HOME}/{{path:path}}", staff(_unknown), methods=_ALL),
        Route("/{path:path}", staff(temporal.pass_on), methods=_ALL),
    ]
    return Starlette(routes=routes)


def _console_routes(console: Console) -> list[tuple[str, str, Handler]]:
    return [
        ("GET", "", console.page),
        ("GET", "/me", console.me),
        ("GET", "/withdrawals", console.withdrawals),
        ("GET", "/withdrawals/{withdrawal_id}", console.story),
        ("GET", "/parked", console.parked),
        ("GET", "/suspense", console.suspense),
        ("GET", "/proposals", console.proposals),
        ("GET", "/stopped", console.stopped),
        ("GET", "/customer", console.customer),
        ("POST", "/decisions", console.decide),
        ("POST", "/retries", console.retry),
        ("POST", "/abandonments", console.abandon),
        ("POST", "/releases", console.propose_release),
        ("POST", "/returns", console.propose_return),
        ("POST", "/standings", console.set_standing),
        ("POST", "/notes", console.note),
    ]


async def _signed_in(request: Request, services: StaffServices, handler: Handler) -> Response:
    caller = await caller_of(request, services)
    return sign_in_first(request) if caller is None else await handler(request, caller)


async def _answered(work: Awaitable[Response]) -> Response:
    """Answer in words where something that we need is away."""
    try:
        return await work
    except TimeoutError:
        return refusal(504, "no answer yet; it may still happen: look at the lists first")
    except ConnectionError:
        return refusal(503, "not now: a server that this needs is away")
    except TooLargeError:
        return refusal(413, "at most 4 MiB")
    except MalformedFormError as error:
        return refusal(400, str(error))


def _open_file(name: str, guard: Callable[[OpenHandler], OpenHandler]) -> Route:
    async def answer(request: Request) -> Response:
        return FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})

    return Route(f"/staff/{name}", guard(answer), methods=["GET"])


async def _home(request: Request, caller: Caller) -> Response:
    return RedirectResponse(HOME, 303)


async def _unknown(request: Request, caller: Caller) -> Response:
    """Answer what the console has not, instead of asking Temporal's UI for it."""
    return refusal(404, "the console has no such page, or not by this method")
