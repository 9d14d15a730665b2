"""One withdrawal, from the customer's request to the booked payment.

The business row says where it stands; the workflow only takes it from step to step, so it can be
terminated, reset or deleted at any stage and started again. Decisions of officers are signed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.signing import SigningActivities, SigningAnswer, SigningRequest
    from activities.withdrawal_money import ReleaseOrder, WithdrawalMoney
    from activities.withdrawal_payment import SignedWithdrawal, WithdrawalPayment
    from activities.withdrawal_review import (
        StepResult,
        WithdrawalNote,
        WithdrawalReview,
    )
    from activities.withdrawal_void import WithdrawalVoid
    from domain.plain_text import PlainText
    from domain.withdrawal import (
        FINAL_STATES,
        RELEASABLE_STATES,
        STAGE_OF,
        WITHDRAWAL_WORKFLOW,
        WithdrawalRequest,
        WithdrawalState,
    )
    from workflows import search_attributes as attributes
    from workflows.operations import Step, first_cause, run_step
    from workflows.task_queues import SIGNER
    from workflows.withdrawal_decisions import WithdrawalDecisions
    from workflows.withdrawal_messages import (
        Release,
        WithdrawalResult,
    )

ESCALATE_AFTER = dt.timedelta(hours=12)
APPROVAL_DEADLINE = dt.timedelta(hours=24)
SIGNER_SECONDS = 120  # how long the signer may be away before a withdrawal parks
_State = WithdrawalState


@workflow.defn(name=WITHDRAWAL_WORKFLOW)
class WithdrawalWorkflow(WithdrawalDecisions):
    """hold -> policy -> approval -> nonce -> sign -> broadcast -> confirm -> settle."""

    @workflow.init
    def __init__(self, request: WithdrawalRequest) -> None:
        """Start empty: everything that counts is in the business row."""
        super().__init__(request)
        self._notes = 0
        self._waiting_since: dt.datetime | None = None

    @workflow.run
    async def run(self, request: WithdrawalRequest) -> WithdrawalResult:
        """Go from the row's state to a final one."""
        while self._view is None:
            await self._guarded("load", self._load)
        while self._state not in FINAL_STATES:
            if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
                workflow.continue_as_new(request)
            stage = STAGE_OF[self._state]
            self._enter(stage)
            if self._is_releasing():
                await self._guarded("release", self._begin_release)
            elif self._is_given_up():
                await self._guarded("void", self._begin_void)
            else:
                await self._guarded(stage, self._steps()[self._state])
        self._enter(STAGE_OF[self._state])
        await workflow.wait_condition(workflow.all_handlers_finished)
        return WithdrawalResult(self._state)

    # ---- steps --------------------------------------------------------------------------------

    def _steps(self) -> dict[WithdrawalState, Callable[[], Awaitable[None]]]:
        return {
            _State.REQUESTED: self._hold,
            _State.HELD: self._screen,
            _State.SCREENED: self._approval,
            _State.APPROVED: self._number,
            _State.NUMBERED: self._sign,
            _State.SIGNED: self._broadcast,
            _State.BROADCAST: self._confirm,
            _State.VOIDING: self._void,
            _State.VOIDED: self._release_voided,
            _State.CONFIRMED: self._settle,
            _State.REVERTED: self._report_reverted,
            _State.REJECTING: self._give_back,
            _State.CANCELLING: self._give_back,
        }

    async def _load(self) -> None:
        """Read the row and tell operators what this is."""
        view = await run_step(
            WithdrawalReview.load, self._request, Step("read the withdrawal's row")
        )
        self._view = view
        self._state = _State(view.state)
        self._approved_by = list(view.approved_by)
        self._voided_by = list(view.voided_by)
        if view.rejected_by:
            officer = view.rejected_by[0]
            self._release = Release(_State.REJECTING, f"officer:{officer}", f"officer:{officer}")
        elif view.cancel_requested:
            self._cancelled_by(view.customer_id)
        updates = [
            attributes.ACCOUNT_ID.value_set(str(view.customer_id)),
            attributes.ASSET.value_set(view.asset),
        ]
        workflow.upsert_search_attributes(updates)
        if view.notional_usd is not None:
            workflow.upsert_search_attributes(
                [attributes.NOTIONAL_USD.value_set(view.notional_usd)]
            )

    async def _hold(self) -> None:
        result = await run_step(
            WithdrawalMoney.hold, self._request, Step("engine: debit", heartbeat_seconds=10)
        )
        self._took(result)
        if self._state is _State.REQUESTED:
            result = await run_step(
                WithdrawalMoney.take,
                self._request,
                Step("wait for settlement, then hold", heartbeat_seconds=10),
            )
            self._took(result)

    async def _screen(self) -> None:
        self._took(await run_step(WithdrawalReview.screen, self._request, Step("apply the policy")))

    async def _approval(self) -> None:
        """Wait for enough signed approvals, a rejection, a cancellation, or the deadline."""
        view = self._loaded
        while len(self._approved_by) < view.approvals_needed and self._release is None:
            self._describe(
                f"Waiting for {view.approvals_needed - len(self._approved_by)} of "
                f"{view.approvals_needed} approvals.",
                f"What to do: `rialto approve {view.withdrawal_id}` or `rialto reject ...`.",
            )
            await self._wait_for_decision()
        if self._release is None:
            result = await run_step(
                WithdrawalReview.conclude_approval, self._request, Step("count the approvals")
            )
            self._took(result)
            if self._state is _State.SCREENED:  # one has expired since
                await self._recount()

    async def _wait_for_decision(self) -> None:
        """Return when something was decided; escalate at half time, reject at the deadline.

        The time counts from when officers could decide, not from the request: Temporal may have
        been away for a day in between. It is the row's, so another run gives no more time.
        """
        if self._waiting_since is None:
            screened = self._loaded.screened_at
            self._waiting_since = (
                workflow.now() if screened is None else dt.datetime.fromtimestamp(screened, dt.UTC)
            )
        escalated = self._stage == "approval-overdue"
        until = self._waiting_since + (APPROVAL_DEADLINE if escalated else ESCALATE_AFTER)
        seen = len(self._approved_by)
        try:
            await workflow.wait_condition(
                lambda: len(self._approved_by) != seen or self._release is not None,
                timeout=max(until - workflow.now(), dt.timedelta(0)),
                timeout_summary=PlainText(
                    "approval deadline" if escalated else "approval escalation"
                ),
            )
        except TimeoutError:
            if escalated:
                self._release = Release(_State.REJECTING, "deadline", "approval_deadline_passed")
            else:
                self._enter("approval-overdue")
                await self._note("approval_overdue", "nobody has decided for 12 hours")

    async def _recount(self) -> None:
        view = await run_step(WithdrawalReview.load, self._request, Step("count the approvals"))
        self._approved_by = list(view.approved_by)

    async def _number(self) -> None:
        """Ask the signer first: a nonce that is given out and never used blocks all that follow."""
        order = await run_step(
            WithdrawalPayment.signing_order, self._request, Step("write the signing order")
        )
        await run_step(
            SigningActivities.check,
            order,
            Step("signer: check the order", task_queue=SIGNER, queue_seconds=SIGNER_SECONDS),
        )
        if self._release is not None:
            return
        step = Step("allocate the nonce")
        self._took(await run_step(WithdrawalPayment.allocate_nonce, self._request, step))

    async def _sign(self) -> None:
        order = await run_step(
            WithdrawalPayment.signing_order, self._request, Step("build the transaction")
        )
        signed = await self._signed(order)
        step = Step("store the signed transaction")
        self._took(await run_step(WithdrawalPayment.store_signed, signed, step))

    async def _signed(self, order: SigningRequest, *, void: bool = False) -> SignedWithdrawal:
        activity = SigningActivities.sign_void if void else SigningActivities.sign
        answer: SigningAnswer = await run_step(
            activity,
            order,
            Step("signer: check and sign", task_queue=SIGNER, queue_seconds=SIGNER_SECONDS),
        )
        return SignedWithdrawal(
            self._request.withdrawal_id, self._request.request_id, answer.raw_hex
        )

    async def _broadcast(self) -> None:
        step = Step("send it to the chain")
        self._took(await run_step(WithdrawalPayment.broadcast, self._request, step))

    async def _confirm(self) -> None:
        step = Step("wait for confirmations", heartbeat_seconds=10, run_seconds=330)
        result = await run_step(WithdrawalPayment.confirm, self._request, step)
        self._took(result)
        if result.stuck:
            await self._replace()

    async def _replace(self) -> None:
        """Pay more with the same nonce: whichever of the two is mined, the other never is."""
        order = await run_step(
            WithdrawalPayment.replacement_order, self._request, Step("stuck: offer a higher fee")
        )
        signed = await self._signed(order)
        self._took(await run_step(WithdrawalPayment.replace, signed, Step("store it, send it")))

    async def _begin_void(self) -> None:
        """From here on nothing more is paid; what was sent may still be mined."""
        step = Step("stop paying")
        self._took(await run_step(WithdrawalVoid.begin, self._request, step))
        if self._is_given_up():  # a signature has expired, or its officer is pinned no more
            view = await run_step(WithdrawalReview.load, self._request, Step("count once more"))
            self._voided_by = list(view.voided_by)

    async def _void(self) -> None:
        """Use the nonce up: whichever of payment and void is mined, the other never is."""
        step = Step("wait for payment or void", heartbeat_seconds=10, run_seconds=330)
        result = await run_step(WithdrawalVoid.watch, self._request, step)
        self._took(result)
        if result.stuck:
            order = await run_step(WithdrawalVoid.order, self._request, Step("write the void"))
            signed = await self._signed(order, void=True)
            self._took(await run_step(WithdrawalVoid.send, signed, Step("store it, send it")))

    async def _release_voided(self) -> None:
        """Give the money back, now that the payment can never be mined."""
        await run_step(WithdrawalVoid.check, self._request, Step("ask the chain once more"))
        self._took(await run_step(WithdrawalMoney.begin_release, self._voided(), Step("give back")))

    def _voided(self) -> ReleaseOrder:
        request = self._request
        return ReleaseOrder(
            request.withdrawal_id, request.request_id, _State.REJECTING, "wallet", "voided"
        )

    async def _settle(self) -> None:
        step = Step("book it in the ledger")
        self._took(await run_step(WithdrawalMoney.settle, self._request, step))

    async def _report_reverted(self) -> None:
        step = Step("report the failed payment")
        self._took(await run_step(WithdrawalPayment.report_reverted, self._request, step))

    def _is_releasing(self) -> bool:
        """Return whether someone who may has decided, in time, to give the money back."""
        release = self._release
        if self._state is _State.REVERTED:
            return release is not None and release.target is _State.REJECTING
        return release is not None and self._state in RELEASABLE_STATES

    async def _begin_release(self) -> None:
        release = self._release
        assert release is not None
        if self._state is _State.REVERTED:
            step = Step("ask the chain once more")
            await run_step(WithdrawalPayment.check_reverted, self._request, step)
        order = ReleaseOrder(
            self._request.withdrawal_id,
            self._request.request_id,
            release.target,
            release.actor,
            release.reason,
        )
        result = await run_step(WithdrawalMoney.begin_release, order, Step("stop the withdrawal"))
        self._took(result)

    async def _give_back(self) -> None:
        step = Step("give the hold back", heartbeat_seconds=10, run_seconds=60)
        self._took(await run_step(WithdrawalMoney.release, self._request, step))

    # ---- parking ------------------------------------------------------------------------------

    def _released_while_parked(self) -> bool:
        """Return whether a decision to give the money back ends the parking."""
        return self._is_releasing() or self._is_given_up()

    def _is_decided(self, stage: str) -> bool:
        return stage in ("release", "void")

    async def _note(self, action: str, text: str) -> None:
        """Write an event into row and audit log; failing at that is no reason to stop.

        The key holds the run's id, since a reset run makes notes of its own.
        """
        self._notes += 1
        note = WithdrawalNote(
            withdrawal_id=self._request.withdrawal_id,
            request_id=self._request.request_id,
            stage=self._stage,
            actor="workflow",
            action=action,
            key=f"{workflow.info().run_id}:{self._notes}",
            text=text[:500],
        )
        try:
            await run_step(WithdrawalReview.note, note, Step("write it down", attempts=5))
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("note not written: %s", first_cause(error))

    # ---- what operators see -------------------------------------------------------------------

    @workflow.query(description="Where the withdrawal stands")
    def status(self) -> StepResult:
        """Return state and stage."""
        return StepResult(self._state, self._stage)

    def _took(self, result: StepResult) -> None:
        """Take over the state that a step has left in the row."""
        self._state = _State(result.state)
        if result.approvals_needed is not None and self._view is not None:
            self._view = replace(self._view, approvals_needed=result.approvals_needed)
        if result.nonce is not None and self._view is not None:
            self._view = replace(self._view, nonce=result.nonce)
        if result.cancelled_by is not None:
            self._cancelled_by(result.cancelled_by)
        if result.detail:
            self._lines.append(result.detail)

    def _headline(self) -> str:
        view = self._view
        if view is None:
            return "**Withdrawal**"
        return f"**Withdrawal of {view.amount_text} {view.asset}**, account {view.customer_id}"
