"""Orders that wait for a price, over the API, against the real engine in the same process."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.api.exchange import Exchange

STOP: dict[str, Any] = {"side": "sell", "type": "stop", "price": ..., "trigger_price": "2450"}
TRAIL: dict[str, Any] = {"side": "sell", "type": "trailing_stop", "price": ...}


async def trade(exchange: Exchange, price: str) -> None:
    """Let the last price be `price`, and leave 1.5 ETH wanted there."""
    await exchange.place("key-2", price=price, quantity="1.6")
    await exchange.place(side="sell", price=price, quantity="0.1")


async def look(exchange: Exchange, order_id: str) -> Any:
    """Return an order as its owner sees it."""
    return (await exchange.call("GET", f"/v1/orders/{order_id}")).json()


async def test_a_stop_waits_and_then_sells(exchange: Exchange) -> None:
    """Outside the book until a trade at its trigger; then it takes what there is."""
    placed = (await exchange.place(**STOP)).json()
    assert (placed["status"], placed["waiting"], placed["trigger_price"]) == ("open", True, "2450")
    assert (placed["price"], placed["time_in_force"]) == (None, "gtc")
    assert exchange.door.engine.book(1, 9) == ([], [])
    await trade(exchange, "2450")
    assert (await look(exchange, placed["order_id"]))["status"] == "filled"
    exchange.follow()
    done = await look(exchange, placed["order_id"])
    assert (done["waiting"], done["filled_quantity"], done["average_price"]) == (
        False,
        "1",
        "2450",
    )


async def test_a_stop_limit_stands_in_the_book_once_it_is_triggered(exchange: Exchange) -> None:
    """It is open all the time, and waits only until its trigger."""
    order = {"type": "stop_limit", "side": "sell", "price": "2460", "trigger_price": "2450"}
    placed = (await exchange.place(**order)).json()
    await trade(exchange, "2450")
    found = await look(exchange, placed["order_id"])
    assert (found["status"], found["waiting"], found["price"]) == ("open", False, "2460")
    assert exchange.door.engine.book(1, 9)[1] == [(246_000, 10_000)]


async def test_a_trailing_stop_follows(exchange: Exchange) -> None:
    """Its distance is a term; it acts when the price turns by that from the best since.

    While it waits, its owner sees where it has moved to.
    """
    await trade(exchange, "2500")
    placed = (await exchange.place(**TRAIL, trailing_offset="50")).json()
    assert (placed["trailing_offset"], placed["trigger_price"], placed["waiting"]) == (
        "50",
        None,
        True,
    )
    exchange.follow()
    assert (await look(exchange, placed["order_id"]))["trigger_price"] == "2450"
    await trade(exchange, "2550")
    (listed,) = (await exchange.call("GET", "/v1/orders")).json()["orders"]
    assert (listed["trigger_price"], listed["trailing_offset"]) == ("2500", "50")
    await exchange.call("DELETE", "/v1/orders", key_id="key-2")
    await trade(exchange, "2500")
    done = await look(exchange, placed["order_id"])
    assert (done["status"], done["trigger_price"]) == ("filled", None)


async def test_a_fill_by_a_stop_that_the_order_set_off_is_in_its_answer(
    exchange: Exchange,
) -> None:
    """Its rest has been a maker by the time of the answer, whose fills add up to what is filled."""
    await trade(exchange, "2500")
    await exchange.call("DELETE", "/v1/orders", key_id="key-2")
    await exchange.place(**{**STOP, "quantity": "0.5"})
    await exchange.place(side="sell", price="2440", quantity="0.3")
    placed = (await exchange.place("key-2", price="2440", quantity="1")).json()
    assert placed["filled_quantity"] == "0.8"
    assert [(fill["role"], fill["quantity"]) for fill in placed["fills"]] == [
        ("taker", "0.3"),
        ("maker", "0.5"),
    ]
    fees = [Decimal(fill["fee"]) for fill in placed["fills"]]
    assert fees[1] * 3 * 2 == fees[0] * 5  # a maker pays half of a taker's rate
    assert sum(fees) == Decimal(placed["fee"])


async def test_the_trigger_price_is_amended_while_it_waits(exchange: Exchange) -> None:
    """By amend, and a repeat of the placement shows the one it has by then."""
    placed = await exchange.place(**STOP, client_order_id="stop")
    amended = (await exchange.amend(placed, trigger_price="2400")).json()
    assert (amended["trigger_price"], amended["previous_trigger_price"]) == ("2400", "2450")
    assert (amended["price"], amended["kept_place"], amended["status"]) == (None, True, "open")
    again = (await exchange.place(**STOP, client_order_id="stop")).json()
    assert (again["trigger_price"], again["waiting"], again["duplicate"]) == ("2400", True, True)
    foreign = await exchange.amend(placed, "key-2", trigger_price="2300")
    assert foreign.json()["code"] == "order_not_found"
    plain = await exchange.place(price="2400", quantity="0.1")
    refused = await exchange.amend(plain, trigger_price="2300")
    assert refused.status_code == 422
    exchange.follow()
    assert (await look(exchange, placed.json()["order_id"]))["trigger_price"] == "2400"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({**STOP, "trigger_price": ...}, "invalid_trigger"),
        ({**STOP, "trigger_price": "0"}, "invalid_trigger"),
        ({**STOP, "trigger_price": "2450.001"}, "invalid_trigger"),
        ({**STOP, "trigger_price": "-1"}, "invalid_number"),
        ({**STOP, "trigger_price": 2450}, "invalid_field"),
        ({**STOP, "trigger_price": "1" * 29}, "overflow"),
        ({**STOP, "trigger_price": "2550"}, "would_trigger_immediately"),
        ({**STOP, "trailing_offset": "5"}, "invalid_combination"),
        ({**STOP, "time_in_force": "ioc"}, "invalid_combination"),
        ({**STOP, "price": "2400"}, "invalid_combination"),
        ({**STOP, "post_only": True}, "invalid_combination"),
        ({**STOP, "quantity": ..., "quote_amount": "100"}, "invalid_combination"),
        ({**STOP, "type": "stop_limit"}, "invalid_price"),
        ({**STOP, "type": "limit", "price": "2400"}, "invalid_combination"),
        ({**STOP, "type": "market"}, "invalid_combination"),
        ({**STOP, "type": "stop_market"}, "invalid_field"),
        (TRAIL, "invalid_trigger"),
        ({**TRAIL, "trailing_offset": "0"}, "invalid_trigger"),
        ({**TRAIL, "trailing_offset": "5", "trigger_price": "2400"}, "invalid_combination"),
    ],
)
async def test_refusals(exchange: Exchange, fields: dict[str, Any], code: str) -> None:
    """A wrong trigger has its own code, dry or not, and nothing waits afterwards."""
    await trade(exchange, "2500")
    before = exchange.door.engine.account_balances(1)
    for target in ("/v1/orders", "/v1/orders/dry-run"):
        answer = await exchange.place(target=target, **fields)
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert exchange.door.engine.account_balances(1) == before
    assert exchange.door.engine.open_orders(1) == []


async def test_what_waits_is_cancelled_like_any_order(exchange: Exchange) -> None:
    """One by one, by side, in a batch, and by the dead-man's switch."""
    first = (await exchange.place(**STOP)).json()
    cancelled = await exchange.call("DELETE", f"/v1/orders/{first['order_id']}")
    assert cancelled.json()["remaining_quantity"] == "1"
    await exchange.place(**STOP, quantity="0.5")
    whole = await exchange.call("DELETE", "/v1/orders?side=sell")
    assert len(whole.json()["cancelled"]) == 1
    await exchange.place(**STOP, quantity="0.4")
    await exchange.call("POST", "/v1/dead-mans-switch", {"timeout_seconds": 1})
    exchange.door.wait(2)
    assert exchange.door.engine.open_orders(1) == []
