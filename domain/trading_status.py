"""Whether a shard and its markets take orders, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.order import ShardMode, StateCause, SymbolState


@dataclass(frozen=True, slots=True)
class StatusReason:
    """Who set a state, when and what for.

    `sequence` and `time_us` are those of the command; 0 = never set.
    """

    cause: StateCause = StateCause.NONE
    sequence: int = 0
    time_us: int = 0
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TradingStatus:
    """A shard's mode and the states of its markets, by symbol id, each with its reason."""

    mode: ShardMode
    reason: StatusReason = StatusReason()
    markets: Mapping[int, tuple[SymbolState, StatusReason]] = field(default_factory=dict)

    def of(self, symbol_id: int) -> tuple[SymbolState, StatusReason]:
        """Return what holds for a market: the shard's mode where that is as strict or stricter."""
        state, reason = self.markets.get(symbol_id, (SymbolState.OPEN, StatusReason()))
        if self.mode and self.mode >= state:
            return SymbolState(self.mode), self.reason
        return state, reason
