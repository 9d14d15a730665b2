"""Orders over the API, against the real engine in the same process."""

from __future__ import annotations

from typing import Any

import pytest

from api.ports import EngineAway, EngineOutcomeUnknown
from domain.events import OrderAccepted
from tests.api.exchange import Exchange
from tests.api.memory import ETH, USDT

SWITCH = "/v1/dead-mans-switch"
STOP: dict[str, Any] = {"type": "stop", "price": ..., "trigger_price": "2600"}
SPEND: dict[str, Any] = {"type": "market", "price": ..., "quantity": ..., "quote_amount": "100"}


async def test_a_resting_order(exchange: Exchange) -> None:
    """The answer says what was accepted, in text, with the engine's sequence."""
    answer = await exchange.place(client_order_id="my-1", price="2499.50")
    assert answer.status_code == 201
    order = answer.json()
    assert order["status"] == "open"
    assert (order["price"], order["quantity"], order["filled_quantity"]) == ("2499.5", "1", "0")
    assert order["client_order_id"] == "my-1"
    assert order["sequence"] == exchange.door.engine.sequence


async def test_fills_are_in_the_answer(exchange: Exchange) -> None:
    """A taker learns price, quantity and fee of each fill from the answer itself."""
    await exchange.place(side="sell", price="2500", quantity="0.4")
    await exchange.place(side="sell", price="2501", quantity="1")
    order = (await exchange.place("key-2", price="2501", quantity="1")).json()
    assert order["status"] == "filled"
    assert [(fill["price"], fill["quantity"], fill["fee"]) for fill in order["fills"]] == [
        ("2500", "0.4", "2"),
        ("2501", "0.6", "3.0012"),
    ]
    assert (order["filled_quote"], order["fee"]) == ("2500.6", "5.0012")


async def test_a_market_order(exchange: Exchange) -> None:
    """No price; what cannot be filled at once expires."""
    await exchange.place(side="sell", price="2500", quantity="0.4")
    order = (await exchange.place("key-2", type="market", price=..., quantity="1")).json()
    assert (order["status"], order["filled_quantity"], order["price"]) == ("expired", "0.4", None)
    assert order["time_in_force"] == "ioc"


async def test_a_market_buy_by_quote_amount(exchange: Exchange) -> None:
    """It spends at most the amount, fee included; quantity and average price are what it got."""
    await exchange.place(side="sell", price="2500", quantity="0.01")
    await exchange.place(side="sell", price="2600", quantity="1", client_order_id="deep")
    order = (await exchange.place("key-2", **SPEND)).json()
    assert (order["quote_amount"], order["status"]) == ("100", "filled")
    assert order["quantity"] == order["filled_quantity"] == "0.0387"
    assert (order["filled_quote"], order["fee"]) == ("99.62", "0.19924")
    assert order["average_price"] == "2574.160206"  # 99.62 / 0.0387, rounded down
    refused = await exchange.place("key-2", **{**SPEND, "quote_amount": "0.2"})
    assert refused.json()["code"] == "budget_too_small"


async def test_an_iceberg(exchange: Exchange) -> None:
    """The book shows one slice; its owner sees the whole order."""
    placed = await exchange.place(display_quantity="0.25")
    order = placed.json()
    assert (order["quantity"], order["display_quantity"]) == ("1", "0.25")
    assert exchange.door.engine.book(1, 9) == ([(250_000, 2_500)], [])
    await exchange.place("key-2", side="sell", quantity="0.3")
    assert exchange.door.engine.book(1, 9) == ([(250_000, 2_000)], [])
    amended = (await exchange.amend(placed, quantity="0.4")).json()
    assert (amended["quantity"], amended["filled_quantity"], amended["kept_place"]) == (
        "0.4",
        "0.3",
        True,
    )


async def test_an_order_with_an_end(exchange: Exchange) -> None:
    """A gtd order says when it goes, and goes then, by the engine's time."""
    until = exchange.door.time_us + 60_000_000
    placed = await exchange.place(time_in_force="gtd", expires_at_us=until)
    order = placed.json()
    assert (order["time_in_force"], order["expires_at_us"], order["status"]) == (
        "gtd",
        until,
        "open",
    )
    exchange.door.wait(61)
    target = f"/v1/orders/{order['order_id']}"
    assert (await exchange.call("GET", target)).json()["status"] == "expired"
    assert exchange.door.engine.open_orders(1) == []


async def test_meeting_ones_own_order_by_decrement(exchange: Exchange) -> None:
    """Both shrink by the smaller one; nothing is traded, no fee is due."""
    own = (await exchange.place(side="sell", price="2500", quantity="1")).json()
    order = (await exchange.place(quantity="0.4", self_trade="decrement")).json()
    assert (order["status"], order["quantity"], order["fills"]) == ("expired", "0", [])
    assert (order["self_trade"], order["close_reason"]) == ("decrement", "self_trade")
    left = (await exchange.call("GET", f"/v1/orders/{own['order_id']}")).json()
    assert (left["quantity"], left["status"], left["fee"]) == ("0.6", "open", "0")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"symbol": "DOGE/USDT"}, 404, "unknown_symbol"),
        ({"symbol": "' OR 1=1 --"}, 404, "unknown_symbol"),
        ({"price": "2500.001"}, 422, "invalid_price"),
        ({"quantity": "0.00001"}, 422, "invalid_quantity"),
        ({"price": "0"}, 422, "invalid_price"),
        ({"quantity": "0"}, 422, "invalid_quantity"),
        ({"price": "-1"}, 422, "invalid_number"),
        ({"quantity": "-0.5"}, 422, "invalid_number"),
        ({"quantity": "1e3"}, 422, "invalid_number"),
        ({"price": "NaN"}, 422, "invalid_number"),
        ({"price": "Infinity"}, 422, "invalid_number"),
        ({"price": "0x10"}, 422, "invalid_number"),
        ({"price": " 2500"}, 422, "invalid_number"),
        ({"price": "2,500"}, 422, "invalid_number"),
        ({"price": "٢٥٠٠"}, 422, "invalid_number"),
        ({"quantity": "1" + "0" * 29}, 422, "overflow"),
        ({"quantity": "1" * 65}, 422, "invalid_field"),
        ({"quantity": "1001"}, 422, "quantity_too_large"),
        ({"price": "2800"}, 422, "price_outside_band"),
        ({"price": "2700", "quantity": "900"}, 422, "insufficient_funds"),
        ({"price": ...}, 422, "invalid_price"),
        ({"type": "market"}, 422, "invalid_combination"),
        ({"type": "market", "price": ..., "post_only": True}, 422, "invalid_combination"),
        ({"type": "market", "price": ..., "time_in_force": "gtc"}, 422, "invalid_combination"),
        ({"type": "market", "price": ...}, 422, "no_liquidity"),
        ({"time_in_force": "fok"}, 422, "fok_not_fillable"),
        ({"quantity": ...}, 422, "invalid_quantity"),
        ({"time_in_force": "gtd"}, 422, "invalid_combination"),
        ({"expires_at_us": 2**62}, 422, "invalid_combination"),
        ({"time_in_force": "gtd", "expires_at_us": 10**15}, 422, "expiry_passed"),
        ({"time_in_force": "gtd", "expires_at_us": 0}, 422, "invalid_field"),
        ({"time_in_force": "gtd", "expires_at_us": -1}, 422, "invalid_field"),
        ({"time_in_force": "gtd", "expires_at_us": 2**63}, 422, "invalid_field"),
        ({"time_in_force": "gtd", "expires_at_us": 1e300}, 422, "invalid_field"),
        ({"time_in_force": "gtd", "expires_at_us": "2030-01-01"}, 422, "invalid_field"),
        ({"time_in_force": "gtd", "expires_at_us": True}, 422, "invalid_field"),
        ({"display_quantity": "0"}, 422, "invalid_quantity"),
        ({"display_quantity": "1.1"}, 422, "invalid_quantity"),
        ({"display_quantity": "0.00001"}, 422, "invalid_quantity"),
        ({"display_quantity": "0.0099"}, 422, "too_many_slices"),
        ({"display_quantity": "0.5", "time_in_force": "ioc"}, 422, "invalid_combination"),
        ({"post_only": True, "time_in_force": "ioc"}, 422, "invalid_combination"),
        ({"quote_amount": "100"}, 422, "invalid_combination"),
        ({"quote_amount": "100", "quantity": ...}, 422, "invalid_combination"),
        ({**SPEND, "quote_amount": ...}, 422, "invalid_quantity"),
        ({**SPEND, "side": "sell"}, 422, "invalid_combination"),
        ({**SPEND, "time_in_force": "fok"}, 422, "invalid_combination"),
        ({**SPEND, "self_trade": "decrement"}, 422, "invalid_combination"),
        ({**SPEND, "quote_amount": "0"}, 422, "invalid_amount"),
        ({**SPEND, "quote_amount": "0.0000001"}, 422, "invalid_number"),
        ({**SPEND, "quote_amount": "-5"}, 422, "invalid_number"),
        ({**SPEND, "quote_amount": "1" + "0" * 28}, 422, "overflow"),
        ({**SPEND, "quote_amount": 100}, 422, "invalid_field"),
        (SPEND, 422, "no_liquidity"),
        ({**STOP, "time_in_force": "ioc"}, 422, "invalid_combination"),
        ({**STOP, "time_in_force": "fok"}, 422, "invalid_combination"),
        ({**STOP, "display_quantity": "0.5"}, 422, "invalid_combination"),
        ({"type": "market", "price": ..., "display_quantity": "1"}, 422, "invalid_combination"),
        ({"type": "stop_market"}, 422, "invalid_field"),
        ({"self_trade": "none"}, 422, "invalid_field"),
        ({"unknown": 1}, 422, "invalid_field"),
        ({"side": "BUY"}, 422, "invalid_field"),
        ({"client_order_id": "a b"}, 422, "invalid_field"),
        ({"client_order_id": "x" * 37}, 422, "invalid_field"),
        ({"client_order_id": ""}, 422, "invalid_field"),
    ],
)
async def test_refusals(exchange: Exchange, fields: dict[str, Any], status: int, code: str) -> None:
    """Each wrong order has its own code, dry or not, and leaves nothing behind."""
    before = exchange.door.engine.account_balances(1)
    answer = await exchange.place(**fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    if code.startswith(("invalid", "too_many", "insufficient")):
        assert answer.json()["detail"] != answer.json()["title"], "which rule it breaks is not told"
    dry = await exchange.place(target="/v1/orders/dry-run", **fields)
    assert (dry.status_code, dry.json()["code"]) == (status, code), dry.text
    assert exchange.door.engine.account_balances(1) == before


@pytest.mark.parametrize(
    ("fields", "hold", "asset"),
    [
        ({"price": "2400", "quantity": "2"}, "4809.6", "USDT"),
        ({"side": "sell", "price": "2600", "quantity": "2", "post_only": True}, "2", "ETH"),
        ({"price": "2400", "display_quantity": "0.5"}, "2404.8", "USDT"),
        ({"type": "market", "price": ..., "quantity": ..., "quote_amount": "100"}, "100", "USDT"),
    ],
)
async def test_a_dry_run_tells_the_hold_and_changes_nothing(
    exchange: Exchange, fields: dict[str, Any], hold: str, asset: str
) -> None:
    """What it answers is what the order then holds."""
    await exchange.place("key-2", side="sell", price="2500")
    before = exchange.door.engine.digest()
    answer = await exchange.place(target="/v1/orders/dry-run", **fields)
    assert answer.status_code == 200
    assert (answer.json()["hold"], answer.json()["hold_asset"]) == (hold, asset)
    assert answer.json()["sequence"] == exchange.door.engine.sequence
    assert exchange.door.engine.digest() == before
    placed = await exchange.place(client_order_id="real", **fields)
    assert placed.status_code == 201
    (accepted,) = [
        event for event in exchange.door.events if getattr(event, "client_text", "") == "real"
    ]
    assert isinstance(accepted, OrderAccepted)
    units = USDT.engine_units(hold) if asset == "USDT" else ETH.engine_units(hold)
    assert accepted.hold_units == units
    again = await exchange.place(target="/v1/orders/dry-run", client_order_id="real", **fields)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_client_order_id")


async def test_post_only_does_not_take(exchange: Exchange) -> None:
    """A post-only order that would trade is refused whole."""
    await exchange.place(side="sell", price="2500")
    answer = await exchange.place("key-2", price="2500", post_only=True)
    assert answer.json()["code"] == "post_only_would_trade"


async def test_the_same_client_id_with_the_same_body_is_the_first_answer(
    exchange: Exchange,
) -> None:
    """A retry after a lost answer: 200, the same order as it is now, marked as a duplicate."""
    first = (await exchange.place(client_order_id="once")).json()
    await exchange.place("key-2", side="sell", quantity="0.25")
    again = await exchange.place(client_order_id="once")
    assert again.status_code == 200
    assert again.json()["duplicate"] is True
    assert again.json()["order_id"] == first["order_id"]
    assert again.json()["sequence"] == first["sequence"]
    assert again.json()["filled_quantity"] == "0.25"
    assert len(exchange.door.engine.open_orders(1)) == 1


async def test_a_repeat_shows_the_order_as_it_is_by_then(exchange: Exchange) -> None:
    """An amend between request and repeat is seen; the acceptance is still the first one."""
    first = await exchange.place(client_order_id="once")
    await exchange.amend(first, price="2499", quantity="2")
    again = (await exchange.place(client_order_id="once")).json()
    assert (again["price"], again["quantity"], again["duplicate"]) == ("2499", "2", True)
    assert (again["sequence"], again["time_us"]) == (
        first.json()["sequence"],
        first.json()["time_us"],
    )


@pytest.mark.parametrize(
    "other", [{"price": "2499"}, {"quantity": "2"}, {"side": "sell"}, {"post_only": True}]
)
async def test_the_same_client_id_with_another_body_is_a_conflict(
    exchange: Exchange, other: dict[str, Any]
) -> None:
    """An id names one order; the answer says which."""
    first = (await exchange.place(client_order_id="once")).json()
    again = await exchange.place(client_order_id="once", **other)
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_client_order_id")
    assert again.json()["order_id"] == first["order_id"]


async def test_two_customers_may_use_the_same_client_id(exchange: Exchange) -> None:
    """Client order ids are scoped to the account."""
    answers = [await exchange.place(key, client_order_id="same") for key in ("key-1", "key-2")]
    assert [answer.status_code for answer in answers] == [201, 201]


@pytest.mark.parametrize("order_id", ["0", "abc", "-1", "1.0", "9" * 19, "9" * 30, "%00", "²"])
async def test_impossible_order_ids_are_not_found(exchange: Exchange, order_id: str) -> None:
    """Nothing but a positive 63-bit number names an order."""
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"quantity": "1"})):
        answer = await exchange.call(method, f"/v1/orders/{order_id}", body)
        assert (answer.status_code, answer.json()["code"]) in (
            (404, "order_not_found"),
            (401, "bad_signature"),  # the path was not sent as it was signed
        )


async def test_an_engine_that_is_away(exchange: Exchange) -> None:
    """503, and the answer says that nothing was sent."""
    exchange.door.failure = EngineAway("played")
    answer = await exchange.place()
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
    assert answer.json()["outcome"] == "nothing sent"
    assert answer.json()["retryable"] is True


async def test_an_unknown_outcome(exchange: Exchange) -> None:
    """503 with the client order id under which the outcome can be asked for."""
    exchange.door.failure = EngineOutcomeUnknown("played")
    answer = await exchange.place()
    assert (answer.status_code, answer.json()["code"]) == (503, "outcome_unknown")
    assert answer.json()["outcome"] == "unknown"
    assert answer.json()["client_order_id"].startswith("g-")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/orders"),
        ("GET", "/v1/orders/1"),
        ("DELETE", "/v1/orders/1"),
        ("DELETE", "/v1/orders"),
        ("PATCH", "/v1/orders/1"),
        ("POST", SWITCH),
        ("POST", "/v1/orders/dry-run"),
        ("GET", "/v1/balances"),
    ],
)
async def test_every_engine_route_survives_its_absence(
    exchange: Exchange, method: str, target: str
) -> None:
    """An absent engine is 503 on every route that needs it."""
    exchange.door.failure = EngineAway("played")
    body: Any = {"PATCH": {"quantity": "1"}, "POST": {"timeout_seconds": 1}}.get(method)
    if target.endswith("dry-run"):
        body = {"symbol": "ETH/USDT", "side": "buy", "price": "2500", "quantity": "1"}
    answer = await exchange.call(method, target, body)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
