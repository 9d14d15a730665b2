"""Why a market's state or a shard's mode is what it is."""

from __future__ import annotations

from dataclasses import dataclass

from domain.order import StateCause


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
