"""The index price: the median of fresh outside sources, never our own book alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.money import PPM
from domain.rounding import half_even_div


@dataclass(frozen=True, slots=True)
class SourcePrice:
    """What a source said, in ticks, and when; the adapter rounded it half-even to the tick."""

    source_id: int
    price_ticks: int
    time_us: int


@dataclass(frozen=True, slots=True)
class IndexRules:
    """How many sources an index needs, how old they may be, how far from their median."""

    min_sources: int = 3
    max_age_us: int = 10_000_000
    max_deviation_ppm: int = 50_000


def used_sources(
    sources: Sequence[SourcePrice], now_us: int, rules: IndexRules
) -> list[SourcePrice]:
    """Return the sources that count, by price: fresh, and not beyond the deviation.

    A source is fresh up to and with `max_age_us`; one from the future is fresh. The deviation is
    from the median of the fresh ones, at the limit it counts. Compared without division, doubled,
    as the median of an even number lies between two: |2p - 2m| x 10**6 <= deviation x 2m.
    """
    fresh = sorted(
        (one for one in sources if now_us - one.time_us <= rules.max_age_us),
        key=lambda one: (one.price_ticks, one.source_id),
    )
    if not fresh:
        return []
    doubled = _doubled_median(fresh)
    reach = rules.max_deviation_ppm * doubled
    return [one for one in fresh if abs(2 * one.price_ticks - doubled) * PPM <= reach]


def index_ticks(sources: Sequence[SourcePrice], now_us: int, rules: IndexRules) -> int | None:
    """Return the median of the sources that count, half-even to the tick; None with too few."""
    used = used_sources(sources, now_us, rules)
    if len(used) < rules.min_sources:
        return None
    return half_even_div(_doubled_median(used), 2)


def _doubled_median(ordered: Sequence[SourcePrice]) -> int:
    middle = len(ordered) // 2
    return ordered[middle].price_ticks + ordered[-1 - middle].price_ticks
