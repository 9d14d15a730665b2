"""The mark price and what it is made of: impact prices, premium samples, the mean basis.

The mark values positions, so that nobody is liquidated by one trade in one book. All prices are
in ticks of the market.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.market_data import Level
from domain.money import PPM
from domain.rounding import clamp, half_even_div, truncate_div


@dataclass(frozen=True, slots=True)
class ImpactPrice:
    """The average price of an impact notional, exact: numerator / divisor ticks."""

    numerator: int
    divisor: int

    @property
    def ticks(self) -> int:
        """Return it half-even to the tick, to be shown."""
        return half_even_div(self.numerator, self.divisor)


def impact_price(
    levels: Sequence[Level], impact_units: int, units_per_tick_lot: int
) -> ImpactPrice | None:
    """Return the average price of trading `impact_units` (> 0) through a side, best level first.

    The last level is taken in part, in fractions of a lot: with `lots` taken whole before it and
    `rest` units left at its price p, and w = p x units a tick and lot,

        average = impact / (units a tick and lot x (lots + rest / w))
                = impact x p / (lots x w + rest)

    None: the side is too thin. 128 bits: impact x p, lots x w.
    """
    rest, lots = impact_units, 0
    for price_ticks, quantity_lots in levels:
        lot_units = price_ticks * units_per_tick_lot
        if rest <= lot_units * quantity_lots:
            return ImpactPrice(impact_units * price_ticks, lots * lot_units + rest)
        rest -= lot_units * quantity_lots
        lots += quantity_lots
    return None


def premium_ppm(
    bid: ImpactPrice | None, ask: ImpactPrice | None, index_ticks: int, max_abs_ppm: int
) -> int:
    """Return one premium sample, truncated toward zero, within +-`max_abs_ppm`.

        (max(0, impact bid - index) - max(0, index - impact ask)) / index

    A side too thin for the impact notional gives 0. Of an uncrossed book at most one of the two
    is above 0, so that one division is enough. 128 bits: (numerator - index x divisor) x 10**6,
    index x divisor.
    """
    premium = 0
    if bid is not None:
        premium += _above_ppm(bid, index_ticks)
    if ask is not None:
        premium -= _below_ppm(ask, index_ticks)
    return clamp(premium, -max_abs_ppm, max_abs_ppm)


def _above_ppm(price: ImpactPrice, index_ticks: int) -> int:
    above = price.numerator - index_ticks * price.divisor
    return above * PPM // (index_ticks * price.divisor) if above > 0 else 0


def _below_ppm(price: ImpactPrice, index_ticks: int) -> int:
    below = index_ticks * price.divisor - price.numerator
    return below * PPM // (index_ticks * price.divisor) if below > 0 else 0


def premium_average_ppm(samples: Sequence[tuple[int, int]], expected_count: int) -> int:
    """Return the mean of (premium_ppm, how often) samples, truncated toward zero (dYdX).

    Missing samples count as 0; with more than expected, all count.
    """
    taken = sum(count for _, count in samples)
    total = sum(premium * count for premium, count in samples)
    return truncate_div(total, max(taken, expected_count))


@dataclass(frozen=True, slots=True)
class BasisSample:
    """How far the book's middle was from the index, in half ticks: bid + ask - 2 x index."""

    time_us: int
    half_ticks: int


@dataclass(frozen=True, slots=True)
class Basis:
    """The samples of a window as their sum and number; none are a basis of 0."""

    half_ticks: int = 0
    count: int = 0


def basis_sample(time_us: int, bid_ticks: int, ask_ticks: int, index_ticks: int) -> BasisSample:
    """Return the sample of a book with both sides; a book without one gives none."""
    return BasisSample(time_us, bid_ticks + ask_ticks - 2 * index_ticks)


def basis_of(samples: Sequence[BasisSample], now_us: int, window_us: int) -> Basis:
    """Return the samples younger than the window; an engine keeps the sum as it goes."""
    inside = [one.half_ticks for one in samples if now_us - one.time_us < window_us]
    return Basis(sum(inside), len(inside))


@dataclass(frozen=True, slots=True)
class FundingClock:
    """The last funding rate in ppm an interval, and the seconds to the next funding."""

    rate_ppm: int
    seconds_left: int
    interval_seconds: int


def mark_ticks(
    index_ticks: int, funding: FundingClock, basis: Basis, last_ticks: int | None
) -> int:
    """Return the mark price, half-even to the tick, at least one tick (Binance).

        median(index x (1 + rate x seconds left / interval), index + mean basis, last price)

    A market that has not traded has the index for its last price. Each is rounded to the tick,
    half-even, and then compared: rounding keeps the order, so it is the rounded median.
    128 bits: index x (10**6 x interval + rate x seconds).
    """
    whole = PPM * funding.interval_seconds
    by_funding = half_even_div(
        index_ticks * (whole + funding.rate_ppm * funding.seconds_left), whole
    )
    count = 2 * max(1, basis.count)
    by_basis = half_even_div(index_ticks * count + basis.half_ticks, count)
    last = index_ticks if last_ticks is None else last_ticks
    _, median, _ = sorted((by_funding, by_basis, last))
    return max(1, median)


def is_mark_fresh(
    now_us: int,
    index_time_us: int | None,
    begun_us: int,
    max_age_us: int,
    window_us: int,
) -> bool:
    """Return whether positions may be liquidated at the mark.

    `index_time_us` is when there last was an index (None: never since the start), `begun_us` when
    the basis window began: at the first index after a start. Until one whole window has passed,
    and when the index is older than `max_age_us`, the mark is stale.
    """
    if index_time_us is None:
        return False
    return now_us - index_time_us <= max_age_us and now_us - begun_us >= window_us
