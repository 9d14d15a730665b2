"""Words of settlement: what it is asked for, and what it came to.

Sequences are the engine's command sequences; a cursor moves by whole commands.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_BATCH_TRADES = 5_000  # a batch ends at a command boundary, so one huge command may exceed it

LEDGER_INVARIANT = "LedgerInvariant"  # the failures that no repetition can heal
SEQUENCE_GAP = "SequenceGap"
JOURNAL_BEHIND_LEDGER = "JournalBehindLedger"  # the engine's own faults keep their names
EVENTS_NOT_RETAINED = "EventsNotRetained"
BEYOND_REPETITION = (LEDGER_INVARIANT, SEQUENCE_GAP, JOURNAL_BEHIND_LEDGER, EVENTS_NOT_RETAINED)


@dataclass(frozen=True, slots=True)
class Settled:
    """Where the cursor is after a batch. `digest` is the journal's hash; "" without money."""

    last_sequence: int
    trades: int
    digest: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Which run of which workflow settles: it stands in the journal, for whoever audits it."""

    workflow_id: str
    run_id: str
    activity_id: str


@dataclass(frozen=True)
class SettleRequest:
    """Settle the events of `shard` as they come, for about `max_seconds`."""

    shard: int
    max_seconds: float = 5.0
    max_trades: int = MAX_BATCH_TRADES


@dataclass(frozen=True)
class SettleResult:
    """What one run settled: commands after `from_sequence` up to `to_sequence`.

    `digest` is the hash of the last journal it wrote ("" if none); `lag` counts the commands that
    the engine had made durable beyond `to_sequence` at the end.
    """

    from_sequence: int
    to_sequence: int
    batches: int
    trades: int
    digest: str
    lag: int


@dataclass(frozen=True)
class HaltRequest:
    """Halt a shard's engine because its settlement cannot go on."""

    shard: int
    reason: str


@dataclass(frozen=True)
class SettlementState:
    """What the settlement workflow carries from run to run. `failure` is why it is parked."""

    shard: int
    settled_sequence: int = 0
    trades: int = 0
    lag: int = 0
    digest: str = ""
    pause_reason: str = ""
    failure: str = ""


@dataclass(frozen=True)
class OperatorRequest:
    """What an operator says when pausing, resuming or retrying: why."""

    reason: str
