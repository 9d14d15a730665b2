"""ccxt.pro and python-binance, unmodified, on the sockets of the running exchange."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.api.binance.pro import PATIENCE_SECONDS, always, client_of, while_it_trades
from tests.api.memory import ETH, USDT
from tests.api.running import RunningExchange

pytestmark = pytest.mark.servers
SYMBOL = "ETH/USDT"
_CENTS = itertools.count()


@pytest.fixture(scope="module")
def rig(running: RunningExchange) -> Iterator[RunningExchange]:
    """Give the running exchange with two customers of this module's own, who leave no orders."""

    async def fund() -> None:
        for name in ("erin", "frank"):
            await running.add_customer(name)
            await running.credit(name, USDT, "100000")
            await running.credit(name, ETH, "100")

    async def cancel() -> None:
        for name in ("erin", "frank"):
            await running.request(name, "DELETE", "/v1/orders")

    asyncio.run(fund())
    yield running
    asyncio.run(cancel())


def trading(rig: RunningExchange) -> Callable[[], Awaitable[None]]:
    """Return what lets frank sell a little to erin, who leaves an order until the next time."""

    async def trade() -> None:
        price = 2400 + next(_CENTS) % 100 / 100
        await rig.request("erin", "DELETE", "/v1/orders")
        assert (await rig.place("frank", "sell", f"{price:.2f}", "0.01")).is_success
        assert (await rig.place("erin", "buy", f"{price:.2f}", "0.02")).is_success

    return trade


async def test_everything_that_is_watched_on_spot(rig: RunningExchange) -> None:
    """Book, trades, tickers, candles, own orders, fills and balances come as they happen."""
    async with client_of(rig, "erin") as erin:
        seen = await while_it_trades(
            trading(rig),
            book=erin.watch_order_book(SYMBOL),
            trades=erin.watch_trades(SYMBOL),
            ticker=erin.watch_ticker(SYMBOL),
            tickers=erin.watch_tickers([SYMBOL]),
            best=erin.watch_bids_asks([SYMBOL]),
            candles=erin.watch_ohlcv(SYMBOL, "1m"),
            orders=erin.watch_orders(SYMBOL),
            fills=erin.watch_my_trades(SYMBOL),
            balance=erin.watch_balance(),
        )
        assert seen["trades"][-1]["symbol"] == seen["ticker"]["symbol"] == SYMBOL
        assert seen["tickers"][SYMBOL]["last"] >= 2400
        best = seen["best"][SYMBOL]
        assert (best["bid"] or best["ask"]) >= 2400
        assert seen["candles"][-1][5] > 0
        assert seen["orders"][-1]["symbol"] == seen["fills"][-1]["symbol"] == SYMBOL
        assert seen["fills"][-1]["fee"]["currency"] == "USDT"
        assert seen["balance"]["ETH"]["free"] > 0

        async def is_ours() -> bool:
            rest = await erin.fetch_order_book(SYMBOL)
            mine = erin.orderbooks[SYMBOL]
            return (rest["bids"], rest["asks"]) == (list(mine["bids"]), list(mine["asks"]))

        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await is_ours():
                await rig.pause()


async def test_orders_over_the_socket(rig: RunningExchange) -> None:
    """Placed, looked up, edited and cancelled; a refusal has the client's own class."""
    import ccxt

    async with client_of(rig, "erin") as erin:
        await rig.request("erin", "DELETE", "/v1/orders")
        placed = await erin.create_order_ws(SYMBOL, "limit", "buy", 0.1, 2300)
        assert placed["status"] == "open"
        found = await erin.fetch_order_ws(placed["id"], SYMBOL)
        assert found["price"] == 2300
        edited = await erin.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.1, 2301)
        listed = await erin.fetch_open_orders_ws(SYMBOL)
        assert [one["id"] for one in listed] == [edited["id"]]
        ended = await erin.cancel_order_ws(edited["id"], SYMBOL)
        assert ended["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFound):
            await erin.cancel_order_ws(edited["id"], SYMBOL)
        with pytest.raises(ccxt.InsufficientFunds):
            await erin.create_order_ws(SYMBOL, "limit", "sell", 900, 2500)


async def test_python_binance(rig: RunningExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sockets: one stream, several combined, and the account."""
    from binance import AsyncClient, BinanceSocketManager

    sockets = rig.base_url.replace("http", "ws", 1) + "/binance"
    monkeypatch.setattr(AsyncClient, "API_URL", f"{rig.base_url}/binance/api")
    monkeypatch.setattr(AsyncClient, "WS_API_URL", f"{sockets}/ws-api/v3")
    monkeypatch.setattr(BinanceSocketManager, "STREAM_URL", f"{sockets}/stream/")
    account = rig.accounts["erin"]
    client = await AsyncClient.create(account.api_key, account.api_secret)
    try:
        manager = BinanceSocketManager(client)
        names = ["ethusdt@aggTrade", "ethusdt@depth20@100ms"]
        async with (
            always(trading(rig)),  # its sockets end with the next message
            manager.trade_socket("ETHUSDT") as trades,
            manager.multiplex_socket(names) as several,
            manager.user_socket() as user,
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            one, first, own = await asyncio.gather(trades.recv(), several.recv(), user.recv())
        assert one["e"] == "trade"
        assert first["stream"] in names
        assert own["e"] in ("executionReport", "outboundAccountPosition")
        order = await client.ws_create_order(
            symbol="ETHUSDT",
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            quantity="0.1",
            price="2300",
        )
        ended = await client.ws_cancel_order(symbol="ETHUSDT", orderId=order["orderId"])
        assert ended["status"] == "CANCELED"
        oco = await client.ws_create_oco_order(
            symbol="ETHUSDT", side="SELL", quantity="0.1",
            aboveType="LIMIT_MAKER", abovePrice="2700",
            belowType="STOP_LOSS", belowStopPrice="2300",
        )  # fmt: skip
        number = {"orderListId": oco["orderListId"]}
        assert (await client.ws_get_oco_order(**number))["orders"] == oco["orders"]
        done = await client.ws_cancel_oco_order(symbol="ETHUSDT", **number)
        assert done["listOrderStatus"] == "ALL_DONE"
    finally:
        await client.close_connection()
