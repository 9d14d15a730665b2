"""The outermost layer: request id in logs and answers, security headers, no stray 500."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Problem

Header = tuple[bytes, bytes]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_REQUEST_ID_HEADER = b"x-request-id"
_SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        (
            b"default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
            b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        ),
    ),
)

log = structlog.get_logger(__name__)


class RequestContext:
    """ASGI middleware; `scope["state"]["request_id"]` is the id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _completed(message.get("headers", ()), request_id)
            await send(message)

        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            return  # nobody waits for an answer
        except ConnectionError as error:
            log.warning("a dependency is away", path=scope["path"], error=str(error))
            problem = Problem("store_unavailable", headers={"Retry-After": "1"})
        except Exception:
            log.exception("defect while answering", path=scope["path"])
            problem = Problem("internal_error")
        else:
            return
        finally:
            structlog.contextvars.reset_contextvars(**bound)
        if not started:
            await problem.response(request_id)(scope, receive, send_with_headers)


def _completed(headers: Iterable[Header], request_id: str) -> list[Header]:
    """Return the headers with the request's id, and with what protects browsers."""
    made = [header for header in headers if header[0] != _REQUEST_ID_HEADER]
    given = {name for name, _ in made}
    made.append((_REQUEST_ID_HEADER, request_id.encode()))
    made += [header for header in _SECURITY_HEADERS if header[0] not in given]
    return made


def _request_id(headers: Iterable[Header]) -> str:
    """Return the id that the client gave its request, if it is one, or else a new one."""
    for name, value in headers:
        if name == _REQUEST_ID_HEADER:
            return value.decode() if _REQUEST_ID.fullmatch(value) else secrets.token_hex(16)
    return secrets.token_hex(16)
