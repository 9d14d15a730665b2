"""One payment between the exchange's own addresses, from its plan to the books."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.signing import SigningActivities, SigningRequest
    from activities.wallet_payment import (
        PaymentResult,
        PaymentView,
        SignedPayment,
        WalletPayments,
    )
    from domain.wallet_payment import (
        FINAL_STATES,
        STAGE_OF,
        WALLET_PAYMENT_WORKFLOW,
        PaymentState,
        WalletPaymentRequest,
    )
    from workflows import search_attributes as attributes
    from workflows.operations import Step, run_step
    from workflows.parking import ParkingWorkflow
    from workflows.task_queues import SIGNER

_SIGNER_SECONDS = 120  # how long the signer may be away before a payment parks


@workflow.defn(name=WALLET_PAYMENT_WORKFLOW)
class WalletPaymentWorkflow(ParkingWorkflow):
    """nonce -> sign -> broadcast -> confirm and book; the business row says where it stands."""

    @workflow.init
    def __init__(self, request: WalletPaymentRequest) -> None:
        """Start empty: everything that counts is in the business row."""
        super().__init__()
        self._request = request
        self._view: PaymentView | None = None
        self._state = PaymentState.PLANNED

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
            await self._guarded(stage, self._step)
        self._enter(STAGE_OF[self._state])
        await workflow.wait_condition(workflow.all_handlers_finished)
        return PaymentResult(self._state)

    async def _load(self) -> None:
        self._view = await run_step(
            WalletPayments.load, self._request, Step("read the payment's row")
        )
        self._state = PaymentState(self._view.state)
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
        else:
            await self._confirm()

    async def _number(self) -> None:
        """Ask the signer first: a nonce that is given out and never used blocks all that follow."""
        order = await run_step(WalletPayments.order, self._request, Step("write the order"))
        check = Step("signer: check the order", task_queue=SIGNER, queue_seconds=_SIGNER_SECONDS)
        await run_step(SigningActivities.check, order, check)
        step = Step("allocate the nonce")
        self._took(await run_step(WalletPayments.allocate_nonce, self._request, step))

    async def _signed(self, order: SigningRequest) -> SignedPayment:
        step = Step("signer: check and sign", task_queue=SIGNER, queue_seconds=_SIGNER_SECONDS)
        answer = await run_step(SigningActivities.sign, order, step)
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

    async def _note(self, action: str, text: str) -> None:
        """Log it; a payment's audit records are those of its states."""
        workflow.logger.warning("payment %s: %s", action, text)

    def _took(self, result: PaymentResult) -> None:
        self._state = PaymentState(result.state)
        if result.detail:
            self._lines.append(result.detail)

    def _headline(self) -> str:
        view = self._view
        if view is None:
            return "**Payment between own addresses**"
        return f"**{view.kind}: {view.amount_text} {view.asset}**, between own addresses"
