"""Hostile bodies, and the rule that a route without declared access cannot be served."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter

from api import edge
from api.edge import LARGEST_BODY_BYTES, EdgeRoute
from api.errors import Problem
from api.json_text import parse_json
from api.limits import PUBLIC_CLASS
from tests.api.exchange import Exchange


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1, "a": 2}',
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
        b"[1,]",
        b"{'a': 1}",
    ],
)
async def test_broken_json_is_a_problem(exchange: Exchange, body: bytes) -> None:
    """No byte string sent as a body leads to anything but a 4xx problem."""
    answer = await exchange.call("POST", "/v1/orders", body)
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("malformed_json", "invalid_field")


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"17", b"true", b'{"symbol": {}}'])
async def test_json_of_the_wrong_shape_is_a_problem(exchange: Exchange, body: bytes) -> None:
    """Valid JSON that is not an order."""
    answer = await exchange.call("POST", "/v1/orders", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


async def test_a_giant_body_is_refused_before_it_is_read(exchange: Exchange) -> None:
    """One byte more than the limit: 413, and the connection is to be closed."""
    answer = await exchange.call("POST", "/v1/orders", b" " * (LARGEST_BODY_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/v1/orders"), ("DELETE", "/v1/orders"), ("GET", "/v1/markets")],
)
async def test_a_body_where_none_is_read_is_refused(
    exchange: Exchange, method: str, target: str
) -> None:
    """`DELETE /v1/orders` with a body that names one market would cancel in all of them."""
    await exchange.place()
    answer = await exchange.call(method, target, {"symbol": "ETH/USDT"})
    assert (answer.status_code, answer.json()["code"]) == (400, "unexpected_body")
    assert len((await exchange.call("GET", "/v1/orders")).json()["orders"]) == 1


@pytest.mark.parametrize(
    "query",
    ["simbol=ETH-USDT", "Symbol=ETH-USDT", "symbol=ETH-USDT&symbol=ETH-USDT", "side=buy&x", "="],
)
async def test_a_mistyped_parameter_widens_nothing(exchange: Exchange, query: str) -> None:
    """What a route does not know, or gets twice, is refused before anything happens."""
    await exchange.place()
    answer = await exchange.call("DELETE", f"/v1/orders?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_parameter")
    assert len((await exchange.call("GET", "/v1/orders")).json()["orders"]) == 1
    public = await exchange.http.get("/v1/markets/ETH-USDT/book?deep=5")
    assert public.json()["detail"] == "There is no parameter 'deep'; there are: depth."


async def test_another_content_type_is_refused(exchange: Exchange) -> None:
    """A form is not JSON."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await exchange.call("POST", "/v1/orders", b"symbol=ETH", headers=headers)
    assert answer.status_code in (400, 422)


async def test_json_without_a_content_type_is_taken(exchange: Exchange) -> None:
    """`curl -d` users who forget the header are helped, as the body is signed anyway."""
    body = b'{"symbol":"ETH/USDT","side":"buy","quantity":"1","price":"2500"}'
    headers = exchange.signed("POST", "/v1/orders", body)
    answer = await exchange.http.post("/v1/orders", content=body, headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize("value", [2500, 2500.5, True, ["2500"], {"v": "2500"}])
async def test_json_numbers_are_refused_as_prices(exchange: Exchange, value: Any) -> None:
    """A JSON number has been through somebody's binary float: only text is taken."""
    answer = await exchange.place(quantity=value)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert answer.json()["errors"][0]["field"] == "body.quantity"


@pytest.mark.parametrize("field", ["quantity", "price"])
@pytest.mark.parametrize(
    "text",
    ["1e3", "1E-3", "NaN", "Infinity", "-1", "+1", "9" * 40, "0." + "1" * 40, "0x10", " 1", "1 ",
     "1.", ".5", "1,000", "1_000", "\u0661", "\uff11", "1\n", "1\x00", ""],
)  # fmt: skip
async def test_hostile_decimals_are_refused(exchange: Exchange, field: str, text: str) -> None:
    """Only plain digits with a point reach the engine; what else looks like a number is refused."""
    answer = await exchange.place(**{field: text})
    assert answer.status_code == 422, answer.text
    assert (await exchange.call("GET", "/v1/orders")).json()["orders"] == []


async def test_a_refusal_is_cheaper_than_what_it_refuses(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is not let in costs neither a look into the body nor a question to the engine."""

    def never(*_: Any) -> None:
        raise AssertionError("the body was parsed")

    monkeypatch.setattr(edge, "parse_json", never)
    before, body = exchange.door.engine.sequence, b"[" * 10_000
    exchange.add_key(1, "key-reader", "read")
    wrong = exchange.signed("POST", "/v1/orders", body) | {"RIALTO-SIGNATURE": "0" * 64}
    reader = exchange.signed("POST", "/v1/orders", body, key_id="key-reader")
    codes = [
        (await exchange.http.post("/v1/orders", content=body, headers=headers)).json()["code"]
        for headers in ({}, wrong, reader)
    ]
    assert codes == ["missing_credentials", "bad_signature", "missing_scope"]
    assert exchange.door.engine.sequence == before


async def test_unknown_members_are_refused(exchange: Exchange) -> None:
    """A mistyped `post_onyl` must not place another order than was meant."""
    answer = await exchange.place(post_onyl=True)
    assert answer.json()["errors"][0]["field"] == "body.post_onyl"


@pytest.mark.parametrize("field", ["account_id", "customer_id", "order_id", "status", "sequence"])
async def test_read_only_fields_cannot_be_assigned(exchange: Exchange, field: str) -> None:
    """Mass assignment: what the server decides cannot be sent."""
    answer = await exchange.place(**{field: "2"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


def test_nesting_inside_text_is_counted_once_it_is_much() -> None:
    """The cheap nesting check errs on the safe side only beyond what any request needs."""
    assert parse_json(b'{"a": "[[[["}') == {"a": "[[[["}
    with pytest.raises(Problem):
        parse_json(b'{"a": "' + b"[" * 40 + b'"}')


def test_a_route_without_access_stops_the_start() -> None:
    """Forgetting the declaration denies everything, loudly."""
    router = APIRouter(route_class=EdgeRoute)

    async def forgotten() -> None:
        """Never reached."""

    with pytest.raises(RuntimeError, match="does not declare its access"):
        router.add_api_route("/forgotten", forgotten)


async def test_who_has_used_up_the_limit_asks_the_key_store_nothing(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that do not exist are charged before they are looked up, in both dialects; known not."""
    asked: list[str] = []
    find = exchange.memory.find

    async def counted(key_id: str) -> Any:
        asked.append(key_id)
        return await find(key_id)

    monkeypatch.setattr(exchange.memory, "find", counted)
    await exchange.services.limiter.charge_address("127.0.0.1", PUBLIC_CLASS.weight)
    headers = {**exchange.signed("GET", "/v1/balances"), "RIALTO-KEY": "nobody"}
    refused = await exchange.http.get("/v1/balances", headers=headers)
    query = f"timestamp={exchange.services.now_ms()}&signature={'0' * 64}"
    other = await exchange.http.get(
        f"/binance/api/v3/account?{query}", headers={"X-MBX-APIKEY": "nobody"}
    )
    assert (refused.status_code, other.status_code, asked) == (429, 429, [])
    assert (await exchange.call("GET", "/v1/balances")).status_code == 200
