"""The calls of the client: one for each route, with the types that the route itself has."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.app import ROUTERS
from api.client import accounts, compliance, keys, markets, orders, positions, sessions, withdrawals
from api.client.call import Call, get
from api.edge import access_of
from api.schemas.accounts import WithdrawalIn
from api.schemas.keys import KeyIn
from api.schemas.order_lists import PlaceOrderListIn
from api.schemas.orders import AmendOrderIn, BatchPlace, OrderPage, PlaceOrderIn
from api.schemas.perpetuals import MarginMoveIn
from api.schemas.sessions import ActivationIn, EnrolmentIn, PasswordIn, SignInIn
from api.schemas.transfers import TransferIn
from api.schemas.withdrawal_addresses import WithdrawalAddressIn
from tests.api.test_access import BODIES, ROUTES

_MODULES = (accounts, compliance, keys, markets, orders, positions, sessions, withdrawals)
_ORDER = PlaceOrderIn.model_validate(BODIES["/v1/orders"])
_LIST = PlaceOrderListIn.model_validate(BODIES["/v1/order-lists"])
_ARGUMENTS: dict[str, Any] = {
    "order": _ORDER,
    "orders": _LIST,
    "terms": AmendOrderIn(quantity="1"),
    "operations": [BatchPlace(op="place", **BODIES["/v1/orders"])],
    "move": MarginMoveIn.model_validate(BODIES["/v1/margin"]),
    "withdrawal": WithdrawalIn.model_validate(BODIES["/v1/withdrawals"]),
    "key": KeyIn.model_validate(BODIES["/v1/keys"]),
    "login": SignInIn.model_validate(BODIES["/v1/sessions"]),
    "link": BODIES["/v1/sessions/link"]["link"],
    "code": "000000",
    "passwords": PasswordIn.model_validate(BODIES["/v1/login/password"]),
    "wanted": EnrolmentIn.model_validate(BODIES["/v1/login/enrolment"]),
    "shown": ActivationIn.model_validate(BODIES["/v1/login/activation"]),
    "timeout_seconds": 60,
    "leverage": 2,
    "mode": "isolated",
    "symbol": "ETH/USDT",
}
_TRANSFER = TransferIn.model_validate(BODIES["/v1/transfers"])
_ADDRESS = WithdrawalAddressIn.model_validate(BODIES["/v1/withdrawal-addresses"])


def _made(function: Callable[..., Call[Any]]) -> Call[Any]:
    """Return what a function of the client makes of some input."""
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            continue
        given[name] = _ARGUMENTS.get(name, "1")
    if function is accounts.transfer:
        given["move"] = _TRANSFER
    if function is withdrawals.add_address:
        given["address"] = _ADDRESS
    return function(**given)


def _calls() -> Iterator[Call[BaseModel]]:
    for module in _MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield _made(function)


def _route(call: Call[Any]) -> APIRoute:
    for method, route in ROUTES:
        if method == call.method and route.path_regex.fullmatch(call.path):
            return route
    raise AssertionError(f"no route for {call.method} {call.path}")


def test_every_route_has_a_call() -> None:
    """Each route of the application, and no other."""
    called = {(call.method, _route(call).path) for call in _calls()}
    routed = {
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert called == routed


def test_a_call_has_the_types_of_its_route() -> None:
    """The answer is the route's own model, and a body is read by the route's own schema."""
    for call in _calls():
        route = _route(call)
        assert call.answer is route.response_model, call.path
        assert call.is_public == (access_of(route.endpoint).scope is None), call.path
        if call.body:
            assert route.body_field is not None
            route.body_field.field_info.annotation.model_validate_json(call.body)  # type: ignore[union-attr]


def test_an_order_that_is_repeated_is_one_order() -> None:
    """Who gives no name has one made, once: the call is the same however often it is sent."""
    call = orders.place(_ORDER)
    name = json.loads(call.body)["client_order_id"]
    assert len(name) > 30
    assert json.loads(orders.place(_ORDER).body)["client_order_id"] != name
    named = _ORDER.model_copy(update={"client_order_id": "mine"})
    assert json.loads(orders.place(named).body)["client_order_id"] == "mine"
    listed = json.loads(orders.place_list(_LIST).body)
    names = {listed[part]["client_order_id"] for part in ("take_profit", "stop_loss")}
    assert len(names) == 2
    operation = BatchPlace(op="place", **BODIES["/v1/orders"])
    batch = json.loads(orders.batch([operation, operation]).body)["operations"]
    assert len({one["client_order_id"] for one in batch}) == 2
    names = {withdrawals.request(_ARGUMENTS["withdrawal"]).idempotency_key for _ in range(2)}
    assert len(names) == 2


def test_only_what_was_set_is_sent() -> None:
    """The exchange's defaults are its own: a body says no more than its writer did."""
    body = json.loads(orders.dry_run(_ORDER).body)
    assert body == BODIES["/v1/orders"]


def test_parts_of_a_path_are_quoted() -> None:
    """An identifier cannot lead to another route."""
    assert orders.one("../withdrawals").path == "/v1/orders/..%2Fwithdrawals"
    assert markets.book("ETH/USDT").path == "/v1/markets/ETH-USDT/book"
    assert orders.cancel_all("ETH/USDT").target == "/v1/orders?symbol=ETH%2FUSDT"


def test_the_page_that_follows() -> None:
    """The cursor takes the place of the one before; the last page has none."""
    call = get(OrderPage, "/v1/orders", state="all", limit=2)
    second = call.following(OrderPage(orders=[], next="a="))
    assert second is not None
    assert second.target == "/v1/orders?state=all&limit=2&cursor=a%3D"
    third = second.following(OrderPage(orders=[], next="b"))
    assert third is not None
    assert third.target == "/v1/orders?state=all&limit=2&cursor=b"
    assert third.following(OrderPage(orders=[])) is None
