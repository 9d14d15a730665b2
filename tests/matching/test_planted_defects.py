"""Defects planted into the engine: what is held against every stream finds each of them.

The plain engine is planted, as its functions can be replaced; the core's bytes are the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest

from domain.fees import fee_units
from domain.order import Side
from domain.position import PositionChange
from domain.risk_commands import FUND_ACCOUNT
from domain.risk_invariants import CLEARING, ROUNDING, TOLD
from matching import engine, perpetual_trading
from matching.perpetual import Perpetual
from tests.matching.desk import USDT, Desk
from tests.matching.mirror import Mirror
from tests.matching.perpetual_draw import Draw, drawn_desk
from tests.matching.test_perpetual_properties import Watch
from tests.matching.test_risk_invariants import held_against

Plant = Callable[[pytest.MonkeyPatch], None]
BALANCES = "the engine's balances are not its events'"
_SEEDS = 12


@pytest.fixture(autouse=True)
def plain_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all engines be plain ones."""
    monkeypatch.setattr(engine, "load_core", lambda: None)


def _charges(monkeypatch: pytest.MonkeyPatch, *more: int) -> None:
    """Add to the fees of every fill: to the maker's, which is computed first, and the taker's."""
    for module in ("trading", "perpetual_trading"):
        added = cycle(more)

        def wrong(quote: int, rate: int, added: Iterator[int] = added) -> int:
            return fee_units(quote, rate) + next(added)

        monkeypatch.setattr(f"matching.{module}.fee_units", wrong)


def _taker_pays_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    _charges(monkeypatch, 0, 1)


def _maker_pays_one_less(monkeypatch: pytest.MonkeyPatch) -> None:
    _charges(monkeypatch, -1, 0)


def _funding_rounds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "matching.funding.funding_units",
        lambda lots, mark, unit, rate: -(lots * mark * unit * rate // 10**6),
    )


def _liquidation_fee_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    fill = perpetual_trading.fill_perpetual

    def wrong(at: Any, market: Any, maker: Any, taker: Any, lots: int, insurance: int) -> None:
        fill(at, market, maker, taker, lots, insurance)
        at.state.balance(FUND_ACCOUNT, USDT)[0] -= max(0, insurance)

    monkeypatch.setattr("matching.liquidations.fill_perpetual", wrong)


def _profit_is_cleared_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Event and cash agree, so that balances alone cannot tell."""
    change = Perpetual.change

    def wrong(self: Perpetual, seat: Any, lots: int, cost: int) -> PositionChange:
        found = change(self, seat, lots, cost)
        return replace(found, realised_units=2 * found.realised_units)

    monkeypatch.setattr(Perpetual, "change", wrong)


def _found(seed: int) -> set[str]:
    """Return what a drawn stream breaks."""
    chance = random.Random(seed)
    watch = Watch(drawn_desk(chance))
    draw, found = Draw(watch.desk, chance), set[str]()
    try:
        for _ in range(60):
            for command in draw.next():
                watch.run(command)
    except AssertionError:
        found.add(BALANCES)
    report = held_against(watch.desk.events).findings.report()
    return found | {violation.invariant for violation in report.violations}


@pytest.mark.parametrize(
    ("plant", "rule"),
    [
        (_taker_pays_one_more, TOLD),
        (_maker_pays_one_less, TOLD),
        (_funding_rounds_up, TOLD),
        (_funding_rounds_up, ROUNDING),
        (_liquidation_fee_to_nobody, BALANCES),
        (_profit_is_cleared_twice, CLEARING),
        (_profit_is_cleared_twice, TOLD),
    ],
)
def test_a_few_streams_find_it(monkeypatch: pytest.MonkeyPatch, plant: Plant, rule: str) -> None:
    """By the rule that it breaks; without it the same streams break nothing (the properties)."""
    plant(monkeypatch)
    assert any(rule in _found(seed) for seed in range(_SEEDS))


@pytest.mark.parametrize("plant", [_taker_pays_one_more, _maker_pays_one_less])
def test_a_unit_of_a_spot_fee_is_found(monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    """Money is conserved all the same: only who computes the fee again can tell."""
    plant(monkeypatch)
    desk = Desk()
    desk.fund(1, 2)
    desk.sell(1, 1_000, 5)
    desk.order(2, Side.BUY, 1_000, 5)
    with pytest.raises(AssertionError):
        Mirror().read(desk.events)
