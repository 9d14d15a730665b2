"""One payment between the exchange's own addresses, from its plan to the books."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.payment_void import PaymentVoid, VoidRecord
    from activities.signing import SigningActivities, SigningAnswer, SigningRequest
    from activities.wallet_payment import (
        PaymentResult,
        PaymentView,
        SignedPayment,
        WalletPayments,
    )
    from domain.approval import VOID, VOID_SIGNATURES
    from domain.wallet_payment import (
        FINAL_STATES,
        STAGE_OF,
        VOIDABLE_STATES,
        WALLET_PAYMENT_WORKFLOW,
        PaymentState,
        WalletPaymentRequest,
    )
    from workflows import search_attributes as attributes
    from workflows.officer_decisions import OfficerDecisions, signed_decision
    from workflows.operations import Step, run_step
    from workflows.parking import ParkingWorkflow, refusal
    from workflows.task_queues import SIGNER
    from workflows.withdrawal_messages import DecisionResult

_SIGNER_SECONDS = 120  # how long the signer may be away before a payment parks


@workflow.defn(name=WALLET_PAYMENT_WORKFLOW)
class WalletPaymentWorkflow(ParkingWorkflow):
    """nonce -> sign -> broadcast -> confirm and book; the business row says where it stands.

    What the hot wallet pays can be given up by two officers, while it is parked with a nonce.
    """

    @workflow.init
    def __init__(self, request: WalletPaymentRequest) -> None:
        """Start empty: everything that counts is in the business row."""
        super().__init__()
        self._request = request
        self._view: PaymentView | None = None
        self._state = PaymentState.PLANNED
        self._voided_by: list[str] = []
        self._decisions = OfficerDecisions()

    @workflow.run
    async def run(self, request: WalletPaymentRequest) -> PaymentResult:
        """Go from the row's state to a final one."""
        while self._view is None:
            await self._guarded("load", self._load)
        while self._state not in FINAL_STATES:
            if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
                workflow.continue_as_new(request)
            stage = STAGE_OF[self._state]
            self._enter(stage)
            if self._is_given_up():
                await self._guarded("void", self._begin_void)
            else:
                await self._guarded(stage, self._step)
        self._enter(STAGE_OF[self._state])
        await workflow.wait_condition(workflow.all_handlers_finished)
        return PaymentResult(self._state)

    async def _load(self) -> None:
        self._view = await run_step(
            WalletPayments.load, self._request, Step("read the payment's row")
        )
        self._state = PaymentState(self._view.state)
        self._voided_by = list(self._view.voided_by)
        workflow.upsert_search_attributes([attributes.ASSET.value_set(self._view.asset)])

    async def _step(self) -> None:
        if self._state is PaymentState.PLANNED:
            await self._number()
        elif self._state is PaymentState.NUMBERED:
            order = await run_step(
                WalletPayments.order, self._request, Step("build the transaction")
            )
            signed = await self._signed(order)
            step = Step("store the signed transaction")
            self._took(await run_step(WalletPayments.store_signed, signed, step))
        elif self._state is PaymentState.SIGNED:
            step = Step("send it to the chain")
            self._took(await run_step(WalletPayments.broadcast, self._request, step))
        elif self._state is PaymentState.VOIDING:
            await self._void()
        else:
            await self._confirm()

    async def _number(self) -> None:
        """Ask the signer first: a nonce that is given out and never used blocks all that follow."""
        order = await run_step(WalletPayments.order, self._request, Step("write the order"))
        check = Step("signer: check the order", task_queue=SIGNER, queue_seconds=_SIGNER_SECONDS)
        await run_step(SigningActivities.check, order, check)
        step = Step("allocate the nonce")
        self._took(await run_step(WalletPayments.allocate_nonce, self._request, step))

    async def _signed(self, order: SigningRequest, *, void: bool = False) -> SignedPayment:
        activity = SigningActivities.sign_void if void else SigningActivities.sign
        step = Step("signer: check and sign", task_queue=SIGNER, queue_seconds=_SIGNER_SECONDS)
        answer: SigningAnswer = await run_step(activity, order, step)
        return SignedPayment(self._request.payment_id, answer.raw_hex)

    async def _confirm(self) -> None:
        step = Step("wait for confirmations, then book", heartbeat_seconds=10, run_seconds=330)
        result = await run_step(WalletPayments.confirm, self._request, step)
        self._took(result)
        if not result.stuck:
            return
        order = await run_step(
            WalletPayments.replacement_order, self._request, Step("stuck: offer a higher fee")
        )
        signed = await self._signed(order)
        self._took(await run_step(WalletPayments.replace, signed, Step("store it, send it")))

    # ---- giving up ----------------------------------------------------------------------------

    @workflow.update(
        description="An officer gives a parked payment up; the second one's signature voids its "
        "nonce. Must be signed"
    )
    async def void(self, form: Any = None) -> DecisionResult:
        """Store a signed decision to use the nonce up; the second one ends the parking."""
        decision = signed_decision(form)
        record = VoidRecord(self._request.payment_id, decision)
        await self._decisions.record(decision, PaymentVoid.record, record)
        self._voided_by.append(decision.officer)
        return DecisionResult(self._state, len(set(self._voided_by)), VOID_SIGNATURES)

    @void.validator
    def _validate_void(self, form: Any = None) -> None:
        decision, view = signed_decision(form), self._view
        renewal = self._state is PaymentState.VOIDING  # the signer wants signatures that count
        if view is None or view.subject is None:
            raise refusal("only what the hot wallet pays is given up; a retry takes this one on")
        if self._state not in VOIDABLE_STATES and not renewal:
            raise refusal(f"nothing to void in state {self._state}")
        if not self._parked:
            raise refusal("it is not parked: its payment is still being tried")
        counted = [] if renewal else self._voided_by
        self._decisions.require_good(decision, VOID, view.subject, view.officers, counted)

    def _is_given_up(self) -> bool:
        """Return whether two officers have given the payment up, and nothing was done about it."""
        return self._state in VOIDABLE_STATES and len(set(self._voided_by)) >= VOID_SIGNATURES

    def _released_while_parked(self) -> bool:
        """Return whether two officers' decision ends the parking."""
        return self._is_given_up()

    def _is_decided(self, stage: str) -> bool:
        return stage == "void"

    async def _begin_void(self) -> None:
        """From here on nothing more is paid; what was sent may still be mined."""
        result = await run_step(PaymentVoid.begin, self._request, Step("stop paying"))
        self._took(result)
        if result.voided_by is not None:  # one has expired, or its officer is pinned no more
            self._voided_by = list(result.voided_by)

    async def _void(self) -> None:
        """Use the nonce up: whichever of payment and void is mined, the other never is."""
        step = Step("wait for payment or void", heartbeat_seconds=10, run_seconds=330)
        result = await run_step(PaymentVoid.watch, self._request, step)
        self._took(result)
        if result.stuck:
            order = await run_step(PaymentVoid.order, self._request, Step("write the void"))
            signed = await self._signed(order, void=True)
            self._took(await run_step(PaymentVoid.send, signed, Step("store it, send it")))

    async def _note(self, action: str, text: str) -> None:
        """Log it; a payment's audit records are those of its states."""
        workflow.logger.warning("payment %s: %s", action, text)

    def _took(self, result: PaymentResult) -> None:
        self._state = PaymentState(result.state)
        view = self._view
        if result.nonce is not None and view is not None and view.subject is not None:
            self._view = replace(view, subject=replace(view.subject, nonce=result.nonce))
        if result.detail:
            self._lines.append(result.detail)

    def _headline(self) -> str:
        view = self._view
        if view is None:
            return "**Payment between own addresses**"
        return f"**{view.kind}: {view.amount_text} {view.asset}**, between own addresses"
