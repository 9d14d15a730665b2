"""Perpetual markets and positions as the engine tells them to those who ask: plain numbers.

The gRPC messages have the same names, so that a further number is one line in each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from domain.perpetual_state import PerpetualState
from domain.risk_commands import MarginMode


@dataclass(frozen=True, slots=True)
class PerpetualNow:
    """A perpetual market as it is; prices and times are 0 where there never was one.

    `rate_ppm` and `funding_time_us` are the last funding's, `open_lots` all longs.
    """

    symbol_id: int
    phase: PerpetualState
    index_ticks: int
    index_time_us: int
    sources: int
    mark_ticks: int
    mark_is_fresh: bool
    rate_ppm: int
    funding_time_us: int
    open_lots: int

    @classmethod
    def of(cls, source: Any) -> Self:
        """Return it from anything with fields of these names."""
        named = {name: getattr(source, name) for name in cls.__slots__}
        return cls(**named | {"phase": PerpetualState(source.phase)})

    def by_name(self) -> dict[str, Any]:
        """Return the numbers by their names."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Holding:
    """What an account has in a perpetual market, and has chosen for it.

    `cost_units` are signed like the lots; `margin_units` is an isolated position's own cash;
    `liquidation_ticks` the last mark at which it is safe, 0: no mark is one, or none is needed.
    """

    symbol_id: int
    lots: int
    cost_units: int
    leverage: int
    mode: MarginMode
    margin_units: int
    mark_ticks: int
    unrealised_units: int
    maintenance_units: int
    liquidation_ticks: int

    @classmethod
    def of(cls, source: Any) -> Self:
        """Return it from anything with fields of these names."""
        named = {name: getattr(source, name) for name in cls.__slots__}
        return cls(**named | {"mode": MarginMode(source.mode)})

    def by_name(self) -> dict[str, Any]:
        """Return the numbers by their names."""
        return asdict(self)

    @property
    def scope(self) -> int:
        """Return which scope backs it: its own market, or 0 for the account's cross margin."""
        return self.symbol_id if self.mode is MarginMode.ISOLATED else 0


@dataclass(frozen=True, slots=True)
class ScopeMargin:
    """A scope's margin; `symbol_id` 0 is cross.

    `required_units` is what equity less spot holds must cover for new orders, `leaving_units` may
    leave it, spot holds not counted; `version` is not 0 while it is in liquidation. `is_gated`:
    nothing leaves the shard with it, whatever its margin, while a loss is uncovered.
    """

    symbol_id: int
    cash_units: int
    equity_units: int
    maintenance_units: int
    required_units: int
    leaving_units: int
    version: int
    is_gated: bool = False

    @classmethod
    def of(cls, source: Any) -> Self:
        """Return it from anything with fields of these names."""
        return cls(**{name: getattr(source, name) for name in cls.__slots__})

    def by_name(self) -> dict[str, Any]:
        """Return the numbers by their names."""
        return asdict(self)

    @property
    def is_liquidating(self) -> bool:
        """Return whether a liquidation goes on."""
        return self.version != 0


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an account has in perpetuals: by market, and the scopes that back it by symbol."""

    positions: Sequence[Holding] = ()
    scopes: Mapping[int, ScopeMargin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PastFunding:
    """A funding that was paid, as everybody may know it: `entries` positions paid or received."""

    funding_time_us: int
    sequence: int
    rate_ppm: int
    premium_ppm: int
    mark_ticks: int
    entries: int


class PositionEventKind(StrEnum):
    """What changes positions or their cash beside fills."""

    FUNDING = "funding"
    TAKEOVER = "takeover"
    DELEVERAGING = "deleveraging"
    SETTLEMENT = "settlement"


@dataclass(frozen=True, slots=True)
class PositionEvent:
    """Something that happened to a customer's position beside its fills.

    `amount_units` is what the account received (< 0: paid): the funding, or else the profit that
    closing made. `lots` are the position after it; of a funding those it was paid for.
    `is_counterparty`: it was deleveraged against somebody else's liquidation.
    """

    shard: int
    sequence: int
    index: int
    time_us: int
    kind: PositionEventKind
    symbol_id: int
    amount_units: int
    lots: int
    is_counterparty: bool
    rate_ppm: int | None


@dataclass(frozen=True, slots=True)
class FundChange:
    """What a journal of the ledger made of the insurance fund's cash, in chain units."""

    journal_id: int
    time_us: int
    kind: str
    change: int
    cash: int
