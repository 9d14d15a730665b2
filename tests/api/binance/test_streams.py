"""Streams of market data, against the small exchange and its feed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from api.binance import stream_connection as module
from api.binance.stream_board import StreamBoard
from api.binance.stream_names import parsed
from tests.api.binance.clients import ask
from tests.api.binance.feeding import Ear, Feeding


class Desk:
    """An exchange with its feed, and who listens to its streams."""

    def __init__(self) -> None:
        self.feeding = Feeding()
        self.exchange = self.feeding.exchange
        self.board = StreamBoard(self.exchange.services)
        self.ears: list[Ear] = []

    def ear(self, **how: Any) -> Ear:
        """Return a new connection."""
        self.ears.append(Ear(self.board, **how))
        return self.ears[-1]

    async def look(self) -> None:
        """Let every stream that looks at its market do it now."""
        for stream in list(self.board._streams.values()):
            await stream.look()

    async def trade(self, price: str = "2500", quantity: str = "0.5") -> None:
        """Let the two customers trade, and publish it."""
        await self.exchange.place("key-1", price=price, quantity=quantity, side="sell")
        await self.exchange.place("key-2", price=price, quantity=quantity)
        self.feeding.flow()

    async def close(self) -> None:
        for ear in self.ears:
            await ear._leave()
        assert self.board.open_count == 0
        await self.exchange.http.aclose()


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    """Give an exchange with its feed."""
    made = Desk()
    await made.feeding.begin()
    yield made
    await made.close()


async def test_a_book_is_kept_from_rest_and_events(desk: Desk) -> None:
    """The REST book and the stream count alike."""
    ear = desk.ear()
    assert await ear.ask("SUBSCRIBE", "ethusdt@depth@100ms") == {"result": None, "id": 1}
    await desk.exchange.place(price="2490")
    desk.feeding.flow()
    rest = (await ask(desk.exchange, "GET", "/api/v3/depth", symbol="ETHUSDT")).json()
    book, nonce = dict(rest["bids"]), rest["lastUpdateId"]
    for price in ("2480", "2470"):
        await desk.exchange.place(price=price)
        desk.feeding.flow()
    await desk.look()
    (event,) = ear.of("depthUpdate")
    assert event["s"] == "ETHUSDT"
    assert event["U"] <= nonce + 1 <= event["u"]
    book |= dict(event["b"])
    assert book == {"2490": "1", "2480": "1", "2470": "1"}
    assert not {"pu", "T"} & event.keys()


async def test_a_loss_of_the_feed_is_a_gap(desk: Desk) -> None:
    """Nobody is told what may be wrong; a REST book of after the loss goes on with the stream."""
    ear = desk.ear()
    await ear.ask("SUBSCRIBE", "ethusdt@depth@100ms")
    await desk.exchange.place(price="2490")
    desk.feeding.flow()
    await desk.look()
    await desk.exchange.place(price="2480")
    desk.feeding.flow(lose=lambda message: message["channel"] == "book")
    await desk.exchange.place(price="2470")
    desk.feeding.flow()
    feed = desk.exchange.services.hub.feed("ETH/USDT")
    assert feed.is_stale
    await desk.look()
    assert len(ear.of("depthUpdate")) == 1
    healing = asyncio.create_task(ask(desk.exchange, "GET", "/api/v3/depth", symbol="ETHUSDT"))
    await asyncio.sleep(0)
    desk.feeding.books.mark_all_changed()
    await desk.feeding.begin()
    await desk.look()
    rest = (await healing).json()
    before, after = ear.of("depthUpdate")
    assert after["U"] > before["u"] + 1
    assert after["U"] == after["u"] == rest["lastUpdateId"] == feed.sequence
    assert dict(rest["bids"]).keys() == {"2490", "2480", "2470"}


async def test_futures_have_members_of_their_own(desk: Desk) -> None:
    """`pu`, `T` and a kind where spot has none: clients tell the two markets apart by them."""
    ear = desk.ear(perpetual=True)
    names = ["depth", "bookTicker", "trade", "aggTrade", "markPrice@1s", "depth5", "forceOrder"]
    await ear.ask("SUBSCRIBE", *(f"ethusdt@{name}" for name in names))
    assert (await desk.exchange.perpetual(quantity="0.5")).is_success
    desk.exchange.stand(250_000, 5)
    desk.feeding.flow()
    await desk.look()
    diff, partial = ear.of("depthUpdate")
    assert diff["U"] == diff["pu"] + 1
    assert (partial["b"][0], partial["a"][0]) == (["2499.8", "100"], ["2500.2", "99.5"])
    assert ear.of("bookTicker")[-1]["A"] == "99.5"
    assert ear.of("trade")[0]["X"] == "MARKET"
    assert "M" not in ear.of("aggTrade")[0]
    mark = ear.of("markPriceUpdate")[0]
    assert (mark["p"], mark["i"], mark["r"]) == ("2500", "2500", "0")
    assert mark["T"] % 3_600_000 == 0
    assert mark["T"] > mark["E"]


async def test_trades_best_prices_and_partial_books_of_spot(desk: Desk) -> None:
    """Each trade once and as it was; the best prices without a kind."""
    ear = desk.ear()
    names = ["trade", "aggTrade", "bookTicker", "depth10@100ms"]
    await ear.ask("SUBSCRIBE", *(f"ethusdt@{name}" for name in names))
    await desk.exchange.place(price="2450")
    await desk.trade()
    await desk.look()
    (trade,), (aggregate,) = ear.of("trade"), ear.of("aggTrade")
    assert (trade["p"], trade["q"], trade["m"], trade["M"]) == ("2500", "0.5", False, True)
    assert (aggregate["a"], aggregate["f"], aggregate["l"]) == (trade["t"],) * 3
    best = next(one for one in reversed(ear.heard) if "B" in one)
    assert (best["b"], best["B"], best["a"]) == ("2450", "1", "0")
    assert "e" not in best
    book = next(one for one in reversed(ear.heard) if "lastUpdateId" in one)
    assert book["bids"] == [["2450", "1"]]


async def test_candles_change_and_close(desk: Desk) -> None:
    """The newest candle as it changes, and the one before once more when it is over."""
    ear = desk.ear()
    desk.exchange.clock_ms = desk.exchange.door.time_us // 1_000
    await ear.ask("SUBSCRIBE", "ethusdt@kline_1m", "ethusdt@kline_5m")
    await desk.look()  # before the first trade there is no candle
    assert ear.of("kline") == []
    await desk.trade("2500", "0.5")
    await desk.look()
    await desk.look()
    minute, five = (one["k"] for one in ear.of("kline"))
    assert (minute["o"], minute["v"], minute["n"], minute["x"]) == ("2500", "0.5", 1, False)
    assert (minute["i"], five["i"]) == ("1m", "5m")
    desk.exchange.door.time_us += 300_000_000
    await desk.trade("2510", "0.1")
    await desk.look()
    later = [one["k"] for one in ear.of("kline")][2:]
    closed = {one["i"]: one for one in later if one["x"]}
    assert (closed["5m"]["t"], closed["5m"]["c"]) == (five["t"], "2500")
    assert closed["5m"]["T"] + 1 == five["t"] + 300_000
    assert [one["c"] for one in later if not one["x"]] == ["2510", "2510"]
    desk.exchange.clock_ms = desk.exchange.door.time_us // 1_000 + 400_000
    await desk.look()
    assert {one["k"]["i"] for one in ear.of("kline")[-2:] if one["k"]["x"]} == {"1m", "5m"}


async def test_candles_of_a_second_are_of_spot_markets(desk: Desk) -> None:
    """As the feed tells them, and once more when they are over; futures have none."""
    ear = desk.ear()
    assert parsed("ethusdt@kline_1s", perpetual=True) is None
    await ear.ask("SUBSCRIBE", "ethusdt@kline_1s")
    desk.exchange.clock_ms = desk.exchange.door.time_us // 1_000
    await desk.trade("2500", "0.5")
    desk.feeding.beat()
    desk.exchange.door.time_us += 2_000_000
    await desk.trade("2510", "0.1")
    desk.feeding.beat()
    told = [(one["k"]["c"], one["k"]["n"], one["k"]["x"]) for one in ear.of("kline")]
    assert told == [
        *(("2500", 1, False), ("2500", 1, True)),
        *(("2500", 0, False), ("2500", 0, True), ("2510", 1, False)),
    ]
    assert {one["k"]["T"] - one["k"]["t"] for one in ear.of("kline")} == {999}
    await desk.look()
    desk.exchange.clock_ms = desk.exchange.door.time_us // 1_000 + 4_000
    await desk.look()
    await desk.look()
    assert [one["k"]["x"] for one in ear.of("kline")[5:]] == [True]


async def test_tickers_of_one_and_of_all(desk: Desk) -> None:
    """Told when something changed; a newcomer hears at once what was told last."""
    ear = desk.ear()
    desk.exchange.clock_ms = desk.exchange.door.time_us // 1_000
    await ear.ask("SUBSCRIBE", "ethusdt@ticker", "ethusdt@miniTicker", "!miniTicker@arr")
    await desk.trade("2500", "0.5")
    await desk.trade("2450", "0.5")
    await desk.look()
    (day,), (mini,) = ear.of("24hrTicker"), ear.of("24hrMiniTicker")
    assert (day["c"], day["p"], day["P"], day["v"]) == ("2450", "-50", "-2", "1")
    assert (day["w"], day["h"], day["l"], day["n"]) == ("2475", "2500", "2450", 2)
    assert (mini["c"], mini["o"], mini["q"]) == ("2450", "2500", "2475")
    listed = [one for one in ear.heard if isinstance(one, list)]
    assert [[one["s"] for one in told] for told in listed] == [["ETHUSDT"]]
    count = len(ear.heard)
    await desk.look()
    assert len(ear.heard) == count
    newcomer = desk.ear(combined=True)
    await newcomer.ask("SUBSCRIBE", "ethusdt@miniTicker")
    assert newcomer.heard[-1] == {"stream": "ethusdt@miniTicker", "data": mini}


async def test_liquidations_are_told(desk: Desk) -> None:
    """A step of a liquidation is an order that closes the position."""
    ear = desk.ear(perpetual=True)
    await ear.ask("SUBSCRIBE", "!forceOrder@arr")
    step = {"how": "book", "side": "long", "quantity": "0.5", "price": "2401", "time_us": 1_000}
    body = {"channel": "liquidations", "symbol": "ETH/USDT-PERP", "type": "update"}
    desk.exchange.services.hub._take(json.dumps({**body, "liquidations": [step]}).encode())
    (told,) = ear.of("forceOrder")
    assert (told["o"]["S"], told["o"]["q"], told["o"]["ap"]) == ("SELL", "0.5", "2401")


async def test_subscriptions_are_listed_and_ended(desk: Desk) -> None:
    """Of several connections each has its own; the last one closes the stream."""
    one, other = desk.ear(), desk.ear()
    for ear in (one, other):
        await ear.ask("SUBSCRIBE", "ethusdt@trade", "ethusdt@trade")
    assert desk.board.open_count == 1
    assert (await one.ask("LIST_SUBSCRIPTIONS"))["result"] == ["ethusdt@trade"]
    assert (await one.ask("UNSUBSCRIBE", "ethusdt@trade"))["result"] is None
    assert (await one.ask("LIST_SUBSCRIPTIONS"))["result"] == []
    await desk.trade()
    assert one.of("trade") == []
    assert len(other.of("trade")) == 1
    assert (await one.ask("GET_PROPERTY", "combined"))["result"] is False
    assert (await one.ask("SET_PROPERTY", "combined", True))["result"] is None
    assert (await one.ask("GET_PROPERTY", "combined", id="x")) == {"result": True, "id": "x"}


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"7",
        b"[" * 2_000,
        b'{"method":"SUBSCRIBE"}',
        b'{"method":"SUBSCRIBE","params":[1],"id":1}',
        b'{"method":"SUBSCRIBE","params":"ethusdt@trade","id":1}',
        b'{"method":"SUBSCRIBE","params":["nope@trade"],"id":1}',
        b'{"method":"SUBSCRIBE","params":["ethusdt@trade","ETHUSDT@trade"],"id":1}',
        b'{"method":"SUBSCRIBE","params":["ethusdt@markPrice"],"id":1}',
        b'{"method":"SUBSCRIBE","params":["\\ud800"],"id":1}',
        b'{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":"\\ud800"}',
        b'{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":{}}',
        b'{"method":["SUBSCRIBE"],"params":[],"id":1}',
        b'{"method":"subscribe","params":["ethusdt@trade"],"id":1}',
        b'{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}',
        b'{"method":"SET_PROPERTY","params":[{"a":1},true],"id":1}',
        b'{"method":"SUBSCRIBE","params":["' + b"a" * 64 + b'"],"id":1}',
    ],
)
async def test_what_is_wrong_is_answered_and_changes_nothing(desk: Desk, frame: bytes) -> None:
    """Every refusal is one message with a code; no stream is opened by half a request."""
    ear = desk.ear()
    await ear._answer(frame)
    (answer,) = ear.heard
    assert answer["error"]["msg"]
    assert desk.board.open_count == 0


async def test_a_connection_has_so_many_streams(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is refused, whether they come at once or one by one; an address pays for them."""
    monkeypatch.setattr(module, "LARGEST_STREAM_COUNT", 2)
    ear = desk.ear()
    names = ["ethusdt@trade", "ethusdt@aggTrade", "ethusdt@bookTicker"]
    assert "at most 2" in (await ear.ask("SUBSCRIBE", *names))["error"]["msg"]
    assert (await ear.ask("SUBSCRIBE", *names[:2]))["result"] is None
    assert "at most 2" in (await ear.ask("SUBSCRIBE", names[2]))["error"]["msg"]
    monkeypatch.setattr(module, "SUBSCRIBE_WEIGHT", 10_000)
    await ear.ask("UNSUBSCRIBE", *names)
    assert (await ear.ask("SUBSCRIBE", names[0]))["error"]["code"] == -1003


def test_names() -> None:
    """What the dialect's table has is there, and nothing else is taken for it."""
    common = ["depth", "depth@100ms", "depth20@100ms", "kline_1m", "kline_1d", "miniTicker"]
    for name in common:
        assert parsed(f"ethusdt@{name}", perpetual=False)
        assert parsed(f"ethusdt@{name}", perpetual=True)
    for name in ("ethusdt@ticker_1h", "!ticker@arr", "!miniTicker@arr@3000ms", "!bookTicker"):
        assert parsed(name, perpetual=False)
    for name in ("!markPrice@arr@1s", "!forceOrder@arr", "ethusdt_perpetual@continuousKline_1m"):
        assert parsed(name, perpetual=True)
        assert parsed(name, perpetual=False) is None
    for name in ("", "!", "@", "ethusdt", "ethusdt@", "ethusdt@depth7", "ethusdt@kline_1M"):
        assert parsed(name, perpetual=False) is None
