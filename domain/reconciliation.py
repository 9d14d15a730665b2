"""Words of reconciliation: what a run is asked for, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReconcileRequest:
    """Compare one shard's engine, the ledger and the wallet's rows at the settlement cursor."""

    shard: int


@dataclass(frozen=True)
class ReconcileResult:
    """What a run found. `rows` counts everything that was looked at."""

    shard: int
    sequence: int
    rows: int = 0
    violations: int = 0
    broken: list[str] = field(default_factory=list)  # names of broken invariants
    first: str = ""  # the first violation's text
