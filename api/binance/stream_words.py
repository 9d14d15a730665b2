"""Market data as events of the dialect, from the native feed's words; pure.

Clients tell spot from futures by the members that are there, so no member of the one may be in
the other.
"""

from __future__ import annotations

from typing import Any

from api.binance.book_diffs import BookDiff
from api.binance.names import name_of
from api.market_answers import candle_members
from domain.candles import Candle
from domain.instrument import Instrument
from domain.money import text_from_units

Words = dict[str, Any]
_NONE = "0"
_UNKNOWN_TRADE = -1
_PPM_DECIMALS = 6


def depth(market: Instrument, diff: BookDiff, now_ms: int, time_us: int) -> Words:
    """Return what changed in a book, in no order."""
    words = _head("depthUpdate", market, now_ms, time_us)
    words |= {"U": diff.before_id + 1, "u": diff.last_id}
    if market.terms is not None:
        words["pu"] = diff.before_id
    return words | {"b": diff.bids, "a": diff.asks}


def partial_depth(
    market: Instrument, book: tuple[Any, Any], sequence: int, before: int, now_ms: int
) -> Words:
    """Return the best levels of a book; `before` is the sequence that was told last."""
    bids, asks = book
    if market.terms is None:
        return {"lastUpdateId": sequence, "bids": bids, "asks": asks}
    words = _head("depthUpdate", market, now_ms, now_ms * 1_000)
    return words | {"U": before + 1, "u": sequence, "pu": before, "b": bids, "a": asks}


def best(market: Instrument, sequence: int, book: tuple[Any, Any], now_ms: int) -> Words:
    """Return the best bid and ask; of futures with its kind and times."""
    (bid, bid_size), (ask, ask_size) = (side[0] if side else (_NONE, _NONE) for side in book)
    words = {"u": sequence, "s": name_of(market), "b": bid, "B": bid_size, "a": ask, "A": ask_size}
    if market.terms is None:
        return words
    return {"e": "bookTicker", **words, "T": now_ms, "E": now_ms}


def trade(market: Instrument, members: Words, now_ms: int) -> Words:
    """Return one trade."""
    words = _head("trade", market, now_ms, members["time_us"])
    words |= {"t": int(members["trade_id"]), **_traded(members)}
    return words | ({"M": True} if market.terms is None else {"X": "MARKET"})


def aggregate(market: Instrument, members: Words, now_ms: int) -> Words:
    """Return one trade as an aggregate of its own."""
    number = int(members["trade_id"])
    words = _head("aggTrade", market, now_ms, members["time_us"])
    words |= {"a": number, "f": number, "l": number, **_traded(members)}
    return words | ({"M": True} if market.terms is None else {})


def _traded(members: Words) -> Words:
    return {
        "p": members["price"],
        "q": members["quantity"],
        "T": members["time_us"] // 1_000,
        "m": members["side"] == "sell",
    }


def candle(
    market: Instrument, found: Candle, interval: str, now_ms: int, *, closed: bool, pair: bool
) -> Words:
    """Return a candle; `pair`: as of a continuous contract. What takers bought is not kept."""
    members = candle_members(found, market)
    open_ms = found.open_time_us // 1_000
    words = {
        "t": open_ms,
        "T": open_ms + found.interval_seconds * 1_000 - 1,
        "i": interval,
        "f": _UNKNOWN_TRADE,
        "L": _UNKNOWN_TRADE,
        "o": members["open"],
        "c": members["close"],
        "h": members["high"],
        "l": members["low"],
        "v": members["volume"],
        "n": members["trades"],
        "x": closed,
        "q": members["turnover"],
        "V": _NONE,
        "Q": _NONE,
        "B": _NONE,
    }
    name = name_of(market)
    if pair:
        head = {"e": "continuous_kline", "E": now_ms, "ps": name, "ct": "PERPETUAL"}
        return {**head, "k": words}
    return {"e": "kline", "E": now_ms, "s": name, "k": {**words, "s": name}}


def mini_ticker(market: Instrument, day: Words, now_ms: int) -> Words:
    """Return the short ticker; `day` as `tickers.day_words` tells it."""
    return {
        "e": "24hrMiniTicker",
        "E": now_ms,
        "s": name_of(market),
        "c": day["lastPrice"],
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
    }


def ticker(
    market: Instrument, day: Words, newest: Words, book: tuple[Any, Any] | None, now_ms: int
) -> Words:
    """Return the long ticker; with a book (of spot) its best prices, too.

    `newest` is the last trade in the native words, {} without one.
    """
    words = mini_ticker(market, day, now_ms) | {
        "e": "24hrTicker",
        "p": day["priceChange"],
        "P": day["priceChangePercent"],
        "w": day["weightedAvgPrice"],
        "Q": newest.get("quantity", _NONE),
        "F": _UNKNOWN_TRADE,
        "L": int(newest.get("trade_id", _UNKNOWN_TRADE)),
        "n": day["count"],
    }
    if book is None:
        return words
    (bid, bid_size), (ask, ask_size) = (side[0] if side else (_NONE, _NONE) for side in book)
    words |= {"x": day["openPrice"], "b": bid, "B": bid_size, "a": ask, "A": ask_size}
    return words


def mark(market: Instrument, now: Words, funding: Words, now_ms: int) -> Words | None:
    """Return mark, index and funding; None before the first mark.

    The rate is the one that was paid last, as of `premiumIndex`.
    """
    price = now.get("mark_price")
    if price is None:
        return None
    assert market.terms is not None
    interval_ms = market.terms.funding_interval_seconds * 1_000
    return {
        "e": "markPriceUpdate",
        "E": now_ms,
        "s": name_of(market),
        "p": price,
        "i": now.get("index_price") or _NONE,
        "P": price,
        "r": text_from_units(funding.get("rate_ppm", 0), _PPM_DECIMALS),
        "T": (now_ms // interval_ms + 1) * interval_ms,
    }


def liquidation(market: Instrument, members: Words, now_ms: int) -> Words:
    """Return one step of somebody's liquidation, as the order that it was or would have been."""
    quantity, price = members["quantity"], members["price"]
    order = {
        "s": name_of(market),
        "S": "SELL" if members["side"] == "long" else "BUY",
        "o": "LIMIT",
        "f": "IOC",
        "q": quantity,
        "p": price,
        "ap": price,
        "X": "FILLED",
        "l": quantity,
        "z": quantity,
        "T": members["time_us"] // 1_000,
    }
    return {"e": "forceOrder", "E": now_ms, "o": order}


def _head(kind: str, market: Instrument, now_ms: int, time_us: int) -> Words:
    words: Words = {"e": kind, "E": now_ms}
    if market.terms is not None:
        words["T"] = time_us // 1_000
    return {**words, "s": name_of(market)}
