"""An endpoint is called with what its signature asks for, and with nothing unchecked."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import APIRouter, Cookie, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from api.direct import DirectCall
from api.edge import EdgeRoute, access


class Asked(BaseModel):
    """A body."""

    count: int


class Told(BaseModel):
    """An answer."""

    text: str


def _who(request: Request) -> str:
    return request.headers["x-who"]


WhoDep = Annotated[str, Depends(_who)]


def _call(endpoint: object, path: str = "/x/{name}", status: int = 200) -> DirectCall:
    router = APIRouter()
    router.add_api_route(path, endpoint, methods=["POST"], status_code=status)  # type: ignore[arg-type]
    (route,) = router.routes
    return DirectCall(route, (_who,))  # type: ignore[arg-type]


def _request(body: bytes = b"", query: bytes = b"", content_type: bytes = b"") -> Request:
    headers = [(b"x-who", b"alice")]
    if content_type:
        headers.append((b"content-type", content_type))
    scope = {
        "type": "http",
        "method": "POST",
        "headers": headers,
        "query_string": query,
        "path_params": {"name": "carol"},
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(scope, receive)


async def test_everything_that_is_asked_for_is_given() -> None:
    """Path, query, body, what is depended on, and a response with a status and headers to set."""

    async def endpoint(
        name: str,
        asked: Asked,
        who: WhoDep,
        response: Response,
        often: Annotated[int, Query(ge=1)] = 1,
    ) -> Told:
        response.status_code = 202
        response.headers["Cache-Control"] = "no-store"
        return Told(text=f"{name} {asked.count} {who} {often}")

    answer = await _call(endpoint, status=201)(_request(b'{"count":3}', b"often=2"))
    assert answer.status_code == 202
    assert answer.body == b'{"text":"carol 3 alice 2"}'
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.getlist("content-length") == [str(len(answer.body))]


async def test_all_that_is_wrong_is_said_at_once() -> None:
    """Where it is, and what is wrong: one answer for all fields."""

    async def endpoint(name: str, asked: Asked, often: Annotated[int, Query(ge=1)] = 1) -> Told:
        raise AssertionError(f"called for {name}, {asked}, {often}")

    with pytest.raises(RequestValidationError) as caught:
        await _call(endpoint)(_request(b'{"count":"x"}', b"often=0"))
    assert [error["loc"] for error in caught.value.errors()] == [
        ("query", "often"),
        ("body", "count"),
    ]
    with pytest.raises(RequestValidationError) as caught:
        await _call(endpoint)(_request())
    assert [error["type"] for error in caught.value.errors()] == ["missing"]


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        (b"", True),
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"application/problem+json", True),
        (b"text/plain", False),
        (b"application/x-www-form-urlencoded", False),
        (b"json", False),
        (b"application/jsonx", False),
    ],
)
async def test_only_what_is_said_to_be_json_is_read_as_json(
    content_type: bytes, taken: bool
) -> None:
    """A form from a foreign page is no order."""

    async def endpoint(asked: Asked) -> Told:
        return Told(text=str(asked.count))

    call, request = _call(endpoint, "/x"), _request(b'{"count":3}', content_type=content_type)
    if taken:
        assert (await call(request)).body == b'{"text":"3"}'
    else:
        with pytest.raises(RequestValidationError):
            await call(request)


async def test_an_answer_of_another_shape_is_a_defect() -> None:
    """What is not the declared model is made into it, or does not leave."""

    async def close(name: str) -> Told:
        return {"text": name}  # type: ignore[return-value]

    async def far(name: str) -> Told:
        return {"texts": name}  # type: ignore[return-value]

    assert (await _call(close)(_request())).body == b'{"text":"carol"}'
    with pytest.raises(TypeError, match="not an answer"):
        await _call(far)(_request())


def test_an_endpoint_that_asks_for_more_stops_the_start() -> None:
    """A dependency nobody gives, a cookie, two bodies, no answer: said when the route is made."""

    async def unknown(who: Annotated[str, Depends(lambda: "x")]) -> Told:
        return Told(text=who)

    async def cookie(name: Annotated[str, Cookie()]) -> Told:
        return Told(text=name)

    async def two(one: Asked, other: Asked) -> Told:
        return Told(text=f"{one}{other}")

    async def mute():  # type: ignore[no-untyped-def]
        return None

    for endpoint in (unknown, cookie, two, mute):
        with pytest.raises(RuntimeError):
            _call(endpoint, "/x")


def test_a_route_behind_the_edge_is_called_directly() -> None:
    """An edge route whose endpoint cannot be called so is refused as one without access is."""
    router = APIRouter(route_class=EdgeRoute)

    async def endpoint(who: Annotated[str, Depends(lambda: "x")]) -> Told:
        return Told(text=who)

    with pytest.raises(RuntimeError, match="does not give"):
        router.get("/x")(access(None)(endpoint))
