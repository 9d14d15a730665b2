"""Funding: the rate that pulls a perpetual to its index, and what each position pays of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.money import PPM, floor_ppm
from domain.rounding import clamp


def funding_cap_ppm(factor_ppm: int, imr_ppm: int, mmr_ppm: int) -> int:
    """Return floor(factor x (IM rate - MM rate)): the most that funding takes an interval.

    With a factor below 1 no single funding takes a position from its initial to its maintenance
    margin. Rates of the first bracket.
    """
    return floor_ppm(imr_ppm - mmr_ppm, factor_ppm)


def funding_rate_ppm(
    premium_ppm: int, interest_ppm: int, damper_ppm: int, cap_ppm: int | None = None
) -> int:
    """Return F = P + clamp(I - P, -damper, damper), within +-cap; exact in ppm (BitMEX, Binance).

    Near the index the rate is the interest; beyond the damper it follows the premium.
    """
    rate = premium_ppm + clamp(interest_ppm - premium_ppm, -damper_ppm, damper_ppm)
    return rate if cap_ppm is None else clamp(rate, -cap_ppm, cap_ppm)


def funding_units(lots: int, mark_ticks: int, units_per_tick_lot: int, rate_ppm: int) -> int:
    """Return what a position receives (> 0) or pays (< 0): floor(-lots x mark x rate / 10**6).

    Rounded toward minus infinity: a payer pays the unit, a receiver goes without it. 128 bits:
    lots x mark x units a tick and lot, then x rate, negated before the division.
    """
    return -(lots * mark_ticks * units_per_tick_lot) * rate_ppm // PPM


@dataclass(frozen=True, slots=True)
class FundingBatch:
    """All entries of one funding, (account id, units) in the order given, and the dust.

    The entries and `rounding_units` sum to 0, and the dust is never negative: see `funding_batch`.
    """

    entries: tuple[tuple[int, int], ...]
    rounding_units: int


def funding_batch(
    positions: Sequence[tuple[int, int]], mark_ticks: int, units_per_tick_lot: int, rate_ppm: int
) -> FundingBatch:
    """Return what all (account id, lots) of a market pay and receive at one mark and rate.

    The lots of a market sum to 0, the fund's included, so the exact amounts do, too; each entry is
    its exact amount rounded down, so minus their sum, the dust, is 0 to one unit a position.
    """
    entries = tuple(
        (account_id, funding_units(lots, mark_ticks, units_per_tick_lot, rate_ppm))
        for account_id, lots in positions
    )
    return FundingBatch(entries, -sum(units for _, units in entries))


def funding_since(lots: int, index_at_open: int, index_now: int) -> int:
    """Return -(index now - index at open) x lots: funding credited to an unchanged position.

    The cumulative index sums mark x rate a unit of quantity; exact, without any rounding, so a
    report from it may differ from the entries by their dust.
    """
    return -(index_now - index_at_open) * lots
