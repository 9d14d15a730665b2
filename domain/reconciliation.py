"""Words of reconciliation: what a run is asked for, what it found, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from domain.checker_report import Violation


@dataclass(frozen=True)
class ReconcileRequest:
    """Compare one shard's engine, the ledger and the wallet's rows at the settlement cursor.

    `full`: everything that is not archived; else what is new since the last clean run.
    """

    shard: int
    full: bool = False


@dataclass(frozen=True)
class ReconcileResult:
    """What a run found. `rows` counts everything that was looked at."""

    shard: int
    sequence: int
    rows: int = 0
    violations: int = 0
    broken: list[str] = field(default_factory=list)  # names of broken invariants
    first: str = ""  # the first violation's text
    halted: bool = False  # trading on the shard was stopped
    gated: bool = False  # nothing is paid out until a clean run


class Policy(StrEnum):
    """What a difference does beside its alarm."""

    ALARM = "alarm"  # nothing
    GATE = "gate"  # no withdrawal gets its nonce until a run is clean
    HALT = "halt"  # that, and the shard stops where its own books are wrong


# Books that the shard's trading rests on; a difference in any other only stops payments.
_TRADING = frozenset(
    {
        "cursor_follows_journal",
        "engine_equals_ledger",
        "entries_equal_balances",
        "hash_chain_unbroken",
        "journal_positions_dense",
        "journals_balance",
        "lines_equal_entries",
        "requests_unchanged",
        "sequences_in_order",
        "trades_settled_once",
    }
)


@dataclass(frozen=True, slots=True)
class Response:
    """What follows from a run."""

    halts: bool
    gates: bool


def response_to(violations: Iterable[Violation], policy: Policy) -> Response:
    """Return what `policy` asks for: any difference gates, one in the shard's books halts."""
    broken = {violation.invariant for violation in violations}
    return Response(
        halts=policy is Policy.HALT and bool(broken & _TRADING),
        gates=policy is not Policy.ALARM and bool(broken),
    )
