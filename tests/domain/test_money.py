"""Decimal text: what is a number, what is none, and that nothing is rounded on the way."""

from __future__ import annotations

import pytest

from domain.money import DecimalTextError, ceil_ppm, floor_ppm, text_from_units, units_from_text


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [("0", 6, 0), ("0.1", 6, 100_000), ("12.340000", 2, 1_234), ("7", 0, 7), ("7.00", 0, 7)],
)
def test_decimal_text_becomes_units(text: str, decimals: int, units: int) -> None:
    """Trailing zeros say nothing; everything else counts."""
    assert units_from_text(text, decimals) == units


@pytest.mark.parametrize(
    "text",
    [
        *("", "0.1\n", "\n0.1", " 1", "1 ", "+1", "-1", "01", ".5", "5.", "1e3", "1_000", "1,5"),
        *("NaN", "0x1", "\u0661", "1\u00a0", "1.2.3", "1" * 31, "0." + "0" * 31, "0.0000001"),
    ],
)
def test_other_text_is_refused(text: str) -> None:
    """Signs, blanks, line feeds, foreign digits and digits below the unit are no amounts."""
    with pytest.raises(DecimalTextError):
        units_from_text(text, 6)


@pytest.mark.parametrize(("units", "text"), [(0, "0"), (1, "0.01"), (-150, "-1.5"), (200, "2")])
def test_units_become_text_without_trailing_zeros(units: int, text: str) -> None:
    """The way back is exact."""
    assert text_from_units(units, 2) == text


def test_shares_in_ppm_round_as_their_names_say() -> None:
    """A fee is rounded down, a hold up."""
    assert (floor_ppm(1_999, 1_000), ceil_ppm(1_001, 1_000)) == (1, 2)
