"""Bands of the hot wallet: what is surplus, what is missing, what gas an address needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.hot_wallet import Band, Holdings, band_concerns, gas_supply
from domain.instrument import Asset

USDT = Asset(1, "USDT", 6, 6)
BAND = Band(USDT, "0xusdt", sweep_above=10, floor=100, target=200, ceiling=300)


@pytest.mark.parametrize(
    ("available", "surplus", "shortfall"),
    [(-5, 0, 205), (99, 0, 101), (100, 0, 0), (200, 0, 0), (300, 0, 0), (301, 101, 0)],
)
def test_band_leads_back_to_its_target(available: int, surplus: int, shortfall: int) -> None:
    """Nothing moves inside the band; outside, the whole way to the target."""
    assert BAND.surplus(available) == surplus
    assert BAND.shortfall(available) == shortfall


@pytest.mark.parametrize(
    "bounds",
    [
        {"floor": 201},
        {"ceiling": 199},
        {"target": None},
        {"sweep_above": -1},
        {"floor": -1},
    ],
)
def test_bounds_that_make_no_sense_are_refused(bounds: dict[str, int | None]) -> None:
    """A bound out of order, below nothing, or without a target is said in words."""
    assert BAND.refusal is None
    assert replace(BAND, **bounds).refusal  # type: ignore[arg-type]


def test_promised_money_counts_as_gone() -> None:
    """Withdrawals that wait and payments that leave are no part of what is available."""
    held = Holdings(USDT, hot=500, pending=350, leaving=51)
    assert held.available == 99
    ((asset, text),) = band_concerns([BAND], [held])
    assert asset == "USDT"
    assert "rialto cold request USDT=0.000101" in text
    assert band_concerns([BAND], [replace(held, leaving=50)]) == []


def test_a_signed_refill_is_not_asked_for_again() -> None:
    """It counts as there; what lacks beside it is asked for, and what the cold wallet has told."""
    held = Holdings(USDT, hot=20, cold=900, refilling=79)
    assert held.to_refill(BAND) == 101
    ((_, text),) = band_concerns([BAND], [held])
    assert "the cold wallet has 0.0009 in the books" in text
    assert band_concerns([BAND], [replace(held, refilling=80)]) == []


def test_gas_is_supplied_with_a_margin_and_only_where_it_lacks() -> None:
    """Half as much again as the payment can cost, without what is there."""
    assert gas_supply(100, 100) == 0
    assert gas_supply(99, 100) == 51
    assert gas_supply(0, 101) == 151
