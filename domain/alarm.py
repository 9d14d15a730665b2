"""Alarms: what a person has to look at, raised once and cleared when it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How urgent it is."""

    WARNING = "warning"  # somebody waits: today
    CRITICAL = "critical"  # money or trading stands: now


class AlarmKind(StrEnum):
    """What is wrong."""

    RECONCILIATION = "reconciliation"
    PARKED = "parked"
    SETTLEMENT_LAG = "settlement_lag"
    ENGINE_HALTED = "engine_halted"
    DEPOSIT_REVERSED = "deposit_reversed"
    NONCE_GAP = "nonce_gap"
    HOT_WALLET = "hot_wallet"


RUNBOOKS = {
    AlarmKind.RECONCILIATION: "docs/runbooks/reconciliation-failed.md",
    AlarmKind.PARKED: "docs/runbooks/wallet-parked.md",
    AlarmKind.SETTLEMENT_LAG: "docs/runbooks/settlement-lag.md",
    AlarmKind.ENGINE_HALTED: "docs/runbooks/engine-halted.md",
    AlarmKind.DEPOSIT_REVERSED: "docs/runbooks/deposit-reorganised.md",
    AlarmKind.NONCE_GAP: "docs/runbooks/wallet-parked.md",
    AlarmKind.HOT_WALLET: "docs/runbooks/hot-wallet.md",
}
MARKET_RUNBOOK = "docs/runbooks/market-listing.md"
LIQUIDATION_RUNBOOK = "docs/runbooks/liquidation-parked.md"
SETTLEMENT_RUNBOOK = "docs/runbooks/settlement-parked.md"


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong now. The same kind and subject are the same alarm.

    `subject` names the thing (a shard's account, a workflow), `workflow_id` where to look in
    Temporal's UI, "" when there is nothing to see.
    """

    kind: AlarmKind
    subject: str
    severity: Severity
    text: str
    workflow_id: str = ""
    runbook: str = ""

    @property
    def key(self) -> str:
        """Return what tells one open alarm from another."""
        return f"{self.kind}:{self.subject}"


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm as it was raised; times are ISO 8601, UTC, "" for what has not happened.

    `times` counts the rounds in which the condition was found; `workflow_url` is a link.
    """

    alarm_id: int
    kind: str
    subject: str
    severity: str
    text: str
    runbook: str
    workflow_url: str
    raised_at: str
    seen_at: str
    times: int
    acked_by: str
    acked_at: str
    cleared_at: str
