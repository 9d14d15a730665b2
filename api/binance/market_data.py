"""Public market data in the dialect, the same for spot and futures but for a few members."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from api.binance.call import Call
from api.binance.errors import Refusal
from api.binance.names import name_of, several, wanted
from api.binance.parameters import Parameters
from api.binance.tickers import average_price, book_ticker, day_ticker, last_price
from api.market_answers import candle_members, trade_members
from api.routes import markets as native
from api.websocket.hub import SymbolFeed
from domain.candles import MINUTE_SECONDS, SECOND_SECONDS
from domain.instrument import Instrument

LARGEST_DEPTH = 1_000
LARGEST_TRADE_COUNT = 1_000
LARGEST_CANDLE_COUNT = 1_000
LONGEST_KLINES_MINUTES = 100_000
"""How many stored minutes one answer may be made of; longer intervals give fewer candles."""
_AVERAGE_MINUTES = 5
_HEALING_TRIES = 20
_HEALING_SECONDS = 0.05

INTERVALS = {
    f"{count}{unit}": count * seconds
    for unit, seconds, counts in (
        ("m", 60, (1, 3, 5, 15, 30)),
        ("h", 3_600, (1, 2, 4, 6, 8, 12)),
        ("d", 86_400, (1,)),
    )
    for count in counts
}
SPOT_INTERVALS = {"1s": SECOND_SECONDS, **INTERVALS}


def intervals(*, perpetual: bool) -> dict[str, int]:
    """Return the seconds of each interval by its name; spot markets have one of a second."""
    return INTERVALS if perpetual else SPOT_INTERVALS


@dataclass(frozen=True, slots=True)
class MarketDataRoutes:
    """The handlers, for one kind of market."""

    perpetual: bool

    async def depth(self, call: Call) -> dict[str, Any]:
        """Return the order book; its `lastUpdateId` counts as the depth stream does."""
        market = wanted(call.services, call.parameters, perpetual=self.perpetual)
        limit = call.parameters.count("limit", 500 if self.perpetual else 100, LARGEST_DEPTH)
        await _healed(call.services.hub.feed(market.instrument.symbol))
        book = await native.book(market.instrument.symbol, call.services, limit)
        found = {"lastUpdateId": book.seq, "bids": book.bids, "asks": book.asks}
        if not self.perpetual:
            return found
        now_ms = call.services.now_ms()
        return {**found, "E": now_ms, "T": now_ms}

    async def trades(self, call: Call) -> list[dict[str, Any]]:
        """Return the newest trades, oldest first."""
        return [
            {
                "id": int(trade["trade_id"]),
                "price": trade["price"],
                "qty": trade["quantity"],
                "quoteQty": trade["quote"],
                "time": trade["time_us"] // 1_000,
                "isBuyerMaker": trade["side"] == "sell",
                **({} if self.perpetual else {"isBestMatch": True}),
            }
            for trade in await self._trades(call)
        ]

    async def aggregates(self, call: Call) -> list[dict[str, Any]]:
        """Return the newest trades, oldest first; each is an aggregate of its own."""
        return [
            {
                "a": int(trade["trade_id"]),
                "p": trade["price"],
                "q": trade["quantity"],
                "f": int(trade["trade_id"]),
                "l": int(trade["trade_id"]),
                "T": trade["time_us"] // 1_000,
                "m": trade["side"] == "sell",
                **({} if self.perpetual else {"M": True}),
            }
            for trade in await self._trades(call)
        ]

    async def _trades(self, call: Call) -> list[dict[str, Any]]:
        """Return trades from the tape, or with a place to begin from the newest stored ones."""
        market = wanted(call.services, call.parameters, perpetual=self.perpetual)
        instrument = market.instrument
        limit = call.parameters.count("limit", 500, LARGEST_TRADE_COUNT)
        first_id = call.parameters.integer("fromId")
        since_ms = call.parameters.integer("startTime")
        until_ms = call.parameters.integer("endTime")
        is_ranged = (first_id, since_ms, until_ms) != (None, None, None)
        asked = LARGEST_TRADE_COUNT if is_ranged else limit
        stored = await call.services.market_data.trades(instrument.symbol_id, asked)
        found = {trade.trade_id: trade_members(trade, instrument) for trade in stored}
        for trade in call.services.hub.feed(instrument.symbol).trades:  # not settled yet
            found.setdefault(int(trade["trade_id"]), trade)
        chosen = [
            {**found[number], "quote": _quote(found[number], instrument)}
            for number in sorted(found)
            if (first_id is None or number >= first_id)
            and (since_ms is None or found[number]["time_us"] >= since_ms * 1_000)
            and (until_ms is None or found[number]["time_us"] < (until_ms + 1) * 1_000)
        ]
        from_start = first_id is not None or since_ms is not None
        return chosen[:limit] if from_start else chosen[-limit:]

    async def klines(self, call: Call) -> list[list[Any]]:
        """Return candles, oldest first, combined from the stored minutes or of stored seconds."""
        market = wanted(call.services, call.parameters, perpetual=self.perpetual)
        word = call.parameters.need("interval")
        seconds = intervals(perpetual=self.perpetual).get(word)
        if seconds is None:
            raise Refusal(-1120, "Invalid interval.")
        most = min(LARGEST_CANDLE_COUNT, LONGEST_KLINES_MINUTES * MINUTE_SECONDS // seconds)
        limit = call.parameters.count("limit", 500, most)
        since_us, until_us = _span(call.parameters, call.services.now_ms(), seconds, limit)
        instrument = market.instrument
        found = await call.services.market_data.combined_candles(
            instrument.symbol_id, seconds, since_us, until_us
        )
        has_start = call.parameters.text("startTime") is not None
        chosen = found[:limit] if has_start else found[-limit:]
        return [_kline(candle_members(one, instrument), seconds) for one in chosen]

    async def day(self, call: Call) -> Any:
        """Return what the last 24 hours were like: of one market, of several or of all."""
        found = several(call.services, call.parameters, perpetual=self.perpetual)
        tickers = [await day_ticker(call.services, one.instrument) for one in found]
        return _one_or_all(call.parameters, tickers)

    async def price(self, call: Call) -> Any:
        """Return last prices."""
        found = several(call.services, call.parameters, perpetual=self.perpetual)
        time = {"time": call.services.now_ms()} if self.perpetual else {}
        return _one_or_all(
            call.parameters,
            [
                {
                    "symbol": name_of(one.instrument),
                    "price": await last_price(call.services, one.instrument),
                    **time,
                }
                for one in found
            ],
        )

    async def best(self, call: Call) -> Any:
        """Return the best bids and asks."""
        found = several(call.services, call.parameters, perpetual=self.perpetual)
        return _one_or_all(
            call.parameters, [await book_ticker(call.services, one.instrument) for one in found]
        )

    async def average(self, call: Call) -> dict[str, Any]:
        """Return the average price of the last five minutes, rounded down; else the last price."""
        market = wanted(call.services, call.parameters, perpetual=self.perpetual)
        instrument, now_ms = market.instrument, call.services.now_ms()
        since_us = (now_ms - _AVERAGE_MINUTES * 60_000) * 1_000
        found = await call.services.market_data.combined_candles(
            instrument.symbol_id, MINUTE_SECONDS, since_us, now_ms * 1_000
        )
        price = average_price(instrument, found) or await last_price(call.services, instrument)
        return {"mins": _AVERAGE_MINUTES, "price": price, "closeTime": now_ms}


async def _healed(feed: SymbolFeed) -> None:
    """Wait a moment for a feed that has lost something: a book of in between fits no stream."""
    for _ in range(_HEALING_TRIES):
        if not feed.is_stale:
            return
        await asyncio.sleep(_HEALING_SECONDS)


def _quote(trade: dict[str, Any], instrument: Instrument) -> str:
    ticks = instrument.price_ticks(trade["price"])
    units = instrument.quote_units(ticks, instrument.quantity_lots(trade["quantity"]))
    return instrument.quote.engine_text(units)


def _span(parameters: Parameters, now_ms: int, seconds: int, limit: int) -> tuple[int, int]:
    """Return the open times [since, until) in us that hold the `limit` candles asked for."""
    step_us = seconds * 1_000_000
    start_ms, end_ms = parameters.integer("startTime"), parameters.integer("endTime")
    until_us = (now_ms if end_ms is None else max(0, end_ms)) * 1_000 + 1
    if start_ms is None:
        last_open = (until_us - 1) // step_us * step_us
        return max(0, last_open - (limit - 1) * step_us), until_us
    first_open = -(-max(0, start_ms) * 1_000 // step_us) * step_us
    return first_open, min(until_us, first_open + limit * step_us)


def _kline(candle: dict[str, Any], seconds: int) -> list[Any]:
    """Return a candle; which part of the volume takers bought is not kept."""
    open_ms = candle["time_us"] // 1_000
    return [
        open_ms,
        candle["open"],
        candle["high"],
        candle["low"],
        candle["close"],
        candle["volume"],
        open_ms + seconds * 1_000 - 1,
        candle["turnover"],
        candle["trades"],
        "0",
        "0",
        "0",
    ]


def _one_or_all(parameters: Parameters, found: list[dict[str, Any]]) -> Any:
    return found[0] if parameters.text("symbol") is not None else found
