"""Nobody reaches another's objects: every route with every identifier, and every private channel.

The routes and their identifiers come from the application's own description. One that is new fails
here until it is said what it names, and what another customer meets there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from api.app import ROUTERS
from api.edge import access_of
from api.schemas.common import encode_cursor, encode_row_cursor
from api.websocket.hub import CHANNELS
from api.websocket.requests import ClientRequest
from tests.api.belongings import (
    HER_ADDRESS,
    ORDER,
    PERPETUAL,
    TRANSFER,
    WITHDRAWAL,
    HerExchange,
)
from tests.api.memory import BOB
from tests.api.waiting import eventually
from tests.api.websocket.test_account_channel import Trader

# What names a customer's object, and what does not: markets, assets, amounts, options.
NAMES = {
    "order_id", "order_list_id", "client_order_id", "move_id", "transfer_id", "withdrawal_id",
    "address", "idempotency-key", "cursor", "customer_id", "key_id", "session_id",
}  # fmt: skip
PLAIN = {
    "amount", "asset", "beneficiary", "close_position", "code", "created_at_us", "depth",
    "direction", "display_quantity", "entry", "expires_at_us", "expires_us", "format",
    "from_shard", "from_us", "institution", "interval", "invitation", "kind", "label", "leverage",
    "limit", "link", "mode", "name", "network", "networks", "new_password", "op", "operations",
    "password", "post_only", "price", "public_key", "quantity", "quote_amount", "reduce_only",
    "scopes", "self_trade", "shard", "side", "state", "stop_loss", "symbol", "take_profit",
    "time_in_force", "timeout_seconds", "to_shard", "to_us", "trailing_offset", "trigger_price",
    "trigger_source", "type",
}  # fmt: skip

GONE, NOTHING, OWN, STAFF = "not found", "nothing of hers", "his own object", "only staff"
SESSION = "only a session, tried by one"
_OCO_EXITS = {
    "take_profit": {"price": "2600"},
    "stop_loss": {"trigger_price": "2400", "client_order_id": "{client_order_id}"},
}
_OCO = {"symbol": "ETH/USDT", "side": "sell", "quantity": "1", **_OCO_EXITS}
_NAMED_ORDER = {**ORDER, "client_order_id": "{client_order_id}"}
_MOVE = {"symbol": PERPETUAL, "direction": "in", "amount": "1", "move_id": "{move_id}"}


@dataclass(frozen=True)
class Attempt:
    """What a stranger sends, with her identifiers in braces, and what he meets."""

    method: str
    route: str
    meets: str
    name: str = ""  # the identifier that is tried; "": there is none to try
    query: str = ""
    body: Any = None
    code: str = ""  # of a refusal that is not "not found"
    headers: dict[str, str] = field(default_factory=dict)


def _cursor(endpoint: str, length: int) -> str:
    """Return the query with a cursor as she would have got it: newer than all she has."""
    return "cursor=" + encode_cursor(endpoint, (2**62,) * length)


def _row_cursor(endpoint: str) -> str:
    """Return the query with a cursor of a list that goes by time and id, newer than all she has."""
    return "cursor=" + encode_row_cursor(endpoint, (2**62, f"{2**128 - 1:032x}"))


def _batch(**operation: Any) -> dict[str, Any]:
    return {"operations": [{"symbol": "ETH/USDT", **operation}]}


_KEY = {"Idempotency-Key": "{idempotency-key}"}
ATTEMPTS = [
    Attempt("GET", "/v1/orders", NOTHING, query="state=all"),
    Attempt("GET", "/v1/orders", NOTHING, "client_order_id", "client_order_id={client_order_id}"),
    Attempt("GET", "/v1/orders", NOTHING, "cursor", "state=all&" + _cursor("orders", 2)),
    Attempt("GET", "/v1/orders/{order_id}", GONE, "order_id"),
    Attempt("PATCH", "/v1/orders/{order_id}", GONE, "order_id", body={"quantity": "2"}),
    Attempt("DELETE", "/v1/orders/{order_id}", GONE, "order_id"),
    Attempt("DELETE", "/v1/orders", NOTHING),
    Attempt("POST", "/v1/orders", OWN, "client_order_id", body=_NAMED_ORDER),
    Attempt("POST", "/v1/orders/dry-run", OWN, "client_order_id", body=_NAMED_ORDER),
    Attempt(
        "POST",
        "/v1/orders/batch",
        GONE,
        "order_id",
        body=_batch(op="cancel", order_id="{order_id}"),
    ),
    Attempt(
        "POST",
        "/v1/orders/batch",
        GONE,
        "client_order_id",
        body=_batch(op="amend", client_order_id="{client_order_id}", quantity="2"),
    ),
    Attempt("POST", "/v1/order-lists", OWN, "client_order_id", body=_OCO),
    Attempt("POST", "/v1/order-lists/dry-run", OWN, "client_order_id", body=_OCO),
    Attempt("GET", "/v1/order-lists/{order_list_id}", GONE, "order_list_id"),
    Attempt("DELETE", "/v1/order-lists/{order_list_id}", GONE, "order_list_id"),
    Attempt("POST", "/v1/dead-mans-switch", OWN, body={"timeout_seconds": 1}),
    Attempt("GET", "/v1/fills", NOTHING),
    Attempt("GET", "/v1/fills", NOTHING, "order_id", "order_id={order_id}"),
    Attempt("GET", "/v1/fills", NOTHING, "cursor", _cursor("fills", 3)),
    Attempt("GET", "/v1/balances", NOTHING),
    Attempt("GET", "/v1/fees", NOTHING),
    Attempt("GET", "/v1/statements", NOTHING, query="from_us=0"),
    Attempt("GET", "/v1/deposit-addresses", NOTHING),
    Attempt("GET", "/v1/deposits", NOTHING),
    Attempt("GET", "/v1/deposits", NOTHING, "cursor", _row_cursor("deposits")),
    Attempt("GET", "/v1/positions", NOTHING),
    Attempt("GET", "/v1/positions/history", NOTHING),
    Attempt("GET", "/v1/positions/history", NOTHING, "cursor", _cursor("positions/history", 4)),
    Attempt("GET", "/v1/margin-calls", NOTHING),
    Attempt("GET", "/v1/margin-calls", NOTHING, "cursor", _cursor("margin-calls", 4)),
    Attempt("POST", "/v1/leverage", OWN, body={"symbol": PERPETUAL, "leverage": 3}),
    Attempt("POST", "/v1/margin-mode", OWN, body={"symbol": PERPETUAL, "mode": "isolated"}),
    Attempt("POST", "/v1/margin", OWN, "move_id", body=_MOVE, code="not_isolated"),
    Attempt("POST", "/v1/transfers", OWN, "idempotency-key", body=TRANSFER, headers=_KEY),
    Attempt("GET", "/v1/transfers/{transfer_id}", GONE, "transfer_id"),
    Attempt("GET", "/v1/withdrawal-addresses", NOTHING),
    Attempt(
        "POST", "/v1/withdrawal-addresses", OWN, "address", body={"address": "{address}"}
    ),
    Attempt("DELETE", "/v1/withdrawal-addresses/{address}", GONE, "address"),
    Attempt("GET", "/v1/keys", NOTHING),
    Attempt("POST", "/v1/keys", OWN, body={"label": "hers", "scopes": ["read"]}),
    Attempt("DELETE", "/v1/keys/{key_id}", GONE, "key_id"),
    Attempt("GET", "/v1/sessions", SESSION),
    Attempt("DELETE", "/v1/sessions/{session_id}", SESSION, "session_id"),
    Attempt("POST", "/v1/sessions/step-up", SESSION, body={"code": "000000"}),
    Attempt("POST", "/v1/login/password", SESSION, body={"password": "x", "new_password": "y"}),
    Attempt("POST", "/v1/login/second-factor", SESSION),
    Attempt("POST", "/v1/login/second-factor/confirmation", SESSION, body={"code": "000000"}),
    Attempt("GET", "/v1/withdrawal-limits", NOTHING),
    Attempt("GET", "/v1/withdrawals", NOTHING),
    Attempt("GET", "/v1/withdrawals", NOTHING, "cursor", _row_cursor("withdrawals")),
    Attempt("GET", "/v1/withdrawals/{withdrawal_id}", GONE, "withdrawal_id"),
    Attempt("DELETE", "/v1/withdrawals/{withdrawal_id}", GONE, "withdrawal_id"),
    Attempt(
        "POST",
        "/v1/withdrawals",
        OWN,
        "address",
        body=WITHDRAWAL,
        headers={"Idempotency-Key": "his-key"},
        code="address_not_listed",
    ),
    Attempt(
        "POST",
        "/v1/withdrawals",
        OWN,
        "idempotency-key",
        body=WITHDRAWAL,
        headers=_KEY,
        code="address_not_listed",
    ),
    Attempt("GET", "/v1/compliance/withdrawals", STAFF),
    Attempt(
        "GET", "/v1/compliance/withdrawals", STAFF, "customer_id", "customer_id={customer_id}"
    ),
    Attempt("GET", "/v1/compliance/withdrawals", STAFF, "address", "address={address}"),
    Attempt("GET", "/v1/compliance/withdrawals", STAFF, "cursor", _row_cursor("compliance")),
    Attempt("GET", "/v1/compliance/withdrawals/{withdrawal_id}", STAFF, "withdrawal_id"),
]  # fmt: skip


def _named(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Yield the names of all members of a request's body, however deep."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for name, member in schema.get("properties", {}).items():
        yield name
        yield from _named(document, member)
    for choice in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(choice, ()):
            yield from _named(document, one)
    if "items" in schema:
        yield from _named(document, schema["items"])


def _identifiers(exchange: HerExchange) -> dict[tuple[str, str], set[str]]:
    """Return (method, path) of every route -> the names of all that a request can say there."""
    document = exchange.app.openapi()
    found = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            named = {one["name"] for one in operation.get("parameters", ())}
            body = operation.get("requestBody", {}).get("content", {})
            for content in body.values():
                named |= set(_named(document, content["schema"]))
            found[method.upper(), path] = named
    return found


def _signed() -> set[tuple[str, str]]:
    return {
        (method, route.path)  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        if access_of(route.endpoint).scope  # type: ignore[attr-defined]
        for method in route.methods  # type: ignore[attr-defined]
    }


@pytest.fixture(scope="module")
def hers() -> HerExchange:
    """Give an exchange where she has something of everything; nothing of it may change."""
    made = HerExchange()
    asyncio.run(made.furnish())
    return made


def test_every_identifier_is_classed(hers: HerExchange) -> None:
    """A parameter or member that is new is said to name a customer's object, or not to."""
    said = set().union(*_identifiers(hers).values())
    assert said == NAMES | PLAIN


def test_every_route_and_identifier_is_tried(hers: HerExchange) -> None:
    """Each signed route once with each identifier that it takes, in path, query, header and body.

    A route that names nothing is tried as it is; one whose identifiers filter a list, both ways.
    """
    wanted = set()
    for (method, path), named in _identifiers(hers).items():
        if (method, path) not in _signed():
            assert not named & (NAMES - {"cursor"}), path
            continue
        wanted |= {(method, path, name) for name in named & NAMES}
    tried = {(one.method, one.route, one.name) for one in ATTEMPTS}
    assert wanted <= tried
    assert {(one.method, one.route) for one in ATTEMPTS} == _signed()
    assert len(tried) == len(ATTEMPTS)


@pytest.mark.parametrize("one", ATTEMPTS, ids=lambda one: f"{one.method} {one.route} {one.name}")
async def test_another_meets_nothing_of_hers(hers: HerExchange, one: Attempt) -> None:
    """He is refused, or sees and makes only what is his; all that is hers stays as it is."""
    before, key_id = hers.hers(), hers.stranger()
    target = one.route.format(**hers.names) + ("?" + one.query if one.query else "")
    target = _filled(target, hers.names)
    body = json.loads(_filled(json.dumps(one.body), hers.names))
    if isinstance(body, dict) and "move_id" in body:
        body["created_at_us"] = hers.door.time_us
    headers = {name: _filled(text, hers.names) for name, text in one.headers.items()}
    if one.meets == SESSION:
        await _try_by_session(hers, one, target)
    answer = await hers.call(one.method, target, body, key_id=key_id, headers=headers)
    assert hers.shows(answer, sent=target + json.dumps(body)) == [], answer.text
    assert hers.hers() == before
    if one.meets == GONE and "batch" in one.route:
        assert [result["status"] for result in answer.json()["results"]] == [404]
    elif one.meets == GONE:
        assert answer.status_code == 404, answer.text
        assert answer.json()["code"] in ("order_not_found", "not_found")
    elif one.meets == SESSION:
        assert (answer.status_code, answer.json()["code"]) == (403, "session_required")
    elif one.meets == STAFF:
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    elif one.code:
        assert answer.json()["code"] == one.code, answer.text
    else:
        assert answer.is_success, answer.text


async def _try_by_session(hers: HerExchange, one: Attempt, target: str) -> None:
    """Let bob's session do it: it sees and ends no session of hers, and changes his login alone."""
    before = hers.hers()
    raw = json.dumps(one.body).encode() if one.body else b""
    session = hers.session(BOB)
    answer = await hers.http.request(one.method, target, content=raw, headers=session)
    assert hers.names["session_id"] not in answer.text.replace(target, "")
    assert answer.status_code == (404 if one.name else answer.status_code)
    assert hers.hers() == before


def _filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


async def test_what_is_hers_still_answers_to_her(hers: HerExchange) -> None:
    """After all that: her keys name her requests, and his switch has fired for him alone."""
    before = hers.hers()
    hers.door.wait(2)
    again = [
        await hers.call("POST", "/v1/orders", {**ORDER, "client_order_id": "her-order"}),
        await hers.call("POST", "/v1/withdrawals", WITHDRAWAL, headers=_her_key(hers)),
        await hers.call("POST", "/v1/transfers", TRANSFER, headers=_her_key(hers)),
    ]
    assert [answer.status_code for answer in again] == [200, 200, 200]
    assert again[0].json()["order_id"] == hers.names["order_id"]
    assert again[1].json()["withdrawal_id"] == hers.names["withdrawal_id"]
    assert again[2].json()["transfer_id"] == hers.names["transfer_id"]
    assert hers.hers() == before


def _her_key(hers: HerExchange) -> dict[str, str]:
    return {"Idempotency-Key": hers.names["idempotency-key"]}


@pytest.mark.parametrize(
    ("scopes", "refused"),
    [("read", {"trade", "withdraw", "compliance"}), ("read trade", {"withdraw", "compliance"})],
)
async def test_a_keys_scopes_are_all_that_it_may(
    hers: HerExchange, scopes: str, refused: set[str]
) -> None:
    """Her own key that may only read moves nothing; one that trades takes no money out."""
    hers.add_key(1, "key-narrow", scopes)
    before = hers.hers()
    for router in ROUTERS:
        for route in router.routes:
            scope = access_of(route.endpoint).scope  # type: ignore[attr-defined]
            if scope not in refused:
                continue
            for method in route.methods:  # type: ignore[attr-defined]
                path = _filled(route.path, hers.names)  # type: ignore[attr-defined]
                answer = await hers.call(method, path, key_id="key-narrow")
                assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope"), path
    assert hers.hers() == before


def test_every_channel_and_member_of_a_socket_is_classed() -> None:
    """Of the channels `account` is private, and no member of a request names a customer.

    `params` are the bodies of REST, whose identifiers are tried above and at the socket itself.
    """
    assert set(CHANNELS) == {"book", "trades", "candles", "mark", "funding", "liquidations"}
    said = {"op", "channel", "symbol", "id", "after", "key", "timestamp", "window", "signature"}
    said |= {"cancel_on_disconnect", "params", "token", "interval"}
    assert set(ClientRequest.__struct_fields__) == said


async def test_a_replay_tells_another_nothing_of_hers(hers: HerExchange) -> None:
    """From the first command on, by her sequences: he hears his own orders, and none of hers."""
    listener, key_id = Trader(hers.services), hers.stranger()
    his = (await hers.call("POST", "/v1/orders", ORDER, key_id=key_id)).json()["order_id"]
    answer = await listener.ask(op="subscribe", channel="account", after={"0": 0, "1": 0})
    assert answer["code"] == "missing_credentials"
    login = hers.credentials(key_id)
    assert (await listener.ask(op="login", **login))["op"] == "logged_in"
    following = asyncio.create_task(hers.services.accounts.run(hers.services))
    try:
        answer = await listener.ask(op="subscribe", channel="account", after={"0": 0, "1": 0})
        assert answer["op"] == "subscribed"
        end = hers.door.engine.sequence
        await eventually(lambda: listener._account.sequences["0"] == end)
        told = json.dumps(listener.heard)
        placed = [one["order"]["order_id"] for one in listener.told() if "order" in one]
        assert placed == [his]
        assert HER_ADDRESS not in told
    finally:
        await listener._account.close()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
