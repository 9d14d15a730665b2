"""Fees by which a transaction takes another's place."""

from __future__ import annotations

import pytest

from domain.chain import FeeQuote, dearer, replaces


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


@pytest.mark.parametrize(
    ("new", "taken"),
    [
        (FeeQuote(110, 11), True),
        (FeeQuote(109, 20), False),
        (FeeQuote(200, 10), False),
        (FeeQuote(100, 11), False),
        (FeeQuote(10**30, 10**30), True),
    ],
)
def test_a_transaction_replaces_one_where_both_fees_are_a_tenth_higher(
    new: FeeQuote, taken: bool
) -> None:
    """The most that is paid and the tip, each."""
    assert replaces(FeeQuote(100, 10), new) is taken


def test_what_cannot_pay_more_for_nothing_replaces_nothing() -> None:
    """A tenth of nothing is nothing, but what is paid at most has to grow."""
    assert not replaces(FeeQuote(0, 0), FeeQuote(0, 0))
    assert replaces(FeeQuote(10, 0), FeeQuote(11, 0))
    assert not replaces(FeeQuote(9, 0), FeeQuote(9, 0))
    old = FeeQuote(10**9 + 1, 10**8 + 1)
    assert replaces(old, dearer(old, FeeQuote(0, 0)))
