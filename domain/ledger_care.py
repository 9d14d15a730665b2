"""Words of the ledger's care: what is asked of it, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CareRequest:
    """Keep partitions; what was booked more than `retention_days` ago may be archived."""

    retention_days: int


@dataclass(frozen=True)
class CareResult:
    """How many partitions were made ahead, and which went to the archive."""

    made: int = 0
    detached: list[str] = field(default_factory=list)
