"""Cancelling orders over the API, at once or by silence, against the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from domain.commands import SetSymbolState
from domain.order import SymbolState
from tests.api.exchange import Exchange
from tests.api.memory import ETH_USDT

SWITCH = "/v1/dead-mans-switch"


async def test_cancel_and_cancel_again(exchange: Exchange) -> None:
    """The first cancel answers what was left, the second that there is nothing."""
    order_id = (await exchange.place()).json()["order_id"]
    await exchange.place("key-2", side="sell", quantity="0.3")
    first = await exchange.call("DELETE", f"/v1/orders/{order_id}")
    assert first.json()["status"] == "cancelled"
    assert first.json()["filled_quantity"] == "0.3"
    assert first.json()["remaining_quantity"] == "0.7"
    again = await exchange.call("DELETE", f"/v1/orders/{order_id}")
    assert (again.status_code, again.json()["code"]) == (404, "order_not_found")


async def test_cancel_all_of_one_market(exchange: Exchange) -> None:
    """Every open order is closed, in id order; another market would be left alone."""
    ids = [
        (await exchange.place(client_order_id=f"p{number}")).json()["order_id"]
        for number in range(3)
    ]
    answer = await exchange.call("DELETE", "/v1/orders?symbol=ETH-USDT")
    assert [order["order_id"] for order in answer.json()["cancelled"]] == ids
    assert exchange.door.engine.open_orders(1) == []


async def test_cancel_all_of_one_side(exchange: Exchange) -> None:
    """Buys go and sells stay; a side that does not exist is refused before anything happens."""
    buy = (await exchange.place(price="2400")).json()
    await exchange.place(side="sell", price="2600")
    refused = await exchange.call("DELETE", "/v1/orders?side=both")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_field")
    answer = (await exchange.call("DELETE", "/v1/orders?side=buy&symbol=ETH-USDT")).json()
    assert [order["order_id"] for order in answer["cancelled"]] == [buy["order_id"]]
    assert [order.side.name for order in exchange.door.engine.open_orders(1)] == ["SELL"]


async def test_cancel_all_tells_what_a_halt_keeps(exchange: Exchange) -> None:
    """Orders of a halted market are counted, never passed over; named, it is the problem."""
    for side, price in (("buy", "2400"), ("buy", "2401"), ("sell", "2600")):
        await exchange.place(side=side, price=price)
    halt = SetSymbolState(ETH_USDT.symbol_id, SymbolState.HALTED, reason="a glitch")
    exchange.door.apply(halt)
    kept = {"symbol": "ETH/USDT", "reason": "a glitch"}
    answer = (await exchange.call("DELETE", "/v1/orders")).json()
    assert answer == {"cancelled": [], "halted": [{**kept, "open_orders": 3}]}
    answer = (await exchange.call("DELETE", "/v1/orders?side=buy")).json()
    assert answer["halted"] == [{**kept, "open_orders": 2}]
    assert (await exchange.call("DELETE", "/v1/orders", key_id="key-2")).json()["halted"] == []
    named = (await exchange.call("DELETE", "/v1/orders?symbol=ETH-USDT")).json()
    assert (named["code"], named["detail"]) == ("symbol_halted", "The market is halted: a glitch")
    exchange.door.apply(SetSymbolState(ETH_USDT.symbol_id, SymbolState.OPEN))
    answer = (await exchange.call("DELETE", "/v1/orders")).json()
    assert (len(answer["cancelled"]), answer["halted"]) == (3, [])


async def test_a_closed_market_says_why_to_every_request(exchange: Exchange) -> None:
    """Not only a new order: its dry run, an amend and a cancel have the operator's words too."""
    order_id = (await exchange.place(price="2400")).json()["order_id"]
    halt = SetSymbolState(ETH_USDT.symbol_id, SymbolState.HALTED, reason="a glitch")
    exchange.door.apply(halt)
    for answer in (
        await exchange.place(target="/v1/orders/dry-run"),
        await exchange.call("PATCH", f"/v1/orders/{order_id}", {"price": "2401"}),
        await exchange.call("DELETE", f"/v1/orders/{order_id}"),
    ):
        assert answer.json()["detail"] == "The market is halted: a glitch"


async def test_the_dead_mans_switch(exchange: Exchange) -> None:
    """It fires for its own account unless it is sent again in time or switched off."""
    await exchange.place(price="2400")
    await exchange.place("key-2", price="2401")
    armed = (await exchange.call("POST", SWITCH, {"timeout_seconds": 60})).json()
    assert armed["deadline_us"] == armed["time_us"] + 60_000_000
    exchange.door.wait(50)
    await exchange.call("POST", SWITCH, {"timeout_seconds": 60})
    exchange.door.wait(50)
    assert len(exchange.door.engine.open_orders(1)) == 1
    off = (await exchange.call("POST", SWITCH, {"timeout_seconds": 0})).json()
    assert off["deadline_us"] is None
    exchange.door.wait(100)
    assert len(exchange.door.engine.open_orders(1)) == 1
    await exchange.call("POST", SWITCH, {"timeout_seconds": 1})
    exchange.door.wait(2)
    assert exchange.door.engine.open_orders(1) == []
    assert len(exchange.door.engine.open_orders(2)) == 1, "the other account's stay"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"timeout_seconds": 86_401}, "invalid_timeout"),
        ({"timeout_seconds": -1}, "invalid_field"),
        ({"timeout_seconds": 10**10}, "invalid_field"),
        ({"timeout_seconds": "60"}, "invalid_field"),
        ({"timeout_seconds": 1.5}, "invalid_field"),
        ({"timeout_seconds": 60, "account_id": 2}, "invalid_field"),
        ({}, "invalid_field"),
    ],
)
async def test_a_dead_mans_switch_that_cannot_be(
    exchange: Exchange, body: dict[str, Any], code: str
) -> None:
    """A wrong time, or a word about another account, arms nothing."""
    await exchange.place()
    answer = await exchange.call("POST", SWITCH, body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    exchange.door.wait(90_000)
    assert len(exchange.door.engine.open_orders(1)) == 1


async def test_a_switch_whose_answer_was_lost_is_sent_again(exchange: Exchange) -> None:
    """It may have been armed; arming it again moves the deadline and nothing else."""
    exchange.door.loses_answers = True
    lost = await exchange.call("POST", SWITCH, {"timeout_seconds": 60})
    assert (lost.status_code, lost.json()["code"]) == (503, "outcome_unknown")
    exchange.door.loses_answers = False
    again = await exchange.call("POST", SWITCH, {"timeout_seconds": 60})
    assert again.json()["deadline_us"] == again.json()["time_us"] + 60_000_000


async def test_a_cancel_does_not_tell_what_expired_with_it(exchange: Exchange) -> None:
    """Bob's order whose time has come closes with Alice's command, and is not in her answer."""
    until = exchange.door.time_us + 1_000_000
    for number in range(2):
        await exchange.place(
            "key-2", price="2400", time_in_force="gtd", expires_at_us=until + number * 5_000_000
        )
    mine = [(await exchange.place(price=f"241{number}")).json()["order_id"] for number in range(2)]
    exchange.door.time_us += 2_000_000
    single = await exchange.call("DELETE", f"/v1/orders/{mine[0]}")
    assert single.json()["order_id"] == mine[0]
    exchange.door.time_us += 5_000_000
    whole = (await exchange.call("DELETE", "/v1/orders")).json()["cancelled"]
    assert [order["order_id"] for order in whole] == [mine[1]]
    assert exchange.door.engine.open_orders(2) == []
