"""The payment of a withdrawal: nonce, transaction, broadcast, confirmation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import structlog
from temporalio import activity

from activities.officer_check import OfficerCheck
from activities.payment_chain import (
    GAS_OF_A_TRANSFER,
    PaymentChain,
    mined_change,
    parked,
    require_bounds,
    shortage,
)
from activities.signing import SigningRequest
from activities.wallet_ports import ChainAdapter, TransactionBuilder, WithdrawalRows
from activities.withdrawal_review import StepResult, bind, require, subject_of
from domain.approval import APPROVE
from domain.chain import MAX_REPLACEMENTS, AddressState, FeeQuote, dearer
from domain.payment_pause import PAUSED
from domain.signing_limits import SIGNING_MARGIN, WITHDRAWAL_BOUNDS
from domain.withdrawal import (
    StateChange,
    StoredTransaction,
    Withdrawal,
    WithdrawalRequest,
    WithdrawalState,
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SignedWithdrawal:
    """What the signer answered, to be stored."""

    withdrawal_id: str
    request_id: str
    raw_hex: str


def _shortage(
    row: Withdrawal,
    state: AddressState,
    fees: FeeQuote,
    committed: Mapping[str | None, int],
    waiting: int,
) -> str | None:
    """Return what the hot wallet lacks to pay this withdrawal and those that wait for a block."""
    gas = (waiting + 1) * GAS_OF_A_TRANSFER * fees.max_fee
    return shortage("the hot wallet", row, row.net_amount, gas, state, committed)


class WithdrawalPayment:
    """Activities that talk to the chain. `hot_address` pays; the key is elsewhere.

    `gate` says why nothing may be paid out now; "" when payments go out. `objection` says what
    speaks against a payment that was let pass before.
    """

    def __init__(
        self,
        rows: WithdrawalRows,
        payments: PaymentChain,
        chain: ChainAdapter,
        builder: TransactionBuilder,
        hot_address: str,
        gate: Callable[[], Awaitable[str]],
        objection: Callable[[Withdrawal], Awaitable[tuple[str, str] | None]],
        officers: OfficerCheck,
    ) -> None:
        self._officers = officers
        self._objection = objection
        self._gate = gate
        self._rows = rows
        self._payments = payments
        self._chain = chain
        self._builder = builder
        self._hot_address = hot_address

    @activity.defn(name="signing_order")
    async def signing_order(self, request: WithdrawalRequest) -> SigningRequest:
        """Return the order for the signer, with the transaction once there is a nonce for it."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        order = await self._order(row)
        if row.nonce is None:
            return SigningRequest(order)
        to, value, data = self._builder.call(row)
        gas = await self._chain.gas_for(self._hot_address, to, value, data)
        fees = await self._chain.fee_quote()
        unsigned = self._builder.unsigned(row, await self._chain.chain_id(), gas, fees)
        return SigningRequest(order, unsigned.hex())

    async def _order(self, row: Withdrawal) -> dict[str, Any]:
        """Return the order with the approvals that count: the signer refuses all for a bad one.

        Before there is a nonce they must count as long as the signer asks of them.
        """
        decisions = self._officers.good(
            subject_of(row, APPROVE),
            APPROVE,
            await self._rows.decisions(row.withdrawal_id),
            for_another=SIGNING_MARGIN if row.nonce is None else dt.timedelta(),
        )
        return {
            "withdrawal_id": row.withdrawal_id,
            "customer_id": row.customer_id,
            "asset": row.asset.code,
            "amount": str(row.amount),
            "fee": str(row.fee),
            "address": row.address,
            "approvals": [asdict(decision) for decision in decisions],
        }

    @activity.defn(name="allocate_nonce")
    async def allocate_nonce(self, request: WithdrawalRequest) -> StepResult:
        """Give the withdrawal its place in the hot wallet's sequence, if the wallet can pay."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state is not WithdrawalState.APPROVED:
            return StepResult(row.state, nonce=row.nonce)
        if objection := await self._objection(row):
            raise parked(*objection)
        if closed := await self._gate():
            kind = "PaymentsPaused" if closed.startswith(PAUSED) else "BooksDiffer"
            raise parked(kind, closed)
        await self._payments.require_chain(row.chain)
        state = await self._chain.address_state(self._hot_address, {None, row.contract})
        expected = await self._rows.next_nonce(row.chain, self._hot_address)
        if expected is not None and state.nonce > expected:
            raise parked(
                "NonceMismatch",
                f"the chain has {state.nonce} transactions of the hot wallet, the table says "
                f"{expected}: somebody else used its key, or the database is an old copy",
            )
        fees = await self._chain.fee_quote()
        self._payments.require_cheap(fees)
        short = _shortage(row, state, fees, {}, 0)
        if short is None:
            to, value, data = self._builder.call(row)
            gas = await self._chain.gas_for(self._hot_address, to, value, data)
            require_bounds(WITHDRAWAL_BOUNDS, gas, fees)
        moved = short or await self._rows.allocate_nonce(
            request.withdrawal_id,
            self._hot_address,
            state.nonce,
            lambda committed, waiting: _shortage(row, state, fees, committed, waiting),
        )
        if isinstance(moved, str):
            raise parked("HotWalletShort", moved)
        if moved.nonce is None:
            return StepResult(moved.state, "cancelled before its nonce", moved.customer_id)
        return StepResult(moved.state, f"nonce {moved.nonce}", nonce=moved.nonce)

    @activity.defn(name="store_signed")
    async def store_signed(self, signed: SignedWithdrawal) -> StepResult:
        """Store the raw transaction before anybody can send it; the first one stored stays."""
        request = WithdrawalRequest(signed.withdrawal_id, signed.request_id)
        bind(request)
        row = await require(self._rows, signed.withdrawal_id)
        if row.state is not WithdrawalState.NUMBERED:
            return StepResult(row.state)
        raw = bytes.fromhex(signed.raw_hex)
        tx_hash = self._builder.check_signed(row, raw)
        moved = await self._rows.store_transaction(
            row, sender=self._hot_address, raw=raw, tx_hash=tx_hash
        )
        return StepResult(moved.state, f"transaction {moved.tx_hash}")

    @activity.defn(name="broadcast_withdrawal")
    async def broadcast(self, request: WithdrawalRequest) -> StepResult:
        """Send the stored transaction; sending the same bytes again changes nothing."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state is not WithdrawalState.SIGNED:
            return StepResult(row.state)
        stored = await self._stored(row)
        tx_hash = stored[0].tx_hash
        await self._payments.send(row, stored, stored[0])
        moved = await self._rows.move(
            request.withdrawal_id,
            StateChange(
                source=WithdrawalState.SIGNED,
                target=WithdrawalState.BROADCAST,
                detail={"tx_hash": tx_hash},
            ),
        )
        _log.info("withdrawal broadcast", tx_hash=tx_hash)
        return StepResult(moved.state, f"transaction {tx_hash}")

    @activity.defn(name="confirm_withdrawal")
    async def confirm(self, request: WithdrawalRequest) -> StepResult:
        """Watch until one of its transactions is mined and deep enough.

        All have one nonce, so at most one is ever mined. The newest is sent again when the node
        has forgotten it; when no block takes any for too long, it is stuck.
        """
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state is not WithdrawalState.BROADCAST:
            return StepResult(row.state)
        stored = await self._stored(row)
        receipt = await self._payments.watch(row, stored, stored[-1])
        if receipt is None:
            return StepResult(row.state, stuck=True)
        moved = await self._rows.move(row.withdrawal_id, mined_change(row, receipt))
        what = "mined" if receipt.succeeded else "reverted"
        return StepResult(moved.state, f"{what} in block {receipt.block_number}")

    async def _stored(self, row: Withdrawal) -> list[StoredTransaction]:
        """Return every transaction, the first one first."""
        stored = await self._rows.transactions(row.withdrawal_id)
        assert stored, "a signed withdrawal has a stored transaction"
        return stored

    @activity.defn(name="replacement_order")
    async def replacement_order(self, request: WithdrawalRequest) -> SigningRequest:
        """Return the order for a dearer transaction with the same nonce; parks at the bounds."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        stored = await self._stored(row)
        if len(stored) > MAX_REPLACEMENTS:
            raise parked("StillStuck", f"{len(stored)} transactions, and no block takes one")
        newest = stored[-1].raw
        fees = dearer(self._builder.fees_of(newest), await self._chain.fee_quote())
        self._payments.require_cheap(fees)
        return SigningRequest(await self._order(row), self._builder.repriced(newest, fees).hex())

    @activity.defn(name="replace_withdrawal")
    async def replace(self, signed: SignedWithdrawal) -> StepResult:
        """Store the dearer transaction, then send it; whichever is mined pays the withdrawal."""
        bind(WithdrawalRequest(signed.withdrawal_id, signed.request_id))
        row = await require(self._rows, signed.withdrawal_id)
        if row.state is not WithdrawalState.BROADCAST:
            return StepResult(row.state)
        raw = bytes.fromhex(signed.raw_hex)
        tx_hash = self._builder.check_signed(row, raw)
        stored = await self._rows.transactions(row.withdrawal_id)
        if all(one.tx_hash != tx_hash for one in stored):
            made = StoredTransaction(tx_hash, raw, len(stored), stored[-1].signed_at)
            await self._rows.store_replacement(row, made, self._hot_address)
            stored = await self._rows.transactions(row.withdrawal_id)
        newest = stored[-1]
        await self._payments.send(row, stored, newest)
        _log.info("withdrawal replaced", tx_hash=newest.tx_hash)
        return StepResult(row.state, f"dearer transaction {newest.tx_hash}")

    @activity.defn(name="check_reverted")
    async def check_reverted(self, request: WithdrawalRequest) -> StepResult:
        """Ask the chain once more before the amount is given back."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state is not WithdrawalState.REVERTED:
            return StepResult(row.state)
        tx_hash = str(row.tx_hash)
        receipt = await self._chain.receipt(tx_hash)
        if receipt is None or not await self._payments.is_deep(row, receipt):
            raise parked("ReceiptGone", f"the chain no longer shows {tx_hash} as it was")
        if receipt.succeeded:
            raise parked("PaidAfterAll", f"the chain now says that {tx_hash} has paid")
        return StepResult(row.state)

    @activity.defn(name="report_reverted")
    async def report_reverted(self, request: WithdrawalRequest) -> StepResult:
        """Park a payment that failed: only an officer's signature takes it on."""
        checked = await self.check_reverted(request)
        if checked.state != WithdrawalState.REVERTED:
            return checked
        row = await require(self._rows, request.withdrawal_id)
        raise parked(
            "TransactionReverted",
            f"{row.tx_hash} was mined but reverted; the money is still in the hot wallet",
        )
