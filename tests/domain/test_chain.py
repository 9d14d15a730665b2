"""Fees by which a transaction takes another's place."""

from __future__ import annotations

import pytest

from domain.chain import FeeQuote, dearer


@pytest.mark.parametrize(
    ("old", "now", "expected"),
    [
        (FeeQuote(80, 8), FeeQuote(40, 4), FeeQuote(90, 9)),  # the chain has become cheap
        (FeeQuote(80, 8), FeeQuote(400, 4), FeeQuote(400, 9)),
        (FeeQuote(80, 8), FeeQuote(40, 40), FeeQuote(90, 40)),
        (FeeQuote(81, 1), FeeQuote(1, 1), FeeQuote(92, 2)),  # rounded up, so never less
        (FeeQuote(8, 8), FeeQuote(8, 80), FeeQuote(80, 80)),  # the tip is part of the whole
        (FeeQuote(0, 0), FeeQuote(0, 0), FeeQuote(0, 0)),
    ],
)
def test_both_fees_rise_by_an_eighth_at_least(
    old: FeeQuote, now: FeeQuote, expected: FeeQuote
) -> None:
    """What a node asks for before it takes one transaction in place of another."""
    assert dearer(old, now) == expected
