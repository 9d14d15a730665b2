"""A withdrawal's story, from its records in the audit log alone: who let it out, and why.

What Temporal's history says is only compared with it: a step that has completed there must have
left its record here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.approval import APPROVE, DECISIONS, REJECT, VOID
from domain.audit import AuditRecord
from domain.money import text_from_units
from domain.screening import RESCREENED
from domain.withdrawal import (
    CANCEL_REQUESTED,
    RELEASE_BEGUN,
    REPLACED,
    VOID_SIGNED,
    WithdrawalState,
)
from domain.workflow_history import HISTORY_EXPORTED

FILE_READ = "file_read"  # audit action: a member of staff has looked at a customer's file
LOG_EXPORTED = "log_exported"  # audit action: a member of staff has taken a period's records out

_State = WithdrawalState
_STATES = frozenset(WithdrawalState)
# A completed step -> records of which at least one is there then. A step that was not done because
# the customer has cancelled, or that found its work done, has completed, too.
_RECORDS_OF_STEP: dict[str, frozenset[str]] = {
    "take_withdrawal": frozenset({_State.HELD}),
    "screen_withdrawal": frozenset({_State.SCREENED, _State.REJECTING, CANCEL_REQUESTED}),
    "record_decision": DECISIONS,
    "begin_release": frozenset({_State.REJECTING, _State.CANCELLING, _State.NUMBERED}),
    "begin_void": frozenset({_State.VOIDING, VOID}),
    "send_void": frozenset({VOID_SIGNED}),
    "release_withdrawal": frozenset({_State.REJECTED, _State.CANCELLED}),
    "allocate_nonce": frozenset({_State.NUMBERED, CANCEL_REQUESTED, _State.REJECTING}),
    "store_signed": frozenset({_State.SIGNED}),
    "broadcast_withdrawal": frozenset({_State.BROADCAST}),
    "confirm_withdrawal": frozenset(
        {_State.CONFIRMED, _State.REVERTED, REPLACED, "parked", _State.VOIDING}
    ),
    "settle_withdrawal": frozenset({_State.SETTLED}),
}


@dataclass(frozen=True, slots=True)
class WithdrawalStory:
    """What the log says in short; amounts as text in whole coins. "" is what is not known (yet)."""

    withdrawal_id: str
    customer: str
    asset: str
    amount: str
    fee: str
    address: str
    requested_at: str
    state: str
    tx_hash: str
    answer: tuple[str, ...]  # who let it out or kept it, and why: lines to be read


def story_of(withdrawal_id: str, records: Sequence[AuditRecord]) -> WithdrawalStory | None:
    """Return the story that the records tell, oldest first; None without the request's own."""
    asked = next((record for record in records if record.action == _State.REQUESTED), None)
    if asked is None:
        return None
    decimals = _number(asked.detail.get("decimals"))
    reached = [record for record in records if record.action in _STATES]
    # The last one counts.
    carried = (_State.SIGNED, REPLACED, _State.CONFIRMED, _State.REVERTED, _State.VOIDED)
    paid = next((record for record in reversed(records) if record.action in carried), None)
    return WithdrawalStory(
        withdrawal_id=withdrawal_id,
        customer=asked.actor,
        asset=str(asked.detail.get("asset", "")),
        amount=text_from_units(_number(asked.detail.get("amount")), decimals),
        fee=text_from_units(_number(asked.detail.get("fee")), decimals),
        address=str(asked.detail.get("address", "")),
        requested_at=asked.at.isoformat(),
        state=reached[-1].action,
        tx_hash=str(paid.detail.get("tx_hash", "")) if paid else "",
        answer=tuple(_answer(records)),
    )


def _answer(records: Sequence[AuditRecord]) -> list[str]:
    by_action = {record.action: record for record in records}
    lines = [f"{record.actor} asked for it" for record in records if record.action == "requested"]
    if screened := by_action.get(_State.SCREENED):
        lines.append(f"the policy let it pass: {sentence(screened)}")
    for record in records:
        if record.action in DECISIONS:
            lines.append(f"{record.actor} signed: {record.action}")
        elif record.action.endswith("_refused"):
            lines.append(f"{record.actor} tried in vain: {sentence(record)}")
    if approved := by_action.get(_State.APPROVED):
        lines.append(sentence(approved))
    if paid := by_action.get(_State.CONFIRMED):
        lines.append(f"it was paid: {sentence(paid)}")
    ends = (
        *(_State.VOIDING, _State.VOIDED, _State.REJECTING, _State.REJECTED),
        *(_State.CANCELLING, _State.REVERTED),
    )
    lines += [
        f"{action} by {by_action[action].actor}: {sentence(by_action[action])}"
        for action in ends
        if action in by_action
    ]
    return lines


def sentence(record: AuditRecord) -> str:
    """Return what a record says, for people; "" where its detail has to speak for itself."""
    say = _SENTENCES.get(record.action)
    return say(record.detail) if say else ""


def _requested(detail: Mapping[str, Any]) -> str:
    amount = text_from_units(_number(detail.get("amount")), _number(detail.get("decimals")))
    return f"asks for {amount} {detail.get('asset')} to {detail.get('address')}"


def _checked(detail: Mapping[str, Any]) -> str:
    checks = detail.get("checks") or {}
    told = ", ".join(
        f"{rule}: {'passed' if passed else 'REFUSED'}" for rule, passed in checks.items()
    )
    if "policy_version" not in detail:
        return str(detail.get("reason", ""))
    asked = "".join(
        f"; {name} says {found.get('verdict')} {found.get('rule')}".rstrip()
        for name, found in (detail.get("screenings") or {}).items()
    )
    return f"rules of version {detail['policy_version']}: {told or 'none'}{asked}"


def _counted(detail: Mapping[str, Any]) -> str:
    by = ", ".join(str(name) for name in detail.get("approved_by", ()))
    needed = detail.get("needed", 0)
    return f"{needed} approvals were needed" + (f", given by {by}" if by else "")


def _given_up(detail: Mapping[str, Any]) -> str:
    by = ", ".join(str(name) for name in detail.get("voided_by", ()))
    return f"given up by {by}: nonce {detail.get('nonce')} is to be used up without paying"


def _mined(detail: Mapping[str, Any]) -> str:
    return (
        f"{detail.get('tx_hash')} in block {detail.get('block')} ({detail.get('block_hash')}), "
        f"network fee {detail.get('network_fee')}"
    )


_SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    _State.REQUESTED: _requested,
    _State.HELD: lambda detail: "the amount has left the customer's balance",
    _State.SCREENED: _checked,
    _State.REJECTING: _checked,
    _State.APPROVED: _counted,
    _State.NUMBERED: lambda detail: f"nonce {detail.get('nonce')} of {detail.get('hot_wallet')}",
    _State.SIGNED: lambda detail: f"transaction {detail.get('tx_hash')}",
    _State.BROADCAST: lambda detail: "a node has taken the transaction",
    _State.CONFIRMED: _mined,
    _State.REVERTED: _mined,
    _State.VOIDING: _given_up,
    _State.VOIDED: _mined,
    _State.SETTLED: lambda detail: "booked",
    _State.REJECTED: lambda detail: str(detail.get("reason") or detail.get("engine") or ""),
    _State.CANCELLING: lambda detail: str(detail.get("reason", "")),
    _State.CANCELLED: lambda detail: f"the amount is back in {detail.get('released_to')}",
    RELEASE_BEGUN: lambda detail: "the amount is on its way back",
    CANCEL_REQUESTED: lambda detail: "the customer cancels",
    APPROVE: lambda detail: f"signed {detail.get('statement')}",
    REJECT: lambda detail: f"signed {detail.get('statement')}",
    VOID: lambda detail: f"signed {detail.get('statement')}",
    f"{APPROVE}_refused": lambda detail: str(detail.get("refused", "")),
    f"{REJECT}_refused": lambda detail: str(detail.get("refused", "")),
    f"{VOID}_refused": lambda detail: str(detail.get("refused", "")),
    REPLACED: lambda detail: (
        f"no block took it: dearer transaction {detail.get('tx_hash')}, same nonce"
    ),
    VOID_SIGNED: lambda detail: (
        f"transaction {detail.get('tx_hash')} pays nobody, nonce {detail.get('nonce')}"
    ),
    RESCREENED: lambda detail: (
        f"{detail.get('by')} says {detail.get('verdict')} {detail.get('rule')} of "
        f"{detail.get('address')}"
    ),
    FILE_READ: lambda detail: "looked at this file",
    HISTORY_EXPORTED: lambda detail: (
        f"{detail.get('events')} events, sha256 {detail.get('sha256')}"
    ),
}


def missing_records(actions: set[str], completed: Mapping[str, int]) -> list[str]:
    """Return what the workflow's history says was done and the audit log has no record of."""
    return [
        f"{step} has completed, but there is no record of {' or '.join(sorted(wanted))}"
        for step, wanted in _RECORDS_OF_STEP.items()
        if completed.get(step) and not wanted & actions
    ]


def _number(value: object) -> int:
    """Return an integer of a record; what is none is 0: the record's own fault is told apart."""
    text = str(value)
    return int(text) if text.isdecimal() else 0
