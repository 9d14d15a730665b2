"""Nobody reaches another's objects: every route of the API, with and without credentials."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.app import ROUTERS
from api.edge import access_of
from domain.customer import Scope
from domain.market import Listings, Market
from tests.api.address_memory import ADDRESS
from tests.api.exchange import Exchange
from tests.api.login_memory import INVITATION, PASSWORD
from tests.api.perpetual_exchange import ETH_PERP, PerpetualExchange

NEW_PASSWORD = "another horse, as correct"
_OCO = {
    "symbol": "ETH/USDT",
    "side": "sell",
    "quantity": "1",
    "take_profit": {"price": "2600"},
    "stop_loss": {"trigger_price": "2400"},
}
BODIES: dict[str, Any] = {
    "/v1/orders": {"symbol": "ETH/USDT", "side": "buy", "price": "2500", "quantity": "1"},
    "/v1/orders/batch": {
        "operations": [{"op": "cancel", "symbol": "ETH/USDT", "client_order_id": "x"}]
    },
    "/v1/orders/dry-run": {"symbol": "ETH/USDT", "side": "sell", "price": "2500", "quantity": "1"},
    "/v1/orders/{order_id}": {"quantity": "1"},
    "/v1/order-lists": _OCO,
    "/v1/order-lists/dry-run": _OCO,
    "/v1/leverage": {"symbol": "ETH/USDT-PERP", "leverage": 2},
    "/v1/margin-mode": {"symbol": "ETH/USDT-PERP", "mode": "isolated"},
    "/v1/margin": {
        "symbol": "ETH/USDT-PERP",
        "direction": "in",
        "amount": "1",
        "move_id": "m",
        "created_at_us": 1,
    },
    "/v1/dead-mans-switch": {"timeout_seconds": 0},
    "/v1/transfers": {"asset": "USDT", "amount": "20", "from_shard": 0, "to_shard": 1},
    "/v1/sessions": {"name": "alice", "password": "wrong", "code": "000000"},
    "/v1/sessions/link": {"link": "x" * 43},
    "/v1/sessions/refresh": None,
    "/v1/sessions/step-up": {"code": "000000"},
    "/v1/login/enrolment": {"name": "alice", "invitation": INVITATION, "password": NEW_PASSWORD},
    "/v1/login/activation": {"name": "alice", "invitation": INVITATION, "code": "000000"},
    "/v1/login/password": {"password": PASSWORD, "new_password": NEW_PASSWORD},
    "/v1/login/second-factor": None,
    "/v1/login/second-factor/confirmation": {"code": "000000"},
    "/v1/keys": {"label": "bot", "scopes": ["read"]},
    "/v1/withdrawal-addresses": {"address": ADDRESS},
    "/v1/withdrawals": {"asset": "USDT", "amount": "20", "address": ADDRESS},
}
ROUTES = [
    (method, route)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or ())
]
SIGNED = [(method, route) for method, route in ROUTES if access_of(route.endpoint).scope]
PUBLIC = {
    "/v1/sessions",
    "/v1/sessions/link",
    "/v1/sessions/refresh",
    "/v1/login/enrolment",
    "/v1/login/activation",
    "/v1/system",
    "/v1/time",
    "/v1/assets",
    "/v1/markets",
    "/v1/markets/{symbol}/book",
    "/v1/markets/{symbol}/trades",
    "/v1/markets/{symbol}/candles",
    "/v1/funding",
    "/v1/insurance",
    "/v1/insurance/history",
    "/v1/liquidations",
}


def _name(item: object) -> str:
    return item.path if isinstance(item, APIRoute) else str(item)


def _target(route: APIRoute) -> str:
    return (
        route.path.replace("{order_id}", "1")
        .replace("{order_list_id}", "1")
        .replace("{symbol}", "ETH-USDT")
        .replace("{transfer_id}", "018f0000-0000-7000-8000-000000000000")
        .replace("{address}", ADDRESS)
        .replace("{key_id}", "key-1")
        .replace("{session_id}", "rs_1")
        .replace("{withdrawal_id}", "018f0000-0000-7000-8000-000000000000")
    )


def _body(method: str, route: APIRoute) -> bytes:
    body = BODIES[route.path] if method in ("POST", "PATCH") else None
    return b"" if body is None else json.dumps(body).encode()


def test_only_these_routes_are_public() -> None:
    """A route becomes public by a change of this list, not by an oversight."""
    public = {(method, route.path) for method, route in ROUTES} - {
        (method, route.path) for method, route in SIGNED
    }
    assert {path for _, path in public} == PUBLIC
    assert {path for method, path in public if method != "GET"} == {
        "/v1/sessions",
        "/v1/sessions/link",
        "/v1/sessions/refresh",
        "/v1/login/enrolment",
        "/v1/login/activation",
    }


def test_what_moves_money_out_needs_the_withdraw_scope() -> None:
    """Scopes of the routes that change something."""
    needed = {
        (method, route.path): access_of(route.endpoint).scope
        for method, route in SIGNED
        if method != "GET" and not access_of(route.endpoint).session
    }
    assert needed == {
        ("POST", "/v1/orders"): Scope.TRADE,
        ("POST", "/v1/orders/batch"): Scope.TRADE,
        ("POST", "/v1/orders/dry-run"): Scope.TRADE,
        ("PATCH", "/v1/orders/{order_id}"): Scope.TRADE,
        ("DELETE", "/v1/orders/{order_id}"): Scope.TRADE,
        ("DELETE", "/v1/orders"): Scope.TRADE,
        ("POST", "/v1/order-lists"): Scope.TRADE,
        ("POST", "/v1/order-lists/dry-run"): Scope.TRADE,
        ("DELETE", "/v1/order-lists/{order_list_id}"): Scope.TRADE,
        ("POST", "/v1/leverage"): Scope.TRADE,
        ("POST", "/v1/margin-mode"): Scope.TRADE,
        ("POST", "/v1/margin"): Scope.TRADE,
        ("POST", "/v1/dead-mans-switch"): Scope.TRADE,
        ("POST", "/v1/transfers"): Scope.TRADE,
        ("POST", "/v1/keys"): Scope.WITHDRAW,
        ("DELETE", "/v1/keys/{key_id}"): Scope.WITHDRAW,
        ("POST", "/v1/withdrawal-addresses"): Scope.WITHDRAW,
        ("DELETE", "/v1/withdrawal-addresses/{address}"): Scope.WITHDRAW,
        ("POST", "/v1/withdrawals"): Scope.WITHDRAW,
        ("DELETE", "/v1/withdrawals/{withdrawal_id}"): Scope.WITHDRAW,
    }


def test_what_needs_a_fresh_second_factor() -> None:
    """Of a session: money out, new addresses, new keys, and changes of the login itself."""
    needed = {(method, route.path) for method, route in SIGNED if access_of(route.endpoint).step_up}
    assert needed == {
        ("POST", "/v1/withdrawals"),
        ("POST", "/v1/withdrawal-addresses"),
        ("POST", "/v1/keys"),
        ("POST", "/v1/login/password"),
        ("POST", "/v1/login/second-factor"),
        ("POST", "/v1/login/second-factor/confirmation"),
    }


@pytest.mark.parametrize(("method", "route"), SIGNED, ids=_name)
async def test_a_session_without_a_fresh_factor_may_do_the_rest(
    exchange: Exchange, method: str, route: APIRoute
) -> None:
    """Where one is needed the refusal says so; everywhere else there is another answer."""
    headers = exchange.session(1, stepped_up=False)
    raw = _body(method, route)
    answer = await exchange.http.request(method, _target(route), content=raw, headers=headers)
    refused = answer.status_code == 403 and answer.json()["code"] == "step_up_required"
    assert refused == access_of(route.endpoint).step_up, answer.text


@pytest.mark.parametrize(("method", "route"), SIGNED, ids=_name)
async def test_without_credentials_every_signed_route_is_401(
    exchange: Exchange, method: str, route: APIRoute
) -> None:
    """The check comes before the body is even looked at."""
    answer = await exchange.http.request(method, _target(route), content=b"{")
    assert (answer.status_code, answer.json()["code"]) == (401, "missing_credentials")


@pytest.mark.parametrize(("method", "route"), SIGNED, ids=_name)
async def test_without_the_scope_every_signed_route_is_403(
    exchange: Exchange, method: str, route: APIRoute
) -> None:
    """A key with the other two scopes is not enough."""
    scope = access_of(route.endpoint).scope
    exchange.add_key(1, "key-less", " ".join(other for other in Scope if other is not scope))
    answer = await exchange.call(method, _target(route), _body(method, route), key_id="key-less")
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=_name)
async def test_no_route_answers_500(method: str, route: APIRoute) -> None:
    """Each route once with acceptable input."""
    exchange = PerpetualExchange()
    exchange.add_shard()
    spot = exchange.memory.listings
    exchange.memory.listings = Listings([*spot.markets, Market(ETH_PERP, 0)], spot.assets)
    isolated = await exchange.call("POST", "/v1/margin-mode", BODIES["/v1/margin-mode"])
    assert isolated.status_code == 200, isolated.text
    body = _body(method, route)
    if route.path == "/v1/margin":
        made_now = {"created_at_us": exchange.door.time_us}
        body = json.dumps(BODIES[route.path] | made_now).encode()
    target = _target(route)
    if route.path in ("/v1/funding", "/v1/liquidations"):
        target += "?symbol=ETH/USDT-PERP"
    exchange.add_key(9, "key-staff", Scope.COMPLIANCE)
    key_id = "key-staff" if access_of(route.endpoint).scope is Scope.COMPLIANCE else "key-1"
    if access_of(route.endpoint).session:
        session = exchange.session(1)
        answer = await exchange.http.request(method, target, content=body, headers=session)
    else:
        answer = await exchange.call(
            method, target, body, key_id=key_id, headers={"Idempotency-Key": "k"}
        )
    await exchange.http.aclose()
    if "/login" in route.path or "/sessions" in route.path:
        assert answer.status_code in (200, 201, 401, 404), answer.text
    else:
        assert answer.status_code in (200, 201, 202, 404), answer.text


async def test_another_customers_order_does_not_exist(exchange: Exchange) -> None:
    """Bob with Alice's order id: looking and cancelling are 404, and nothing happened."""
    placed = (await exchange.place(client_order_id="mine")).json()
    target = f"/v1/orders/{placed['order_id']}"
    looked = await exchange.call("GET", target, key_id="key-2")
    cancelled = await exchange.call("DELETE", target, key_id="key-2")
    amended = await exchange.call("PATCH", target, {"quantity": "2"}, key_id="key-2")
    operation = {"op": "cancel", "symbol": "ETH/USDT", "order_id": placed["order_id"]}
    batch = await exchange.call(
        "POST", "/v1/orders/batch", {"operations": [operation]}, key_id="key-2"
    )
    by_name = await exchange.call("GET", "/v1/orders?client_order_id=mine", key_id="key-2")
    everything = await exchange.call("DELETE", "/v1/orders", key_id="key-2")
    await exchange.call("POST", "/v1/dead-mans-switch", {"timeout_seconds": 1}, key_id="key-2")
    exchange.door.wait(2)
    assert {answer.status_code for answer in (looked, cancelled, amended)} == {404}
    assert batch.json()["results"][0]["status"] == 404
    assert by_name.json()["orders"] == []
    assert everything.json()["cancelled"] == []
    assert (await exchange.call("GET", target)).json()["status"] == "open"


async def test_another_customers_withdrawal_does_not_exist(exchange: Exchange) -> None:
    """Bob with Alice's withdrawal id and her idempotency key."""
    body = BODIES["/v1/withdrawals"]
    headers = {"Idempotency-Key": "same"}
    hers = await exchange.call("POST", "/v1/withdrawals", body, headers=headers)
    target = f"/v1/withdrawals/{hers.json()['withdrawal_id']}"
    assert (await exchange.call("GET", target, key_id="key-2")).status_code == 404
    assert (await exchange.call("GET", "/v1/withdrawals", key_id="key-2")).json()[
        "withdrawals"
    ] == []
    his = await exchange.call("POST", "/v1/withdrawals", body, key_id="key-2", headers=headers)
    assert his.status_code == 202
    assert his.json()["withdrawal_id"] != hers.json()["withdrawal_id"]


async def test_balances_and_addresses_are_ones_own(exchange: Exchange) -> None:
    """The customer is the key's; no parameter names one."""
    named = await exchange.call("GET", "/v1/deposit-addresses?customer_id=2")
    assert named.json()["code"] == "unknown_parameter"
    alice = (await exchange.call("GET", "/v1/deposit-addresses")).json()
    bob = (await exchange.call("GET", "/v1/deposit-addresses", key_id="key-2")).json()
    assert alice != bob
    await exchange.place()
    held = (await exchange.call("GET", "/v1/balances", key_id="key-2")).json()["balances"]
    assert all(balance["in_orders"] == "0" for balance in held)
