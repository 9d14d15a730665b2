"""Tickers: the last 24 hours, the last price, the best bid and ask."""

from __future__ import annotations

from typing import Any

from api.binance.names import name_of
from api.services import Services
from domain.candles import Candle
from domain.instrument import Instrument
from domain.money import text_from_units

DAY_MS = 86_400_000
_NONE = "0"


async def last_price(services: Services, instrument: Instrument) -> str:
    """Return the price of the last trade; "0" in a market that never traded."""
    trades = services.hub.feed(instrument.symbol).trades
    if trades:
        return str(trades[-1]["price"])
    stored = await services.market_data.trades(instrument.symbol_id, 1)
    return instrument.price_text(stored[0].price_ticks) if stored else _NONE


async def book_ticker(services: Services, instrument: Instrument) -> dict[str, Any]:
    """Return the best bid and ask; futures have a time, by which clients know them."""
    bids, asks = services.hub.feed(instrument.symbol).book(1)
    (bid, bid_size), (ask, ask_size) = (
        side[0] if side else (_NONE, _NONE) for side in (bids, asks)
    )
    time = {} if instrument.terms is None else {"time": services.now_ms()}
    return {
        "symbol": name_of(instrument),
        "bidPrice": bid,
        "bidQty": bid_size,
        "askPrice": ask,
        "askQty": ask_size,
        **time,
    }


async def day_ticker(services: Services, instrument: Instrument) -> dict[str, Any]:
    """Return the last 24 hours, to the minute."""
    now_ms = services.now_ms()
    since_ms = now_ms - DAY_MS
    candles = await services.market_data.combined_candles(
        instrument.symbol_id, DAY_MS // 1_000, since_ms * 1_000, now_ms * 1_000
    )
    words = day_words(instrument, candles, await last_price(services, instrument))
    trades = services.hub.feed(instrument.symbol).trades
    ticker: dict[str, Any] = {
        "symbol": name_of(instrument),
        **words,
        "lastQty": str(trades[-1]["quantity"]) if trades else _NONE,
        "openTime": since_ms,
        "closeTime": now_ms,
        "firstId": -1,
        "lastId": int(trades[-1]["trade_id"]) if trades else -1,
    }
    if instrument.terms is None:
        best = await book_ticker(services, instrument)
        ticker |= {"prevClosePrice": words["openPrice"], **best}
    return ticker


def day_words(instrument: Instrument, candles: list[Candle], last: str) -> dict[str, Any]:
    """Return open, high, low, volumes and change of candles, which are oldest first.

    The change in percent is rounded toward minus infinity to three decimals.
    """
    traded = [candle for candle in candles if candle.trade_count]
    price = instrument.price_text
    last_ticks = instrument.price_ticks(last)
    first_ticks = candles[0].open_ticks if candles else last_ticks
    highest = max((candle.high_ticks for candle in candles), default=last_ticks)
    lowest = min((candle.low_ticks for candle in candles), default=last_ticks)
    change_ticks = last_ticks - first_ticks
    thousandths = change_ticks * 100_000 // first_ticks if first_ticks else 0
    return {
        "priceChange": price(change_ticks),
        "priceChangePercent": text_from_units(thousandths, 3),
        "weightedAvgPrice": average_price(instrument, traded) or _NONE,
        "lastPrice": last,
        "openPrice": price(first_ticks),
        "highPrice": price(max(highest, last_ticks)),
        "lowPrice": price(min(lowest, last_ticks)),
        "volume": instrument.base.engine_text(sum(one.base_units for one in traded)),
        "quoteVolume": instrument.quote.engine_text(sum(one.quote_units for one in traded)),
        "count": sum(candle.trade_count for candle in traded),
    }


def average_price(instrument: Instrument, candles: list[Candle]) -> str | None:
    """Return the weighted average price, rounded down to the quote's unit; None without a trade."""
    base_units = sum(candle.base_units for candle in candles)
    quote_units = sum(candle.quote_units for candle in candles)
    if not base_units:
        return None
    whole = 10**instrument.base.engine_decimals
    return instrument.quote.engine_text(quote_units * whole // base_units)
