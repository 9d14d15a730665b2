"""Listings, parameters and tiers under a key take effect once, whoever repeats them when."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from domain.commands import Command, Credit, SetAccountTier, SetParameters
from domain.errors import RejectReason as R
from domain.events import AccountTierSet, KeyDuplicate, ParametersSet, SymbolListed
from domain.limits import KEY_FOR_US
from matching.engine import restore_engine
from tests.matching.desk import BTC, BTC_USDT, LISTING, USDT, Desk, reason

pytestmark = pytest.mark.usefixtures("each_engine")

OTHER = replace(LISTING, symbol_id=BTC_USDT, base_asset_id=BTC, key=2**127 + 3)

RULE_NAMES = [field.name for field in fields(SetParameters)]


def _parameters(key: int, **changes: Any) -> SetParameters:
    rules = {name: getattr(LISTING, name) for name in RULE_NAMES}
    return SetParameters(**{**rules, **changes, "key": key})


@pytest.fixture
def desk() -> Desk:
    """Give a desk with one market."""
    return Desk()


def _duplicate(desk: Desk, command: Command) -> KeyDuplicate:
    (event,) = desk.run(command)
    assert isinstance(event, KeyDuplicate), event
    return event


def test_a_late_repeat_does_not_undo_what_came_after(desk: Desk) -> None:
    """A change that is delivered again after the next one stays without effect."""
    first, second = _parameters(5, band_ppm=50_000), _parameters(6, band_ppm=70_000)
    (set_first,) = desk.run(first)
    assert isinstance(set_first, ParametersSet)
    desk.run(second)
    desk.engine = restore_engine(desk.engine.snapshot(), desk.engine.kind)
    found = _duplicate(desk, first)
    assert (found.first_sequence, found.first_reason, found.same_body) == (
        set_first.sequence,
        R.NONE,
        True,
    )
    assert desk.engine.markets()[0].rules.band_ppm == 70_000


@pytest.mark.parametrize(
    "changes", [{"band_ppm": 1}, {"max_position_lots": 1}, {"symbol_id": BTC_USDT}]
)
def test_another_body_under_the_same_key_is_told(desk: Desk, changes: dict[str, int]) -> None:
    """Every field counts for whether it is the same request."""
    desk.run(_parameters(5))
    assert not _duplicate(desk, _parameters(5, **changes)).same_body


def test_a_listing_and_a_tier_happen_once(desk: Desk) -> None:
    """The first outcome stands, a refusal included; keys are shared by all commands."""
    assert isinstance(desk.run(OTHER)[0], SymbolListed)
    assert _duplicate(desk, OTHER).first_reason is R.NONE
    assert isinstance(desk.run(SetAccountTier(1, 2, key=9))[0], AccountTierSet)
    desk.run(SetAccountTier(1, 3, key=10))
    assert _duplicate(desk, SetAccountTier(1, 2, key=9)).same_body
    assert desk.engine.tiers() == {1: 3}
    assert reason(desk.run(SetAccountTier(1, 9, key=11))) is R.UNKNOWN_FEE_TIER
    assert _duplicate(desk, SetAccountTier(1, 9, key=11)).first_reason is R.UNKNOWN_FEE_TIER
    credit = Credit(9, 1, USDT, 5, desk.time_us)
    assert not _duplicate(desk, credit).same_body


def test_without_a_key_nothing_is_remembered(desk: Desk) -> None:
    """As before: each command acts."""
    for _ in range(2):
        assert isinstance(desk.run(_parameters(0, band_ppm=7))[0], ParametersSet)


def test_keys_are_forgotten_after_two_days(desk: Desk) -> None:
    """The window is that of money commands."""
    desk.run(SetAccountTier(1, 2, key=9))
    desk.wait(KEY_FOR_US // 1_000_000 + 1)
    assert isinstance(desk.run(SetAccountTier(1, 2, key=9))[0], AccountTierSet)
