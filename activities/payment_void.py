"""Giving a payment of our own up: its nonce is used up by a void, as a withdrawal's is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog
from temporalio import activity

from activities.officer_check import OfficerCheck
from activities.payment_chain import PaymentChain, mined_columns, mined_detail
from activities.signing import SigningRequest, void_request
from activities.wallet_payment import (
    PaymentResult,
    PaymentRows,
    SignedPayment,
    mined_payment,
    require_payment,
)
from activities.wallet_ports import TransactionBuilder
from domain.approval import VOID, VOID_SIGNATURES, Decision
from domain.hash_chain import JsonValue
from domain.wallet_payment import (
    PaymentChange,
    PaymentState,
    WalletPayment,
    WalletPaymentRequest,
    void_booking,
)
from domain.withdrawal import StoredTransaction

_log = structlog.get_logger(__name__)


class VoidRows(PaymentRows, Protocol):
    """The rows of payments, with what officers have decided about them."""

    async def record_void(self, payment_id: str, decision: Decision) -> None:
        """Store an officer's decision to give it up."""


@dataclass(frozen=True, slots=True)
class VoidRecord:
    """An officer's decision that the workflow's validator has accepted."""

    payment_id: str
    decision: Decision


class PaymentVoid:
    """Activities of a payment of our own that two officers have given up."""

    def __init__(
        self,
        rows: VoidRows,
        builder: TransactionBuilder,
        payments: PaymentChain,
        officers: OfficerCheck,
    ) -> None:
        self._rows = rows
        self._builder = builder
        self._payments = payments
        self._officers = officers

    async def _good(self, row: WalletPayment) -> list[Decision]:
        stored = await self._rows.voids(row.payment_id)
        return self._officers.good(row.void_subject, VOID, stored)

    @activity.defn(name="record_payment_void")
    async def record(self, record: VoidRecord) -> PaymentResult:
        """Store a signed decision, before it counts."""
        row = await require_payment(self._rows, record.payment_id)
        await self._rows.record_void(record.payment_id, record.decision)
        return PaymentResult(row.state)

    @activity.defn(name="begin_payment_void")
    async def begin(self, request: WalletPaymentRequest) -> PaymentResult:
        """Count the stored signatures once more; from here on nothing more is paid for it.

        Those that count are in the result, where they are not enough.
        """
        row = await require_payment(self._rows, request.payment_id)
        if not row.is_voidable:
            return PaymentResult(row.state)
        signed = [one.officer for one in await self._good(row)]
        if len(signed) < VOID_SIGNATURES:
            told = f"{len(signed)} of {VOID_SIGNATURES} signatures count"
            return PaymentResult(row.state, told, voided_by=signed)
        detail: dict[str, JsonValue] = {"voided_by": [*signed], "nonce": row.nonce}
        change = PaymentChange(row.state, PaymentState.VOIDING, detail)
        moved = await self._rows.move(row.payment_id, change)
        return PaymentResult(moved.state, f"given up by {len(signed)} officers")

    @activity.defn(name="watch_payment_void")
    async def watch(self, request: WalletPaymentRequest) -> PaymentResult:
        """Wait until payment or void is mined and deep; `stuck` when a (dearer) void is wanted."""
        row = await require_payment(self._rows, request.payment_id)
        if row.state is not PaymentState.VOIDING:
            return PaymentResult(row.state)
        stored = await self._rows.transactions(row.payment_id)
        mined = await self._payments.watch_void(row, stored, row.source)
        if mined is None:
            return PaymentResult(row.state, stuck=True)
        receipt, void = mined
        if void:
            journal = void_booking(row, receipt.tx_hash, receipt.fee)
            change = PaymentChange(
                source=PaymentState.VOIDING,
                target=PaymentState.VOIDED,
                detail=mined_detail(receipt),
                columns=mined_columns(receipt),
                journal=journal if journal.postings else None,
            )
            what = "the void"
        else:
            change, what = mined_payment(row, receipt), "the payment"
        moved = await self._rows.move(row.payment_id, change)
        return PaymentResult(moved.state, f"{what} was mined in block {receipt.block_number}")

    @activity.defn(name="payment_void_order")
    async def order(self, request: WalletPaymentRequest) -> SigningRequest:
        """Return the order for the signer, dearer than all transactions of the nonce so far."""
        row = await require_payment(self._rows, request.payment_id)
        stored = await self._rows.transactions(row.payment_id)
        unsigned = await self._payments.void(row, stored, self._builder)
        return void_request(row.void_subject, await self._good(row), unsigned)

    @activity.defn(name="send_payment_void")
    async def send(self, signed: SignedPayment) -> PaymentResult:
        """Store the void, then send it."""
        row = await require_payment(self._rows, signed.payment_id)
        if row.state is not PaymentState.VOIDING:
            return PaymentResult(row.state)
        raw = bytes.fromhex(signed.raw_hex)
        tx_hash = self._builder.check_void(row, raw)
        stored = await self._rows.transactions(row.payment_id)
        if all(one.tx_hash != tx_hash for one in stored):
            made = StoredTransaction(
                tx_hash, raw, len(stored), activity.info().started_time, voids=True
            )
            await self._rows.store_replacement(row, made)
            stored = await self._rows.transactions(row.payment_id)
        newest = [one for one in stored if one.voids][-1]
        await self._payments.send(row, stored, newest)
        _log.info("payment's void sent", tx_hash=newest.tx_hash)
        return PaymentResult(row.state, f"void {newest.tx_hash}")
