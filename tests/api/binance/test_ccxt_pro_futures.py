"""ccxt.pro, unmodified, on the futures sockets of the running exchange."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from tests.api.binance.pro import client_of, while_it_trades
from tests.api.running import RunningExchange

pytestmark = pytest.mark.servers
SYMBOL = "ETH/USDT:USDT"


@pytest.fixture(scope="module")
def rig(running: RunningExchange) -> Iterator[RunningExchange]:
    """Give the running exchange with its perpetual; nobody keeps a position."""
    asyncio.run(running.add_perpetual())
    yield running
    asyncio.run(running.close_positions())


async def test_everything_that_is_watched_on_futures(rig: RunningExchange) -> None:
    """Trades, marks, tickers, candles; own orders, fills, balances and positions."""
    turns = itertools.cycle([("alice", "bob"), ("bob", "alice")])

    async def trade() -> None:
        await rig.open_position(*next(turns), "0.1")

    options = {"watchPositions": {"fetchPositionsSnapshot": False}}
    async with client_of(rig, "alice", options=options) as alice:
        seen = await while_it_trades(
            trade,
            book=alice.watch_order_book(SYMBOL),
            trades=alice.watch_trades(SYMBOL),
            mark=alice.watch_mark_price(SYMBOL),
            ticker=alice.watch_ticker(SYMBOL),
            best=alice.watch_bids_asks([SYMBOL]),
            candles=alice.watch_ohlcv(SYMBOL, "1m"),
            orders=alice.watch_orders(SYMBOL),
            fills=alice.watch_my_trades(SYMBOL),
            positions=alice.watch_positions([SYMBOL]),
            balance=alice.watch_balance({"type": "swap"}),
        )
    symbols = {seen[name][-1]["symbol"] for name in ("trades", "orders", "fills", "positions")}
    assert symbols == {SYMBOL}
    assert seen["mark"]["markPrice"] > 0
    assert seen["ticker"]["last"] > 0
    assert seen["best"][SYMBOL]["symbol"] == SYMBOL
    assert seen["candles"][-1][4] > 0
    assert seen["fills"][-1]["amount"] == 0.1
    assert seen["balance"]["USDT"]["total"] > 0
    assert seen["book"]["symbol"] == SYMBOL


async def test_orders_over_the_futures_socket(rig: RunningExchange) -> None:
    """Placed, edited and cancelled by the handlers of REST; one that waits is an algo order."""
    mark = float((await rig.funding_now())["mark_price"])
    low, lower = round(mark * 0.97, 2), round(mark * 0.96, 2)
    async with client_of(rig, "alice") as alice:
        placed = await alice.create_order_ws(SYMBOL, "limit", "buy", 0.1, low)
        assert (placed["status"], placed["symbol"]) == ("open", SYMBOL)
        edited = await alice.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.1, lower)
        assert (edited["id"], edited["price"]) == (placed["id"], lower)
        ended = await alice.cancel_order_ws(placed["id"], SYMBOL)
        assert ended["status"] == "canceled"
        wait = {"triggerPrice": lower}
        stop = await alice.create_order_ws(SYMBOL, "market", "sell", 0.1, None, wait)
        assert stop["status"] == "open"
        await alice.cancel_order_ws(stop["id"], SYMBOL, {"trigger": True})
    listed = await rig.request("alice", "GET", "/v1/orders?state=open")
    assert listed.json()["orders"] == []
