"""Which fee tier an account has: by what it traded in the 30 whole days before a day.

A day is a UTC day, named by its date; its window is [30 days before 00:00, 00:00) of that day, in
engine time. Both sides of a trade count its quote amount. What was traded in another quote asset
than the reference asset counts at the last price of its market against the reference asset before
the window's end, rounded down; without such a market it counts nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.limits import MAX_FEE_TIERS

WINDOW_DAYS = 30
REFERENCE_ASSET = "USDT"
DAY_US = 86_400_000_000
TIER_VOLUMES = (0, 100_000, 1_000_000, 5_000_000, 20_000_000, 100_000_000)
"""From which volume on, in whole units of the reference asset, an account has tier 0, 1, 2, ..."""

assert len(TIER_VOLUMES) <= MAX_FEE_TIERS


@dataclass(frozen=True, slots=True)
class Worth:
    """What an engine unit of a quote asset counts: `numerator / denominator` reference units."""

    numerator: int
    denominator: int

    def of(self, units: int) -> int:
        """Return what `units` count, in engine units of the reference asset, rounded down."""
        return units * self.numerator // self.denominator


SAME = Worth(1, 1)


def worth_at(price_ticks: int, quote_units_per_tick_lot: int, base_units_per_lot: int) -> Worth:
    """Return what one base unit is worth at a price: ticks x quote per tick and lot / lot."""
    return Worth(price_ticks * quote_units_per_tick_lot, base_units_per_lot)


def start_of_day_us(day: dt.date) -> int:
    """Return 00:00 UTC of `day` in microseconds since 1970."""
    return (day - dt.date(1970, 1, 1)).days * DAY_US


def window_days(day: dt.date) -> list[dt.date]:
    """Return the days that count for `day`, oldest first."""
    return [day - dt.timedelta(days=back) for back in range(WINDOW_DAYS, 0, -1)]


def volume_units(traded: Mapping[int, int], worths: Mapping[int, Worth]) -> int:
    """Return the volume of {quote asset id: engine units}, in engine units of the reference."""
    return sum(worths[asset].of(units) for asset, units in traded.items() if asset in worths)


def tier_of(volume: int, unit: int) -> int:
    """Return the tier of a volume; `unit` is one whole reference asset in engine units."""
    return sum(volume >= least * unit for least in TIER_VOLUMES) - 1


def tier_key(account_id: int, day: dt.date, shard: int) -> int:
    """Return the command key of an account's tier from `day` on: never zero, the same each time."""
    text = f"tier:{shard}:{account_id}:{day.isoformat()}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little") | 1


@dataclass(frozen=True)
class TierRequest:
    """The argument of the workflow: `day` is an ISO date, "" for the day of its start."""

    day: str = ""


@dataclass(frozen=True)
class ShardTiers:
    """What a step is asked: the tiers of `day` for the accounts of one shard."""

    day: str
    shard: int


@dataclass(frozen=True)
class Assessed:
    """What the assessment of a day found: how many accounts, and how many in each tier above 0."""

    day: str
    accounts: int = 0
    tiers: dict[str, int] = field(default_factory=dict)
    shards: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class TiersSet:
    """How many accounts of a shard have got another tier, and the last sequence of these."""

    shard: int
    changed: int = 0
    last_sequence: int = 0


@dataclass(frozen=True, slots=True)
class CustomerTier:
    """What a customer is shown: the volume as of `day` ("" before the first), {shard: tier}."""

    day: str
    volume_units: int
    tiers: Mapping[int, int]
