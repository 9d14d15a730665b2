"""Temporal's UI for staff who are signed in: passed on, opened by the codec, written down."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.nesting import nested_too_deep
from api.staff.gate import COOKIE, LOOKING, Caller, body_of, refusal
from api.staff.looks import note_look
from api.staff.ports import Answer, StaffServices
from domain.hash_chain import JsonValue

_WORKFLOW = re.compile(r"/workflows/([^/]+)")
_UPDATE = re.compile(r"/api/v1/namespaces/[^/]+/workflows/[^/]+(?:/runs/[^/]+)?/update/[^/]+")
_QUERY = re.compile(r"/api/v1/namespaces/[^/]+/workflows/[^/]+(?:/runs/[^/]+)?/query/[^/]+")
_BY = "Temporal UI"
_NOT_PASSED_ON = frozenset(("accept-encoding", "authorization", "cookie", "origin", "referer"))


class TemporalRoutes:
    """The codec and everything else that the UI asks for."""

    def __init__(self, services: StaffServices) -> None:
        self._services = services

    async def decode(self, request: Request, caller: Caller) -> Response:
        """Open payloads; which workflow's, the page says that asks."""
        page = urlsplit(request.headers.get("referer", "")).path
        await note_look(self._services, caller, _workflow_of(page) or "temporal-ui", by=_BY)
        return await self._coded(request, opening=True)

    async def encode(self, request: Request, caller: Caller) -> Response:
        """Seal what somebody is about to send."""
        if not caller.member.may_send_updates():
            return refusal(403, "your roles only read")
        return await self._coded(request, opening=False)

    async def _coded(self, request: Request, *, opening: bool) -> Response:
        codec, body = self._services.codec, await body_of(request)
        if nested_too_deep(body):
            return refusal(400, "not a list of payloads")
        try:
            found = await (codec.decode(body) if opening else codec.encode(body))
        except ValueError as error:
            return refusal(400, str(error))
        headers = {"Cache-Control": "no-store"}
        return Response(found, media_type="application/json", headers=headers)

    async def pass_on(self, request: Request, caller: Caller) -> Response:
        """Pass a request on to the UI, as far as the caller's roles go."""
        path = _raw_path(request)
        if any(unquote(part) in (".", "..") for part in path.split("/")):
            return refusal(400, "this path leads elsewhere than it says")
        if request.method not in LOOKING and not _QUERY.fullmatch(path):
            if not _may(caller, path):
                return refusal(403, "your roles do not include this")
            await self._note_act(caller, request)
        elif path.startswith("/api/") and (workflow_id := _workflow_of(path)):
            await note_look(self._services, caller, workflow_id, by=_BY)
        headers = {k: v for k, v in request.headers.items() if k not in _NOT_PASSED_ON}
        others = {k: v for k, v in request.cookies.items() if k != COOKIE}
        if others:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in others.items())
        target = request.scope["raw_path"]
        if request.scope["query_string"]:
            target += b"?" + request.scope["query_string"]
        answer = await self._services.ui.forward(
            request.method, target, headers, await body_of(request)
        )
        return _streamed(answer)

    async def _note_act(self, caller: Caller, request: Request) -> None:
        """Write down what is asked for: the way says what, the workflow's history how it went."""
        path = _raw_path(request)
        detail: dict[str, JsonValue] = {"method": request.method, "path": path[:500]}
        subject = _workflow_of(path) or "temporal-ui"
        await self._services.records.append(caller.member.name, subject, "staff_acted", detail)


def _raw_path(request: Request) -> str:
    """Return the path as the UI will read it: a slash that is encoded parts nothing."""
    return bytes(request.scope["raw_path"]).decode("latin-1")


def _may(caller: Caller, path: str) -> bool:
    member = caller.member
    return member.may_steer() or (member.may_send_updates() and bool(_UPDATE.fullmatch(path)))


def _workflow_of(path: str) -> str:
    found = _WORKFLOW.search(path)
    return unquote(found.group(1))[:200] if found else ""


def _streamed(answer: Answer) -> Response:
    body = answer.body
    response = StreamingResponse(body, answer.status, background=BackgroundTask(_close, body))
    response.raw_headers = [*answer.headers]
    return response


async def _close(body: object) -> None:
    """Let go of a body that the browser did not wait for."""
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()
