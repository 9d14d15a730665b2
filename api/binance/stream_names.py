"""Names of streams: `ethusdt@depth@100ms`, `ethusdt@kline_1m`, `!miniTicker@arr`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from api.binance.market_data import INTERVALS, intervals

LISTEN_KEY = re.compile(r"[A-Za-z0-9]{64}")
LONGEST_NAME = 80
_SYMBOL = re.compile(r"([a-z0-9]{1,40})@(.+)")
_CONTINUOUS = re.compile(r"([a-z0-9]{1,40})_perpetual@continuousKline_(.+)")
_DEPTH = re.compile(r"depth(5|10|20)?(?:@(100|250|500|1000)ms)?")
_MARK = re.compile(r"markPrice(?:@(1)s)?")
_WHOLE = re.compile(r"!(ticker|miniTicker|markPrice|forceOrder)@arr(?:@(1000ms|1s|3s|3000ms))?")
_PLAIN = ("aggTrade", "trade", "bookTicker", "ticker", "miniTicker")
WINDOWS = {"1h": 3_600, "4h": 14_400, "1d": 86_400}
_FUTURES_ONLY = ("markPrice", "forceOrder", "continuousKline")


@dataclass(frozen=True, slots=True)
class StreamName:
    """What a name asks for: its kind, of one market (by the dialect's name) or "" of all.

    `period_ms` is how often at most something is told, 0 at once; `levels` of a partial book, 0 of
    all changes; `interval` of candles, or the window of a ticker that is not of a day.
    """

    text: str
    kind: str
    symbol: str = ""
    period_ms: int = 0
    levels: int = 0
    interval: str = ""


def parsed(text: str, *, perpetual: bool) -> StreamName | None:
    """Return what a name of one kind of markets asks for, None if there is no such stream."""
    if len(text) > LONGEST_NAME:
        return None
    found = _whole(text, perpetual) if text.startswith("!") else _of_market(text, perpetual)
    if found is not None and found.kind in _FUTURES_ONLY and not perpetual:
        return None
    return found


def _whole(text: str, perpetual: bool) -> StreamName | None:
    if text == "!bookTicker":
        return StreamName(text, "bookTicker")
    match = _WHOLE.fullmatch(text)
    if match is None:
        return None
    kind, rate = match.groups()
    if kind == "markPrice":
        return StreamName(text, kind, period_ms=1_000 if rate == "1s" else 3_000)
    return StreamName(text, kind, period_ms=0 if kind == "forceOrder" else 1_000)


def _of_market(text: str, perpetual: bool) -> StreamName | None:
    continuous = _CONTINUOUS.fullmatch(text)
    if continuous is not None:
        symbol, interval = continuous.groups()
        if interval not in INTERVALS:
            return None
        return StreamName(text, "continuousKline", symbol.upper(), 250, interval=interval)
    match = _SYMBOL.fullmatch(text)
    if match is None:
        return None
    symbol, rest = match[1].upper(), match[2]
    depth, mark = _DEPTH.fullmatch(rest), _MARK.fullmatch(rest)
    if depth is not None:
        period_ms = int(depth[2] or (250 if perpetual else 1_000))
        return StreamName(text, "depth", symbol, period_ms, levels=int(depth[1] or 0))
    if mark is not None:
        return StreamName(text, "markPrice", symbol, 1_000 if mark[1] else 3_000)
    if rest == "forceOrder":
        return StreamName(text, rest, symbol)
    if rest in _PLAIN:
        period_ms = 1_000 if rest in ("ticker", "miniTicker") else 0
        return StreamName(text, rest, symbol, period_ms)
    word, _, interval = rest.partition("_")
    if word == "kline" and interval in intervals(perpetual=perpetual):
        return StreamName(text, word, symbol, 250, interval=interval)
    if word == "ticker" and interval in WINDOWS and not perpetual:
        return StreamName(text, word, symbol, 1_000, interval=interval)
    return None
