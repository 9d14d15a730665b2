"""The checker on markets and tiers: each kind of difference is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.checker_markets import (
    EngineMarkets,
    MarketRows,
    check_markets,
    markets_after,
    rules_record,
)
from domain.checker_report import Findings
from tests.api.memory import BTC_USDT, ETH_USDT

ETH, BTC = rules_record(ETH_USDT.rules()), rules_record(BTC_USDT.rules())
ENGINE = EngineMarkets({1: (ETH, False), 2: (BTC, True)}, {7: 2})
ROWS = MarketRows(ENGINE, {1: ETH, 2: BTC}, {1: ETH, 2: BTC})


def _broken(engine: EngineMarkets, rows: MarketRows) -> list[str]:
    findings = Findings()
    check_markets(findings, 0, engine, rows)
    return [violation.invariant for violation in findings.report().violations]


def test_equal_rows_are_in_order() -> None:
    """And something was looked at."""
    findings = Findings()
    check_markets(findings, 0, ENGINE, ROWS)
    report = findings.report()
    assert report.ok
    assert {result.name for result in report.invariants} == {
        "markets_equal_engine",
        "tiers_equal_engine",
    }


@pytest.mark.parametrize("name", [*ETH])
def test_each_field_counts(name: str) -> None:
    """One other value in any of them is a violation."""
    other: dict[str, Any] = {**ETH, name: [[9, 9]] if name == "fees" else 999}
    engine = replace(ENGINE, markets={**ENGINE.markets, 1: (other, False)})
    assert _broken(engine, ROWS) == ["markets_equal_engine"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (replace(ROWS, at=replace(ENGINE, markets={1: (ETH, False)})), "markets_equal_engine"),
        (
            replace(ROWS, at=replace(ENGINE, markets={**ENGINE.markets, 2: (BTC, False)})),
            "markets_equal_engine",
        ),
        (replace(ROWS, now={1: ETH, 2: {**BTC, "band_ppm": 1}}), "markets_equal_engine"),
        (replace(ROWS, now={1: ETH}), "markets_equal_engine"),
        (replace(ROWS, now={**ROWS.now, 3: BTC}), "markets_equal_engine"),
        (replace(ROWS, at=replace(ENGINE, tiers={})), "tiers_equal_engine"),
        (replace(ROWS, at=replace(ENGINE, tiers={7: 1})), "tiers_equal_engine"),
        (replace(ROWS, at=replace(ENGINE, tiers={7: 2, 8: 1})), "tiers_equal_engine"),
    ],
)
def test_each_difference_is_named(rows: MarketRows, expected: str) -> None:
    """A row too few, too many, or other than the engine has it."""
    assert _broken(ENGINE, rows) == [expected]


def test_history_adds_up() -> None:
    """Rules that were set replace those of the listing; a delisting leaves them as they are."""
    events = [
        (1, "listed", ETH),
        (1, "parameters", {"band_ppm": 5}),
        (2, "listed", BTC),
        (1, "delisted", {}),
    ]
    assert markets_after(events) == {1: ({**ETH, "band_ppm": 5}, True), 2: (BTC, False)}
