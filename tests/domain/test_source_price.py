"""What a source says becomes ticks exactly, or is refused with a reason."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.index_price import SourcePrice
from domain.risk_bounds import MAX_PRICE_TICKS
from domain.source_price import SourceRefusal, TimeRules, rounded_ticks, source_price

NOW = 1_000_000_000
RULES = TimeRules()


@pytest.mark.parametrize(
    ("text", "tick", "ticks"),
    [
        ("67000.1", "0.1", 670_001),
        ("67000.15", "0.1", 670_002),  # half-way: the even one
        ("67000.25", "0.1", 670_002),
        ("67000.250000000000000000000000001", "0.1", 670_003),
        ("0.00001234", "0.00000001", 1_234),
        ("1.234e-05", "0.00000001", 1_234),
        ("6.7E+4", "0.5", 134_000),
        ("1e99", "1", 10**99),
        ("007.5", "0.5", 15),
    ],
)
def test_text_becomes_ticks(text: str, tick: str, ticks: int) -> None:
    """Half-even to the tick, however many digits the text has."""
    assert rounded_ticks(text, tick) == ticks


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "-1",
        "+1",
        "NaN",
        "nan",
        "Infinity",
        "1e400",
        "1e",
        ".5",
        "1.",
        "0x10",
        "1,000",
        "1_000",
        "٣",
        "9" * 31,
        "1." + "1" * 31,
        "null",
        '"5"',
        "1e-1e-1",
    ],
)
def test_what_is_no_number(text: str) -> None:
    """Nothing is guessed: other digits, signs, blanks and words are refused."""
    assert rounded_ticks(text, "0.1") is None


@given(
    st.integers(0, 10**20),
    st.integers(0, 18),
    st.sampled_from(["0.1", "0.01", "0.5", "0.25", "1", "5", "0.00000001"]),
)
def test_rounding_is_that_of_fractions(digits: int, decimals: int, tick: str) -> None:
    """`round` of an exact fraction is half-even, too."""
    text = f"{digits // 10**decimals}.{digits % 10**decimals:0{max(decimals, 1)}}"
    assert rounded_ticks(text, tick) == round(Fraction(text) / Fraction(tick))


def _judged(text: str = "100", time_us: int = NOW, last_us: int = 0) -> SourcePrice | SourceRefusal:
    return source_price(7, text, "0.1", time_us, now_us=NOW, last_time_us=last_us, rules=RULES)


def test_refusals_at_their_limits() -> None:
    """At a limit a price counts; one beyond, it does not."""
    largest = f"{MAX_PRICE_TICKS // 10}.{MAX_PRICE_TICKS % 10}"
    beyond = f"{(MAX_PRICE_TICKS + 1) // 10}.{(MAX_PRICE_TICKS + 1) % 10}"
    assert _judged() == SourcePrice(7, 1000, NOW)
    assert _judged("0.05") is SourceRefusal.NOT_A_PRICE  # half-way to nothing
    assert _judged("0.06") == SourcePrice(7, 1, NOW)
    assert _judged(largest) == SourcePrice(7, MAX_PRICE_TICKS, NOW)
    assert _judged(beyond) is SourceRefusal.TOO_LARGE
    assert _judged(time_us=NOW - 10_000_000) == SourcePrice(7, 1000, NOW - 10_000_000)
    assert _judged(time_us=NOW - 10_000_001) is SourceRefusal.STALE
    assert _judged(time_us=NOW + 2_000_000) == SourcePrice(7, 1000, NOW)
    assert _judged(time_us=NOW + 2_000_001) is SourceRefusal.FUTURE
    assert _judged(last_us=NOW) == SourcePrice(7, 1000, NOW)
    assert _judged(time_us=NOW - 1, last_us=NOW) is SourceRefusal.OUT_OF_ORDER
