"""Answers to compliance staff: withdrawals and their stories."""

from __future__ import annotations

from typing import Any

from api.schemas.common import Output


class AuditRecordOut(Output):
    """One record of the audit log; `fault` says why it is not genuine, "" if it is."""

    audit_id: int
    at: str
    subject: str
    actor: str
    action: str
    says: str
    detail: dict[str, Any]
    previous_hash: str
    hash: str
    fault: str


class HistoryRunOut(Output):
    """A run of the workflow and where its history is: in Temporal, or exported."""

    run_id: str
    source: str
    status: str = ""
    closed_at: str = ""
    keep_until: str = ""
    fault: str = ""


class WithdrawalStoryOut(Output):
    """The story of a withdrawal; `answer` is who let it out, and why, in lines to be read.

    `differences` are what row or history say otherwise than the audit log.
    """

    withdrawal_id: str
    customer: str
    asset: str
    amount: str
    fee: str
    address: str
    requested_at: str
    state: str
    tx_hash: str
    answer: list[str]
    differences: list[str]
    history: list[HistoryRunOut]
    records: list[AuditRecordOut]


class FiledWithdrawalOut(Output):
    """A withdrawal in the list; its story tells the rest."""

    withdrawal_id: str
    customer_id: int
    asset: str
    amount: str
    address: str
    state: str
    stage: str
    time_us: int


class FiledWithdrawalPage(Output):
    """Withdrawals of all customers, newest first; `next` continues."""

    withdrawals: list[FiledWithdrawalOut]
    next: str | None = None
