"""Volumes and tiers: where a window ends, what counts how much, and from which volume on."""

from __future__ import annotations

import datetime as dt

import pytest

from domain.fee_tiers import (
    DAY_US,
    SAME,
    TIER_VOLUMES,
    Worth,
    start_of_day_us,
    tier_key,
    tier_of,
    volume_units,
    window_days,
    worth_at,
)

DAY = dt.date(2026, 3, 1)
UNIT = 10**6


def test_a_window_is_the_thirty_days_before() -> None:
    """The day itself does not count, over the end of a month and of a leap year's February."""
    days = window_days(DAY)
    assert (len(days), days[0], days[-1]) == (30, dt.date(2026, 1, 30), dt.date(2026, 2, 28))
    assert window_days(dt.date(2028, 3, 1))[-1] == dt.date(2028, 2, 29)
    assert start_of_day_us(dt.date(1970, 1, 2)) == DAY_US
    assert start_of_day_us(DAY) - start_of_day_us(days[0]) == 30 * DAY_US


@pytest.mark.parametrize("tier", range(1, len(TIER_VOLUMES)))
def test_a_tier_begins_exactly_at_its_volume(tier: int) -> None:
    """One unit less is the tier before."""
    least = TIER_VOLUMES[tier] * UNIT
    assert (tier_of(least - 1, UNIT), tier_of(least, UNIT)) == (tier - 1, tier)


def test_who_did_not_trade_has_tier_0() -> None:
    """And the largest volume has the last tier."""
    assert tier_of(0, UNIT) == 0
    assert tier_of(10**30, UNIT) == len(TIER_VOLUMES) - 1


def test_other_quote_assets_count_at_their_worth_rounded_down() -> None:
    """Per asset; one without a worth counts nothing."""
    # BTC/USDT at 60,000.1, tick 0.1, lot 0.00001: tick x lot is 1 unit of USDT, a lot 1,000 of BTC
    btc = worth_at(600_001, 1, 1_000)
    assert btc == Worth(600_001, 1_000)
    assert btc.of(10**8) == 60_000_100_000
    assert Worth(1, 3).of(2) == 0
    assert volume_units({1: 5, 2: 7, 3: 10**9}, {1: SAME, 2: Worth(1, 2)}) == 8


def test_keys_differ_by_account_day_and_shard() -> None:
    """And are the same each time: a repeated command has the same key."""
    keys = {
        tier_key(account, day, shard)
        for account in (1, 2)
        for day in (DAY, dt.date(2026, 3, 2))
        for shard in (0, 1)
    }
    assert len(keys) == 8
    assert 0 not in keys
    assert tier_key(1, DAY, 0) in keys
