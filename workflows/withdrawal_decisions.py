"""What people may decide about a withdrawal: officers by signature, its customer by the row.

Approve, reject, cancel; and, where a payment is stuck for good, void.

The messages come from whoever reaches Temporal, so none is believed for itself.
"""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.withdrawal_review import DecisionRecord, WithdrawalReview, WithdrawalView
    from domain.approval import (
        APPROVE,
        REJECT,
        VOID,
        VOID_SIGNATURES,
        Decision,
        DecisionSubject,
    )
    from domain.withdrawal import (
        CANCEL_REQUESTED,
        CANCELLABLE_STATES,
        REJECTABLE_STATES,
        VOIDABLE_STATES,
        WithdrawalRequest,
        WithdrawalState,
    )
    from workflows.officer_decisions import OfficerDecisions, signed_decision
    from workflows.operations import Step, first_cause, run_step
    from workflows.parking import ParkingWorkflow, refusal
    from workflows.withdrawal_messages import DecisionResult, Release, WithdrawalResult

_State = WithdrawalState


class WithdrawalDecisions(ParkingWorkflow):
    """Base of the withdrawal's workflow: approve, reject, cancel, void.

    A decision comes in as whatever was sent, so that a wrong form is refused in our own words.
    """

    def __init__(self, request: WithdrawalRequest) -> None:
        """Start undecided."""
        super().__init__()
        self._request = request
        self._view: WithdrawalView | None = None
        self._state = _State.REQUESTED
        self._release: Release | None = None
        self._approved_by: list[str] = []
        self._voided_by: list[str] = []
        self._decisions = OfficerDecisions()

    @workflow.update(description="An officer approves; the decision must be signed")
    async def approve(self, form: Any = None) -> DecisionResult:
        """Store a signed approval; it counts from then on."""
        decision = signed_decision(form)
        await self._record(decision)
        self._approved_by.append(decision.officer)
        return self._decision_result()

    @approve.validator
    def _validate_approve(self, form: Any = None) -> None:
        decision = signed_decision(form)
        signable = (_State.APPROVED, _State.NUMBERED, _State.BROADCAST)
        renewal = self._parked and self._state in signable
        if self._state is not _State.SCREENED and not renewal:
            raise refusal(f"nothing to approve in state {self._state}")
        counted = [] if renewal else self._approved_by
        self._check_decision(decision, APPROVE, counted)

    @workflow.update(
        description="An officer rejects, before signing or after a failed payment; must be signed"
    )
    async def reject(self, form: Any = None) -> DecisionResult:
        """Store a signed rejection and give the hold back."""
        decision = signed_decision(form)
        await self._record(decision)
        actor = f"officer:{decision.officer}"
        if self._release is None or self._state is _State.REVERTED:
            self._release = Release(_State.REJECTING, actor, actor)
        await workflow.wait_condition(lambda: self._state not in REJECTABLE_STATES)
        return self._decision_result()

    @reject.validator
    def _validate_reject(self, form: Any = None) -> None:
        decision = signed_decision(form)
        if self._state not in REJECTABLE_STATES:
            raise refusal(f"nothing to reject in state {self._state}")
        self._check_decision(decision, REJECT, ())

    @workflow.update(
        description="An officer gives a parked payment up; the second one's signature voids its "
        "nonce. Must be signed"
    )
    async def void(self, form: Any = None) -> DecisionResult:
        """Store a signed decision to use the nonce up; the second one ends the parking."""
        decision = signed_decision(form)
        await self._record(decision)
        self._voided_by.append(decision.officer)
        return DecisionResult(self._state, len(set(self._voided_by)), VOID_SIGNATURES)

    @void.validator
    def _validate_void(self, form: Any = None) -> None:
        decision = signed_decision(form)
        renewal = self._state is _State.VOIDING  # the signer wants signatures that still count
        if self._state not in VOIDABLE_STATES and not renewal:
            raise refusal(f"nothing to void in state {self._state}")
        if not self._parked:
            raise refusal("it is not parked: its payment is still being tried")
        self._check_decision(decision, VOID, [] if renewal else self._voided_by)

    def _is_given_up(self) -> bool:
        """Return whether two officers have given the payment up, and nothing was done about it."""
        return self._state in VOIDABLE_STATES and len(set(self._voided_by)) >= VOID_SIGNATURES

    @workflow.update(description="Act on the cancellation that the customer has asked the API for")
    async def cancel(self) -> WithdrawalResult:
        """Cancel as soon as the engine's debit has an outcome; return the state that came of it."""
        if not await self._read_cancellation():
            raise refusal("the customer has not cancelled: DELETE /v1/withdrawals/ID")
        await workflow.wait_condition(lambda: self._state not in CANCELLABLE_STATES)
        return WithdrawalResult(self._state)

    @cancel.validator
    def _validate_cancel(self) -> None:
        if self._state not in CANCELLABLE_STATES:
            raise refusal(f"too late to cancel in state {self._state}")

    @workflow.signal(description="A cancellation may be on record: look (no effect otherwise)")
    async def cancel_requested(self) -> None:
        """Look whether the customer has cancelled."""
        if self._state in CANCELLABLE_STATES:
            await self._read_cancellation()

    async def _read_cancellation(self) -> bool:
        """Return whether the row says that its customer has cancelled, and act on that.

        Whoever reaches Temporal can send any message; only the gateway, to the customer's signed
        request, writes the row.
        """
        try:
            view = await run_step(
                WithdrawalReview.load,
                self._request,
                Step("has the customer cancelled?", attempts=5),
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("cancellation not read: %s", first_cause(error))
            return False
        if view.cancel_requested:
            self._cancelled_by(view.customer_id)
        return view.cancel_requested

    def _cancelled_by(self, customer_id: int) -> None:
        if self._release is None:
            actor = f"customer:{customer_id}"
            self._release = Release(_State.CANCELLING, actor, CANCEL_REQUESTED)

    def _check_decision(
        self, decision: Decision, action: str, counted: list[str] | tuple[()]
    ) -> None:
        view = self._loaded
        subject = DecisionSubject(
            view.withdrawal_id,
            view.customer_id,
            view.asset,
            view.amount,
            view.address,
            view.nonce if action == VOID else None,
        )
        self._decisions.require_good(decision, action, subject, view.officers, counted)

    async def _record(self, decision: Decision) -> None:
        record = DecisionRecord(self._request.withdrawal_id, self._request.request_id, decision)
        await self._decisions.record(decision, WithdrawalReview.record_decision, record)

    def _decision_result(self) -> DecisionResult:
        return DecisionResult(
            self._state, len(set(self._approved_by)), self._loaded.approvals_needed
        )

    @property
    def _loaded(self) -> WithdrawalView:
        if self._view is None:
            raise refusal("the withdrawal is being loaded")
        return self._view
