"""`rialto feed`: its report in plain English."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from workers.cli.feed import _pace, describe

REPORT: dict[str, Any] = {
    "events": 100,
    "seconds": 2.0,
    "orders": 60,
    "cancels": 30,
    "already_gone": 10,
    "refused": {},
    "trades": 9,
    "settled_trades": 9,
    "agreement": {"recorded": 12, "comparable": 10, "matched": 9, "same_price_and_size": 10},
    "verify": {"ok": True},
}


def test_the_report_states_what_agreement_means() -> None:
    """Counts, the share with its definition, and the invariants."""
    text = describe(REPORT)
    assert "Played 100 events in 2.0 s (50 a second): 60 orders, 30 cancels" in text
    assert "9 trades, 9 of them in the ledger." in text
    assert "Agreement 90.0 %: 9 of 10 comparable recorded trades" in text
    assert "between the same two orders at the same price and size (10 of all 12" in text
    assert text.endswith("All invariants hold.")


def test_the_report_hides_nothing() -> None:
    """Refusals, violations and a missing recording are said."""
    verify = {"ok": False, "violations": ["conservation"]}
    text = describe({**REPORT, "refused": {"overflow": 2}, "agreement": None, "verify": verify})
    assert "Refused: 2 overflow." in text
    assert "nothing to compare" in text
    assert "Invariants violated: ['conservation']" in text


def test_the_pace() -> None:
    """`max` or a positive number."""
    assert _pace("max") is None
    assert _pace("2.5") == 2.5
    for wrong in ("0", "-1", "fast", "nan", "inf"):
        with pytest.raises(typer.Exit):
            _pace(wrong)
