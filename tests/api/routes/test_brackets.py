"""Brackets over the API, against the real engine in the same process."""

from __future__ import annotations

from typing import Any

import pytest

from domain.commands import Debit
from tests.api.exchange import Exchange

BRACKET: dict[str, Any] = {
    "kind": "bracket",
    "symbol": "ETH/USDT",
    "side": "buy",
    "quantity": "1",
    "entry": {"price": "2500"},
    "take_profit": {"price": "2600"},
    "stop_loss": {"trigger_price": "2400"},
}
LISTS = "/v1/order-lists"


async def place(exchange: Exchange, **fields: Any) -> Any:
    """Place a bracket; `fields` replace those of `BRACKET`."""
    target = fields.pop("target", LISTS)
    return await exchange.call("POST", target, {**BRACKET, **fields})


async def look(exchange: Exchange, answer: dict[str, Any]) -> Any:
    """Return a placed list as its owner sees it now."""
    return (await exchange.call("GET", f"{LISTS}/{answer['order_list_id']}")).json()


def base_asset(exchange: Exchange) -> int:
    """Return the id of the asset that the market's orders sell."""
    return exchange.door.engine.markets()[0].rules.base_asset_id


async def fill(exchange: Exchange, quantity: str, price: str = "2500") -> None:
    """Let another customer sell to the entry."""
    sold = await exchange.place("key-2", side="sell", price=price, quantity=quantity)
    assert sold.status_code == 201


async def test_the_exits_are_pending(exchange: Exchange) -> None:
    """Three orders of one list; what closes is of the other side, and holds nothing yet."""
    placed = await place(exchange)
    assert placed.status_code == 201
    answer = placed.json()
    entry, profit, loss = answer["orders"]
    assert (answer["kind"], answer["status"]) == ("bracket", "open")
    assert [order["side"] for order in answer["orders"]] == ["buy", "sell", "sell"]
    assert [order["type"] for order in answer["orders"]] == ["limit", "limit", "stop"]
    assert [order["pending"] for order in answer["orders"]] == [False, True, True]
    assert (entry["post_only"], profit["post_only"], loss["waiting"]) == (False, True, True)
    assert {order["order_list_id"] for order in answer["orders"]} == {entry["order_id"]}
    balances = (await exchange.call("GET", "/v1/balances")).json()["balances"]
    held = {each["asset"]: each["in_orders"] for each in balances}
    assert held["ETH"] == "0"
    exchange.follow()
    assert await look(exchange, answer) == {**answer, "orders": answer["orders"]}


async def test_a_partly_filled_entry_and_its_cancel(exchange: Exchange) -> None:
    """The exits are for what was bought, in the engine and in the history."""
    answer = (await place(exchange)).json()
    await fill(exchange, "0.4")
    entry = answer["orders"][0]["order_id"]
    gone = (await exchange.call("DELETE", f"/v1/orders/{entry}")).json()
    assert (gone["filled_quantity"], gone["also_cancelled"]) == ("0.4", [])
    for _ in range(2):
        found = await look(exchange, answer)
        assert [order["quantity"] for order in found["orders"]] == ["1", "0.4", "0.4"]
        assert [order["pending"] for order in found["orders"]] == [False] * 3
        assert [order["status"] for order in found["orders"]] == ["cancelled", "open", "open"]
        exchange.follow()


async def test_a_take_profit_ends_the_stop(exchange: Exchange) -> None:
    """Armed, the two are an OCO; the list is done with the last."""
    answer = (await place(exchange)).json()
    await fill(exchange, "1")
    await exchange.place("key-2", price="2600", quantity="1")
    exchange.follow()
    found = await look(exchange, answer)
    assert found["status"] == "done"
    assert [order["close_reason"] for order in found["orders"]] == [
        "filled",
        "filled",
        "order_list_done",
    ]


async def test_a_market_entry(exchange: Exchange) -> None:
    """Without a price it takes what there is; the answer tells the fill and the armed exit."""
    await exchange.place("key-2", side="sell", price="2501", quantity="0.3")
    fields = {"entry": {}, "take_profit": None, "stop_loss": {"trailing_offset": "50"}}
    answer = (await place(exchange, **fields)).json()
    entry, loss = answer["orders"]
    assert (entry["type"], entry["time_in_force"], entry["filled_quantity"]) == (
        "market",
        "ioc",
        "0.3",
    )
    assert (loss["type"], loss["quantity"], loss["pending"]) == ("trailing_stop", "0.3", False)


async def test_exits_that_cannot_be_held_tell_why(exchange: Exchange) -> None:
    """The refusal is in the order as the history has it."""
    answer = (await place(exchange)).json()
    await fill(exchange, "0.4")
    door, eth = exchange.door, base_asset(exchange)
    total, held = door.engine.account_balances(1)[eth]
    door.apply(Debit(77, 1, eth, total - held, door.time_us))
    await exchange.call("DELETE", f"/v1/orders/{answer['orders'][0]['order_id']}")
    exchange.follow()
    found = await look(exchange, answer)
    assert [order["close_reason"] for order in found["orders"][1:]] == ["refused_at_trigger"] * 2
    assert [order["refusal"] for order in found["orders"]] == [None] + ["insufficient_funds"] * 2


@pytest.mark.parametrize("filled", ["0", "0.4", "1"])
async def test_a_bracket_is_cancelled_by_its_id(exchange: Exchange, filled: str) -> None:
    """All that is open of it goes, and nothing is armed by that."""
    answer = (await place(exchange)).json()
    if filled != "0":
        await fill(exchange, filled)
    gone = await exchange.call("DELETE", f"{LISTS}/{answer['order_list_id']}")
    assert len(gone.json()["cancelled"]) == (2 if filled == "1" else 3), gone.json()
    assert exchange.door.engine.open_orders(1) == []
    again = await exchange.call("DELETE", f"{LISTS}/{answer['order_list_id']}")
    assert (again.status_code, again.json()["code"]) == (404, "order_not_found")


async def test_the_cancel_of_the_entry_tells_of_the_others(exchange: Exchange) -> None:
    """By their ids."""
    answer = (await place(exchange)).json()
    entry, *exits = (order["order_id"] for order in answer["orders"])
    gone = (await exchange.call("DELETE", f"/v1/orders/{entry}")).json()
    assert (gone["order_id"], gone["also_cancelled"]) == (entry, exits)


async def test_a_repeat_is_the_first_answer_again(exchange: Exchange) -> None:
    """As it is by then; another content is a conflict."""
    named = {
        "entry": {"price": "2500", "client_order_id": "in"},
        "take_profit": {"price": "2600", "client_order_id": "up"},
        "stop_loss": {"trigger_price": "2400", "client_order_id": "down"},
    }
    first = (await place(exchange, **named)).json()
    again = await place(exchange, **named)
    assert (again.status_code, again.json()["duplicate"]) == (200, True)
    assert [order["pending"] for order in again.json()["orders"]] == [False, True, True]
    assert again.json()["order_list_id"] == first["order_list_id"]
    other = await place(exchange, **{**named, "stop_loss": None})
    assert (other.status_code, other.json()["code"]) == (409, "duplicate_client_order_id")


async def test_the_entry_is_amended_and_its_exits_are_not(exchange: Exchange) -> None:
    """The price stays between those of the exits."""
    answer = (await place(exchange)).json()
    entry, profit, _ = (f"/v1/orders/{order['order_id']}" for order in answer["orders"])
    assert (await exchange.call("PATCH", entry, {"price": "2450"})).status_code == 200
    for target, price, code in (
        (profit, "2650", "order_in_list"),
        (entry, "2390", "list_prices_crossed"),
    ):
        refused = await exchange.call("PATCH", target, {"price": price})
        assert refused.json()["code"] == code


@pytest.mark.parametrize(
    ("fields", "code", "order"),
    [
        ({"entry": None}, "invalid_field", None),
        ({"take_profit": None, "stop_loss": None}, "invalid_field", None),
        ({"entry": {"price": "25x"}}, "invalid_number", "entry"),
        ({"entry": {"time_in_force": "gtc"}}, "invalid_combination", "entry"),
        ({"entry": {}}, "no_liquidity", "entry"),
        (
            {"entry": {"price": "2500", "post_only": True}, "quantity": "0"},
            "invalid_quantity",
            "entry",
        ),
        ({"quantity": "999"}, "insufficient_funds", "entry"),
        ({"take_profit": {"price": "2600.001"}}, "invalid_price", "take_profit"),
        ({"stop_loss": {}}, "invalid_trigger", "stop_loss"),
        ({"stop_loss": {"trailing_offset": "2500"}}, "invalid_trigger", "stop_loss"),
        (
            {"take_profit": None, "stop_loss": {"trigger_price": "2400", "price": "1"}},
            "price_outside_band",
            "stop_loss",
        ),
        ({"take_profit": {"price": "2500"}}, "list_prices_crossed", None),
        ({"stop_loss": {"trigger_price": "2500"}}, "list_prices_crossed", None),
        ({"time_in_force": "gtd"}, "invalid_combination", "take_profit"),
        ({"time_in_force": "gtd", "expires_at_us": 1}, "expiry_passed", "take_profit"),
    ],
)
async def test_refusals(
    exchange: Exchange, fields: dict[str, Any], code: str, order: str | None
) -> None:
    """The order at fault is named, dry or not, and nothing is held afterwards."""
    before = exchange.door.engine.account_balances(1)
    for target in (LISTS, f"{LISTS}/dry-run"):
        problem = (await place(exchange, target=target, **fields)).json()
        assert (problem["code"], problem.get("order")) == (code, order), problem
    assert exchange.door.engine.account_balances(1) == before
    assert exchange.door.engine.open_orders(1) == []


async def test_a_dry_run_tells_the_entrys_hold(exchange: Exchange) -> None:
    """The exits hold nothing yet."""
    dry = (await place(exchange, target=f"{LISTS}/dry-run")).json()
    alone = await exchange.place(target="/v1/orders/dry-run", price="2500", quantity="1")
    assert (dry["hold"], dry["hold_asset"]) == (alone.json()["hold"], "USDT")
