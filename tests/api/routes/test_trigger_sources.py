"""Which price sets an order off: the last one, or on a perpetual its mark or its index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.api.perpetual_exchange import ETH_PERP, MIDDLE, PerpetualExchange

SYMBOL = ETH_PERP.symbol
STOP: dict[str, Any] = {"side": "sell", "type": "stop", "trigger_price": "2450"}


@pytest_asyncio.fixture
async def perps() -> AsyncIterator[PerpetualExchange]:
    """Give an exchange whose perpetual trades, with a long of 2 of the first customer's."""
    made = PerpetualExchange()
    await made.buy("2", leverage=10)
    yield made
    await made.http.aclose()


async def look(perps: PerpetualExchange, order_id: str) -> Any:
    """Return an order as its owner sees it."""
    return (await perps.call("GET", f"/v1/orders/{order_id}")).json()


@pytest.mark.parametrize("source", ["last", "mark", "index"])
async def test_a_stop_says_what_sets_it_off(perps: PerpetualExchange, source: str) -> None:
    """In its answer, in the list of open orders, when it is repeated, and in its history."""
    order = STOP | {"quantity": "1", "trigger_source": source, "client_order_id": "out"}
    placed = (await perps.perpetual(**order)).json()
    assert (placed["trigger_source"], placed["waiting"]) == (source, True)
    again = await perps.perpetual(**order)
    assert (again.status_code, again.json()["trigger_source"]) == (200, source)
    other = await perps.perpetual(**order | {"trigger_source": None})
    assert other.status_code == (200 if source == "last" else 409), other.text
    (listed,) = (await perps.call("GET", "/v1/orders")).json()["orders"]
    assert listed["trigger_source"] == source
    await perps.call("DELETE", f"/v1/orders/{placed['order_id']}")
    perps.follow()
    history = (await perps.call("GET", "/v1/orders?state=all")).json()["orders"]
    assert [one["trigger_source"] for one in history] == [source, None]


async def test_only_its_own_price_sets_it_off(perps: PerpetualExchange) -> None:
    """The index is there and the mark with it, but nobody has traded that low."""
    orders = {
        source: (await perps.perpetual(**STOP, quantity="0.5", trigger_source=source)).json()
        for source in ("last", "mark", "index")
    }
    perps.index(MIDDLE - 6_000)
    waiting = {name: await look(perps, one["order_id"]) for name, one in orders.items()}
    assert [one["waiting"] for one in waiting.values()] == [True, False, False]
    assert [waiting[name]["status"] for name in ("mark", "index")] == ["filled", "filled"]
    assert (await perps.position())["quantity"] == "1"


async def test_a_source_where_there_is_none_is_refused(perps: PerpetualExchange) -> None:
    """In words: a limit order waits for nothing, and a spot market has but the last price."""
    limit = await perps.perpetual(type="limit", price="2400", trigger_source="mark")
    assert (limit.status_code, limit.json()["code"]) == (422, "invalid_combination")
    assert "waits for no price" in limit.json()["detail"]
    spot = await perps.place(**STOP, price=..., trigger_source="mark")
    assert (spot.status_code, spot.json()["code"]) == (422, "invalid_combination")
    assert "no mark and no index" in spot.json()["detail"]
    assert (await perps.place(**STOP, price=..., trigger_source="last")).status_code == 201
    unknown = await perps.perpetual(**STOP, trigger_source="oracle")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "invalid_field")
    through = await perps.perpetual(**STOP | {"trigger_price": "2501", "trigger_source": "index"})
    assert through.json()["code"] == "would_trigger_immediately"
    assert "trigger_source" in through.json()["detail"]


async def test_a_dry_run_takes_it(perps: PerpetualExchange) -> None:
    """With the same refusals, and a preview at the trigger price."""
    order: dict[str, Any] = {"symbol": SYMBOL, **STOP, "quantity": "1", "trigger_source": "mark"}
    asked = await perps.call("POST", "/v1/orders/dry-run", order)
    margin = asked.json()["margin"]
    assert (margin["price"], margin["previous_position"], margin["position"]) == ("2450", "2", "1")
    before = (await perps.position())["liquidation_price"]
    assert margin["previous_liquidation_price"] == before
    order |= {"type": "market", "trigger_price": None}
    asked = await perps.call("POST", "/v1/orders/dry-run", order)
    assert asked.json()["code"] == "invalid_combination"


async def test_the_exits_of_lists_have_theirs(perps: PerpetualExchange) -> None:
    """Each of its own; of a bracket the entry has none. What is wrong names the order."""
    bracket: dict[str, Any] = {
        "kind": "bracket", "symbol": SYMBOL, "side": "buy", "quantity": "1", "entry": {},
        "take_profit": {"trigger_price": "2600", "trigger_source": "index"},
        "stop_loss": {"trigger_price": "2400", "trigger_source": "mark"},
    }  # fmt: skip
    asked = await perps.call("POST", "/v1/order-lists/dry-run", bracket)
    margin = asked.json()["margin"]  # of its entry
    assert (margin["previous_position"], margin["position"]) == ("2", "3")
    placed = await perps.call("POST", "/v1/order-lists", bracket)
    assert placed.status_code == 201, placed.text
    told = [one["trigger_source"] for one in placed.json()["orders"]]
    assert told == [None, "index", "mark"]
    oco = bracket | {"kind": "oco", "side": "sell", "entry": None, "reduce_only": True}
    answer = await perps.call("POST", "/v1/order-lists", oco)
    assert [one["trigger_source"] for one in answer.json()["orders"]] == ["index", "mark"]
    wrong = bracket | {"take_profit": {"price": "2600", "trigger_source": "mark"}}
    refused = await perps.call("POST", "/v1/order-lists/dry-run", wrong)
    assert (refused.json()["code"], refused.json()["order"]) == (
        "invalid_combination",
        "take_profit",
    )
