"""A simulated market: its invariants hold at every step, and a planted defect is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import matching.perpetual_trading
from domain.liquidation import bankruptcy_quote_units
from matching.deleveraging import apply_pair
from matching.perpetual import Perpetual
from workers.simulation.mass import breach
from workers.simulation.run import Plan, simulate

SHORT = 60  # steps: opening, a fall, gaps, a rise, a crash, and what follows


def _short(seed: int, engine: str = "core", **changed: Any) -> dict[str, Any]:
    plan = Plan(seed, SHORT, accounts=120, engine=engine, sweep_every=1, **changed)
    return simulate(plan)[0]


def _broken(report: dict[str, Any]) -> set[str]:
    return {violation["invariant"] for violation in report["violations"]}


@pytest.mark.parametrize("seed", range(1, 7))
def test_the_invariants_hold_at_every_step(seed: int) -> None:
    """All eleven have looked at something, and the run has liquidated, deleveraged and crashed."""
    report = _short(seed)
    assert report["violations"] == []
    assert [row["number"] for row in report["invariants"]] == list(range(1, 12))
    assert all(row["checked"] > 0 and row["ok"] for row in report["invariants"])
    for name in ("liquidations", "takeovers", "adl_fills", "funding_batches", "crashes"):
        assert report[name] > 0, name
    assert report["haircut_units"] <= report["shortfall_units"] + report["adl_fills"]


@pytest.mark.parametrize("seed", [3, 8])
def test_both_engines_and_both_times_give_the_same(seed: int) -> None:
    """One seed, one story: every number but the engine's name, and the digest of the state."""
    core, reference = _short(seed), _short(seed, "reference")
    assert core == _short(seed)
    assert reference == core | {"engine": "reference"}


def test_seeds_differ() -> None:
    """Another seed is another story."""
    assert _short(1)["digest"] != _short(2)["digest"]


def test_lost_answers_change_nothing_that_can_be_lost() -> None:
    """However often an activity's answer is lost, the log has what it did; the rules hold."""
    report = _short(4, loses_ppm=400_000)
    assert report["answers_lost"] > 20
    assert report["violations"] == []
    assert report["liquidations_finished"] > 0


def _fee_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the taker pay more than the event tells."""
    fill = matching.perpetual_trading.fill_perpetual

    def wrong(engine: Any, market: Any, maker: Any, taker: Any, lots: int, *rest: Any) -> None:
        fill(engine, market, maker, taker, lots, *rest)
        place = engine.state.balance(taker.account_id, market.rules.quote_asset_id)
        place[0] -= 1 + lots // 10

    monkeypatch.setattr("matching.trading.fill_perpetual", wrong)
    monkeypatch.setattr("matching.liquidations.fill_perpetual", wrong)


def _takeover_too_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fund take positions over for 10 USDT less than at the bankruptcy quote."""

    def wrong(scope: Any, symbol_id: int, delta_lots: int) -> Any:
        quote = bankruptcy_quote_units(scope, symbol_id, delta_lots)
        return quote - 10_000_000 if isinstance(quote, int) else quote

    monkeypatch.setattr("matching.liquidations.bankruptcy_quote_units", wrong)


def _cost_basis_drifts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose a unit of cost with each change of a position."""
    change = Perpetual.change

    def wrong(self: Perpetual, seat: Any, lots: int, cost: int) -> Any:
        return change(self, seat, lots, cost + 1)

    monkeypatch.setattr(Perpetual, "change", wrong)


def _pair_too_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close counterparties one tick a lot worse than at the bankruptcy quote."""

    def wrong(engine: Any, market: Any, accounts: Any, direction: int, pair: Any, key: int) -> None:
        more = pair.lots * market.rules.quote_units_per_tick_lot
        dearer = replace(
            pair, quote_units=pair.quote_units + more, haircut_units=pair.haircut_units + more
        )
        apply_pair(engine, market, accounts, direction, dearer, key)

    monkeypatch.setattr("matching.liquidations.apply_pair", wrong)


def _funding_rounds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a payer keep the sub-unit, so that the dust goes below nothing."""
    monkeypatch.setattr(
        "matching.funding.funding_units",
        lambda lots, mark, unit, rate: -(lots * mark * unit * rate // 10**6),
    )


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (_fee_twice, "engine_equals_ledger"),
        (_takeover_too_cheap, "liquidation_step_harms_nobody"),
        pytest.param(_cost_basis_drifts, "events_equal_formulas", marks=pytest.mark.long),
        (_pair_too_dear, "haircut_within_shortfall"),
        (_funding_rounds_up, "rounding_not_negative"),
    ],
)
def test_a_planted_defect_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], found: str
) -> None:
    """Each invariant is one that a defect of the engine breaks."""
    plant(monkeypatch)
    report = _short(5, "reference")
    assert found in _broken(report), _broken(report)
    assert not report["ok"]
    assert report["first_violation_step"] is not None


def test_many_breached_at_once_all_reach_the_end() -> None:
    """300 at one mark: frozen together, worked on in order of need, all released or flat."""
    report = breach(300, 1, "core")
    assert report["violations"] == []
    assert report["frozen_at_once"] == report["finished"] == 300
    assert report["left"] == 0
    assert report["adl_fills"] > 0


@pytest.mark.long
def test_ten_thousand_breached_at_once_all_reach_the_end() -> None:
    """None starves behind the others."""
    report = breach(10_000, 1, "core")
    assert report["violations"] == []
    assert report["frozen_at_once"] == report["finished"] == 10_000
    assert report["left"] == 0


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20, 40))
def test_more_seeds(seed: int) -> None:
    """Longer, with more accounts, on the core."""
    report = simulate(Plan(seed, 400, accounts=400, sweep_every=10))[0]
    assert report["violations"] == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40, 60))
def test_more_seeds_on_the_reference(seed: int) -> None:
    """Every step swept."""
    assert _short(seed, "reference")["violations"] == []
