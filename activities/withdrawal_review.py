"""Looking at a withdrawal: load it, screen it, record what officers and customer decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.officer_check import OfficerCheck
from activities.wallet_ports import WithdrawalRows
from domain.approval import (
    APPROVE,
    REJECT,
    VOID,
    Decision,
    DecisionSubject,
    Officer,
)
from domain.hash_chain import JsonValue
from domain.money import text_from_units
from domain.screening import review_reason
from domain.withdrawal import (
    POLICY_VERSION,
    PolicyFacts,
    StateChange,
    Withdrawal,
    WithdrawalRequest,
    WithdrawalState,
    policy_checks,
    policy_refusal,
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StepResult:
    """Where the withdrawal stands after a step; `detail` is one line for the operator.

    `cancelled_by`: the step was not done, because the customer has cancelled. `approvals_needed`:
    how many officers must approve, where the step has decided that.
    """

    state: str
    detail: str = ""
    cancelled_by: int | None = None
    approvals_needed: int | None = None
    stuck: bool = False  # no block takes the payment at its fee
    nonce: int | None = None  # where the step has given one out


@dataclass(frozen=True, slots=True)
class WithdrawalView:
    """What the workflow must know of its business row; amounts in chain units."""

    withdrawal_id: str
    customer_id: int
    asset: str
    amount: int
    amount_text: str
    address: str
    state: str
    approvals_needed: int
    approved_by: list[str] = field(default_factory=list)
    rejected_by: list[str] = field(default_factory=list)
    cancel_requested: bool = False
    notional_usd: float | None = None  # for search only
    officers: list[Officer] = field(default_factory=list)
    screened_at: int | None = None  # when it reached the officers; seconds since 1970
    nonce: int | None = None
    voided_by: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """An officer's decision that the workflow's validator has accepted."""

    withdrawal_id: str
    request_id: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class WithdrawalNote:
    """Something that happened without a change of state; `key` makes it once."""

    withdrawal_id: str
    request_id: str
    stage: str
    actor: str
    action: str
    key: str
    text: str


def bind(request: WithdrawalRequest | WithdrawalNote | DecisionRecord) -> None:
    """Put the ids that join all logs of one request on every line that follows."""
    structlog.contextvars.bind_contextvars(
        request_id=request.request_id, withdrawal_id=request.withdrawal_id
    )


async def require(rows: WithdrawalRows, withdrawal_id: str) -> Withdrawal:
    """Return the row; a workflow without one is a mistake that no retry mends."""
    found = await rows.load(withdrawal_id)
    if found is None:
        raise ApplicationError(
            f"there is no withdrawal {withdrawal_id}", type="NoSuchWithdrawal", non_retryable=True
        )
    return found


def counted(
    withdrawal: Withdrawal, action: str, decisions: Sequence[Decision], officers: OfficerCheck
) -> list[str]:
    """Return the officers whose stored decision counts now as `action`."""
    good = officers.good(subject_of(withdrawal, action), action, decisions)
    return [one.officer for one in good]


def subject_of(withdrawal: Withdrawal, action: str) -> DecisionSubject:
    """Return what a decision of this kind about this withdrawal must name."""
    return DecisionSubject(
        withdrawal_id=withdrawal.withdrawal_id,
        customer_id=withdrawal.customer_id,
        asset=withdrawal.asset.code,
        amount=withdrawal.amount,
        address=withdrawal.address,
        nonce=withdrawal.nonce if action == VOID else None,
    )


def _notional(row: Withdrawal, price: Decimal) -> float:
    """Return the rough value that a search attribute can hold; no money is computed from it."""
    return float(round(price * row.amount / 10**row.asset.chain_decimals, 2))


class WithdrawalReview:
    """Activities that read and judge; none moves money."""

    def __init__(
        self,
        rows: WithdrawalRows,
        *,
        officers: OfficerCheck,
        policy_facts: Callable[[Withdrawal], Awaitable[PolicyFacts]],
    ) -> None:
        self._rows = rows
        self._officers = officers
        self._policy_facts = policy_facts

    @activity.defn(name="load_withdrawal")
    async def load(self, request: WithdrawalRequest) -> WithdrawalView:
        """Return the business row, from which a workflow goes on wherever it was broken off."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        decisions = await self._rows.decisions(request.withdrawal_id)
        price = await self._rows.usd_price(row.asset.code)
        return WithdrawalView(
            withdrawal_id=row.withdrawal_id,
            customer_id=row.customer_id,
            asset=row.asset.code,
            amount=row.amount,
            amount_text=text_from_units(row.amount, row.asset.chain_decimals),
            address=row.address,
            state=row.state,
            approvals_needed=row.approvals_needed,
            approved_by=counted(row, APPROVE, decisions, self._officers),
            rejected_by=[entry.officer for entry in decisions if entry.action == REJECT],
            cancel_requested=row.cancel_requested,
            notional_usd=None if price is None else _notional(row, price),
            officers=list(self._officers.officers.values()),
            screened_at=None if row.screened_at is None else int(row.screened_at.timestamp()),
            nonce=row.nonce,
            voided_by=counted(row, VOID, decisions, self._officers),
        )

    @activity.defn(name="screen_withdrawal")
    async def screen(self, request: WithdrawalRequest) -> StepResult:
        """Apply the policy; a refusal is an outcome, and the hold is given back."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        facts = await self._policy_facts(row)
        checks = policy_checks(row.address, row.standing, facts)
        rule, review = policy_refusal(checks), review_reason(facts.screenings)
        detail: dict[str, JsonValue] = {
            "policy_version": POLICY_VERSION,
            "checks": checks,
            "screenings": {name: found.as_json() for name, found in facts.screenings.items()},
            "refused_by": rule,
            "review": review,
        }
        target = WithdrawalState.SCREENED if rule is None else WithdrawalState.REJECTING
        moved = await self._rows.move(
            request.withdrawal_id,
            StateChange(
                source=WithdrawalState.HELD,
                target=target,
                detail=detail,
                actor="policy",
                columns={"review": review} if rule is None else {"reason": f"policy:{rule}"},
            ),
        )
        told = rule or (f"an officer has to look: {review}" if review else "the policy passed it")
        return StepResult(moved.state, told, approvals_needed=moved.approvals_needed)

    async def objection(self, row: Withdrawal) -> tuple[str, str] | None:
        """Return (kind, text) of what speaks against paying now what was let pass before.

        Lists, limits and standing have changed since, or whoever screens has another opinion: an
        officer's signature lets a review pass, and nothing else.
        """
        facts = await self._policy_facts(row)
        if rule := policy_refusal(policy_checks(row.address, row.standing, facts)):
            return "PolicyRefused", f"the policy would refuse it now: {rule}"
        review = review_reason(facts.screenings)
        if review is None:
            return None
        decisions = await self._rows.decisions(row.withdrawal_id)
        if counted(row, APPROVE, decisions, self._officers):
            return None
        return "ReviewNeeded", f"an officer has to look: {review}"

    @activity.defn(name="record_decision")
    async def record_decision(self, record: DecisionRecord) -> StepResult:
        """Store a signed decision, before it counts."""
        bind(record)
        await self._rows.record_decision(record.withdrawal_id, record.decision)
        _log.info("decision recorded", action=record.decision.action)
        row = await require(self._rows, record.withdrawal_id)
        return StepResult(row.state)

    @activity.defn(name="conclude_approval")
    async def conclude_approval(self, request: WithdrawalRequest) -> StepResult:
        """Count the stored approvals once more, from their signatures, and go on if enough."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        decisions = await self._rows.decisions(request.withdrawal_id)
        given = counted(row, APPROVE, decisions, self._officers)
        needed = row.approvals_needed
        if len(given) < needed:
            return StepResult(row.state, f"{len(given)} of {needed} approvals count")
        moved = await self._rows.move(
            request.withdrawal_id,
            StateChange(
                source=WithdrawalState.SCREENED,
                target=WithdrawalState.APPROVED,
                detail={"approved_by": given, "needed": needed},
            ),
        )
        return StepResult(moved.state, f"{len(given)} of {needed} approvals")

    @activity.defn(name="note_withdrawal")
    async def note(self, note: WithdrawalNote) -> None:
        """Write a parking, a retry or an escalation into row and audit log."""
        bind(note)
        _log.info("withdrawal note", action=note.action, stage=note.stage)  # its words name people
        await self._rows.note(
            note.withdrawal_id,
            stage=note.stage,
            actor=note.actor,
            action=note.action,
            key=f"withdrawal-{note.withdrawal_id}:{note.key}",
            detail={"stage": note.stage, "text": note.text},
        )
