"""What an outside price has to be before it counts: a whole price, of now, in the market's ticks.

A venue's word is taken as text and never becomes a float. What is refused is refused with a
reason, so that whoever watches sees why a source is silent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from domain.index_price import SourcePrice
from domain.money import DecimalTextError, units_from_text
from domain.risk_bounds import MAX_PRICE_TICKS
from domain.rounding import half_even_div

_TICK_DECIMALS = 18
_NUMBER = re.compile(
    r"(?P<whole>[0-9]{1,30})(?:\.(?P<fraction>[0-9]{1,30}))?(?:[eE](?P<exponent>[+-]?[0-9]{1,2}))?"
)


class SourceRefusal(StrEnum):
    """Why something that a source said is not a price; checked in this order."""

    GARBAGE = "not a message of this venue"
    UNKNOWN_PAIR = "a pair that was not asked for"
    NOT_A_PRICE = "not a positive decimal number"
    TOO_LARGE = "beyond the largest price of the engine"
    STALE = "older than a price may be"
    FUTURE = "from later than this clock allows for"
    OUT_OF_ORDER = "older than the price before it"


@dataclass(frozen=True, slots=True)
class TimeRules:
    """How old a price may be when it arrives, and how far ahead a venue's clock may go."""

    max_age_us: int = 10_000_000
    max_ahead_us: int = 2_000_000


def rounded_ticks(text: str, tick_size: str) -> int | None:
    """Return decimal text as ticks, half-even to the tick; None if it is no plain number.

    Takes what JSON has for numbers without a sign: `NaN`, `Infinity`, signs, blanks and endless
    digits are refused. Exact: the text's digits and the tick are compared as integers.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    fraction = match["fraction"] or ""
    exponent = int(match["exponent"] or 0) - len(fraction) + _TICK_DECIMALS
    digits = int(match["whole"] + fraction)
    tick = units_from_text(tick_size, _TICK_DECIMALS)
    if tick == 0:
        raise DecimalTextError(f"a tick size is positive, not {tick_size}")
    return half_even_div(digits * 10 ** max(exponent, 0), tick * 10 ** max(-exponent, 0))


def source_price(
    source_id: int,
    text: str,
    tick_size: str,
    time_us: int,
    *,
    now_us: int,
    last_time_us: int,
    rules: TimeRules,
) -> SourcePrice | SourceRefusal:
    """Return what a source said of a market, or why it does not count.

    `time_us` is the venue's, `now_us` ours, `last_time_us` that of the source's price before (0:
    none). A venue whose clock goes ahead a little is taken to speak now: a price from the future
    would stay fresh for longer than it is.
    """
    ticks = rounded_ticks(text, tick_size)
    if ticks is None or ticks < 1:
        return SourceRefusal.NOT_A_PRICE
    if ticks > MAX_PRICE_TICKS:
        return SourceRefusal.TOO_LARGE
    if now_us - time_us > rules.max_age_us:
        return SourceRefusal.STALE
    if time_us - now_us > rules.max_ahead_us:
        return SourceRefusal.FUTURE
    seen_us = min(time_us, now_us)
    if seen_us < last_time_us:
        return SourceRefusal.OUT_OF_ORDER
    return SourcePrice(source_id, ticks, seen_us)
