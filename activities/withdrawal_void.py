"""Giving a payment up: its nonce is used up by a void, and only then is the money given back.

A void is a payment of nothing from the hot wallet to itself, with the withdrawal's nonce and a
higher fee. Whichever of the nonce's transactions is mined, the others never can be; so it is the
chain, and not we, that decides whether the customer was paid.
"""

from __future__ import annotations

import structlog
from temporalio import activity

from activities.officer_check import OfficerCheck
from activities.payment_chain import PaymentChain, mined_change, parked
from activities.signing import SigningRequest, void_request
from activities.wallet_ports import ChainAdapter, TransactionBuilder, WithdrawalRows
from activities.withdrawal_payment import SignedWithdrawal
from activities.withdrawal_review import StepResult, bind, require, subject_of
from domain.approval import VOID, VOID_SIGNATURES, Decision
from domain.withdrawal import (
    VOIDABLE_STATES,
    StateChange,
    StoredTransaction,
    Withdrawal,
    WithdrawalRequest,
    WithdrawalState,
)

_log = structlog.get_logger(__name__)


class WithdrawalVoid:
    """Activities of a withdrawal that two officers have given up."""

    def __init__(
        self,
        rows: WithdrawalRows,
        chain: ChainAdapter,
        builder: TransactionBuilder,
        payments: PaymentChain,
        *,
        hot_address: str,
        officers: OfficerCheck,
    ) -> None:
        self._rows = rows
        self._chain = chain
        self._builder = builder
        self._payments = payments
        self._hot_address = hot_address
        self._officers = officers

    @activity.defn(name="begin_void")
    async def begin(self, request: WithdrawalRequest) -> StepResult:
        """Count the stored signatures once more; from here on nothing more is paid for it."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state not in VOIDABLE_STATES:
            return StepResult(row.state)
        signed = [one.officer for one in await self._good(row)]
        if len(signed) < VOID_SIGNATURES:
            return StepResult(row.state, f"{len(signed)} of {VOID_SIGNATURES} signatures count")
        moved = await self._rows.move(
            row.withdrawal_id,
            StateChange(
                source=row.state,
                target=WithdrawalState.VOIDING,
                detail={"voided_by": signed, "nonce": row.nonce},
            ),
        )
        return StepResult(moved.state, f"given up by {len(signed)} officers")

    async def _good(self, row: Withdrawal) -> list[Decision]:
        stored = await self._rows.decisions(row.withdrawal_id)
        return self._officers.good(subject_of(row, VOID), VOID, stored)

    @activity.defn(name="watch_void")
    async def watch(self, request: WithdrawalRequest) -> StepResult:
        """Wait until payment or void is mined and deep; `stuck` when a (dearer) void is wanted."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state is not WithdrawalState.VOIDING:
            return StepResult(row.state)
        stored = await self._rows.transactions(row.withdrawal_id)
        mined = await self._payments.watch_void(row, stored)
        if mined is None:
            return StepResult(row.state, stuck=True)
        receipt, void = mined
        moved = await self._rows.move(row.withdrawal_id, mined_change(row, receipt, void=void))
        what = "the void" if void else "the payment"
        return StepResult(moved.state, f"{what} was mined in block {receipt.block_number}")

    @activity.defn(name="void_order")
    async def order(self, request: WithdrawalRequest) -> SigningRequest:
        """Return the order for the signer, dearer than all transactions of the nonce so far."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        stored = await self._rows.transactions(row.withdrawal_id)
        unsigned = await self._payments.void(row, stored, self._builder)
        good = await self._good(row)  # one that does not count would spoil the others
        return void_request(subject_of(row, VOID), good, unsigned)

    @activity.defn(name="send_void")
    async def send(self, signed: SignedWithdrawal) -> StepResult:
        """Store the void, then send it."""
        bind(WithdrawalRequest(signed.withdrawal_id, signed.request_id))
        row = await require(self._rows, signed.withdrawal_id)
        if row.state is not WithdrawalState.VOIDING:
            return StepResult(row.state)
        raw = bytes.fromhex(signed.raw_hex)
        tx_hash = self._builder.check_void(row, raw)
        stored = await self._rows.transactions(row.withdrawal_id)
        if all(one.tx_hash != tx_hash for one in stored):
            made = StoredTransaction(tx_hash, raw, len(stored), row.created_at, voids=True)
            await self._rows.store_replacement(row, made, self._hot_address)
            stored = await self._rows.transactions(row.withdrawal_id)
        newest = [one for one in stored if one.voids][-1]
        await self._payments.send(row, stored, newest)
        _log.info("withdrawal's void sent", tx_hash=newest.tx_hash)
        return StepResult(row.state, f"void {newest.tx_hash}")

    @activity.defn(name="check_voided")
    async def check(self, request: WithdrawalRequest) -> StepResult:
        """Ask the chain once more before the amount is given back."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state is not WithdrawalState.VOIDED:
            return StepResult(row.state)
        stored = await self._rows.transactions(row.withdrawal_id)
        paid = await self._payments.mined_of(one for one in stored if not one.voids)
        if paid is not None:
            raise parked("PaidAfterAll", f"the chain now says that {paid.tx_hash} was mined")
        receipt = await self._chain.receipt(str(row.tx_hash))
        if receipt is None or not await self._payments.is_deep(row, receipt):
            raise parked("ReceiptGone", f"the chain no longer shows {row.tx_hash} as it was")
        return StepResult(row.state)
