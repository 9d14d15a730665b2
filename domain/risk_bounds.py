"""How large the numbers of perpetuals may be, so that a mirror in C++ never overflows.

The formulas here are exact for any integers. A 64-bit mirror holds these bounds at its door
(listing, admission, marks, credits), computes products in signed 128 bits in the order that the
docstrings give, and then needs no check inside: every result is an int64, every intermediate is
below 2**127. `tests/domain/test_risk_bounds.py` drives the formulas along the bounds and measures
each intermediate.

A mark that would carry a market's open interest past `MAX_VALUE_UNITS` is not adopted; it halts
the market. Money is in engine units of the quote asset ("units"), at 10**-6 USDT a market may be
worth 72 billion.
"""

from __future__ import annotations

MAX_PRICE_TICKS = 1 << 40
"""Prices, marks and indices are 1 to this."""

MAX_VALUE_UNITS = 1 << 56
"""Lots x ticks x units a tick and lot, of a lot at any mark, a position, a market; cost as well."""

MAX_CASH_UNITS = 1 << 60
"""A scope's cash and an insurance fund's, in magnitude."""

MAX_POSITIONS_PER_SCOPE = 32
"""Positions of one scope; with the two above its equity stays within an int64."""

MAX_RATE_PPM = 1 << 22
"""Margin, fee, funding and premium rates in magnitude (bracket rates are at most 10**6)."""

MAX_INTERVAL_SECONDS = 1 << 20
"""The longest funding interval, and so the time left in one: twelve days."""
