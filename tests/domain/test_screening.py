"""Three answers and no fourth; the Travel Rule's threshold to the cent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.approval import quorum
from domain.screening import (
    TRAVEL_RULE_ABOVE_CENTS,
    Screening,
    ScreeningResult,
    Verdict,
    review_reason,
    travel_rule,
)

ASKED = Screening(
    subject="withdrawal-1",
    customer_id=1,
    asset="ETH",
    amount=10**18,
    value_cents=TRAVEL_RULE_ABOVE_CENTS,
    chain="ETH",
    address="0xReceiver",
)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, Verdict.CLEAR),
        ({"value_cents": TRAVEL_RULE_ABOVE_CENTS + 1}, Verdict.REVIEW),
        ({"value_cents": None}, Verdict.REVIEW),
        ({"value_cents": None, "beneficiary": "Alice"}, Verdict.CLEAR),
        ({"value_cents": 10**12, "institution": "Another Exchange"}, Verdict.REVIEW),
        ({"value_cents": 10**12, "beneficiary": "Alice"}, Verdict.CLEAR),
    ],
)
def test_above_the_threshold_the_receiver_is_named(
    changed: dict[str, object], verdict: Verdict
) -> None:
    """Not known is above; an institution without a name names nobody."""
    assert travel_rule(replace(ASKED, **changed)).verdict is verdict  # type: ignore[arg-type]


def test_a_review_names_who_wants_it() -> None:
    """All of them, and only them."""
    clear, review = ScreeningResult(Verdict.CLEAR), ScreeningResult(Verdict.REVIEW, "mixer")
    assert review_reason({"sanctions": clear, "travel_rule": clear}) is None
    assert review_reason({"sanctions": review, "travel_rule": clear}) == "sanctions:mixer"
    both = {"sanctions": review, "travel_rule": ScreeningResult(Verdict.REVIEW, "unnamed")}
    assert review_reason(both) == "sanctions:mixer, travel_rule:unnamed"


@pytest.mark.parametrize(
    ("amount", "reviewed", "needed"),
    [(100, False, 0), (100, True, 1), (101, False, 1), (101, True, 1), (1_001, True, 2)],
)
def test_a_review_asks_for_one_signature_more_only_where_none_is(
    amount: int, reviewed: bool, needed: int
) -> None:
    """It never lowers what the amount asks for."""
    assert quorum(amount, 100, reviewed=reviewed) == needed
