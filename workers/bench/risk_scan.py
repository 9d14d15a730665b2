"""`rialto bench risk`: how long a risk monitor takes to judge every scope at new marks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from domain.brackets import bracket_table
from domain.position import Position
from domain.risk_picture import ScopeKey
from workers.risk_book import RiskBook

_MARKETS = 8
_UNITS_PER_TICK_LOT = 100  # a tick of 0.1 and a lot of 0.001, in millionths
_MARK_TICKS = 670_000
_LARGEST_LOTS = 20_000  # 1.3 M USDT
_BRACKETS = bracket_table(
    [
        (0, 4_000, 8_000),
        (50_000_000_000, 5_000, 10_000),
        (250_000_000_000, 10_000, 20_000),
        (1_000_000_000_000, 25_000, 50_000),
        (10_000_000_000_000, 50_000, 100_000),
    ],
    100_000_000_000_000,
)


def measure(
    accounts: int, positions: int, passes: int, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Fill a book with `accounts`, `positions` of each, and scan it `passes` times at each fall.

    Milliseconds are medians; at each pass every mark is another one.
    """
    say(
        f"opening {accounts * positions:,} positions of {accounts:,} accounts in {_MARKETS} markets"
    )
    begun = time.perf_counter()
    book = _book(accounts, positions, seed)
    filled = time.perf_counter() - begun
    say(f"scanning {passes} times")
    quiet = _scans(book, passes, 0)
    falls = {f"{percent}_percent": _scans(book, passes, percent) for percent in (1, 3, 10)}
    return {
        "positions": book.positions,
        "markets": _MARKETS,
        "brackets": len(_BRACKETS.rows),
        "scan_ms": quiet["scan_ms"],
        "scan_ms_slowest": quiet["scan_ms_slowest"],
        "breached": quiet["breached"],
        "after_a_fall_of": falls,
        "changes_per_second": round(accounts * (positions + 1) / filled),
        "passes": passes,
        "seed": seed,
    }


def _book(accounts: int, positions: int, seed: int) -> RiskBook:
    """Return a book of cross accounts, long and short, at 2 to 50 times their equity."""
    book = RiskBook()
    for symbol_id in range(1, _MARKETS + 1):
        book.set_market(symbol_id, _UNITS_PER_TICK_LOT, _BRACKETS)
    drawn = np.random.default_rng(seed)
    lots = np.exp(drawn.uniform(0, np.log(_LARGEST_LOTS), (accounts, positions)))
    sides = drawn.choice((-1, 1), (accounts, positions))
    signed = (lots.astype(np.int64) * sides).tolist()
    firsts = drawn.integers(0, _MARKETS, accounts).tolist()
    leverages = drawn.integers(2, 51, accounts).tolist()
    for number in range(accounts):
        scope, notional = ScopeKey(number + 1), 0
        for place in range(positions):
            value = signed[number][place] * _MARK_TICKS * _UNITS_PER_TICK_LOT
            symbol_id = 1 + (firsts[number] + place) % _MARKETS
            book.set_position(scope, symbol_id, Position(signed[number][place], value))
            notional += abs(value)
        book.set_cash(scope, notional // leverages[number])
    return book


def _scans(book: RiskBook, passes: int, fall_percent: int) -> dict[str, Any]:
    base = _MARK_TICKS * (100 - fall_percent) // 100
    seconds, breached = [], 0
    for number in range(passes):
        marks = dict.fromkeys(range(1, _MARKETS + 1), base + number % 7)
        begun = time.perf_counter()
        found = book.scan(marks)
        seconds.append(time.perf_counter() - begun)
        breached = len(found.breached)
    return {
        "scan_ms": round(statistics.median(seconds) * 1000, 3),
        "scan_ms_slowest": round(max(seconds) * 1000, 3),
        "breached": breached,
    }
