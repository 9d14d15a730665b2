"""The steps of a payment between our own addresses: nonce, transaction, broadcast, booking."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog
from temporalio import activity

from activities.officer_check import OfficerCheck
from activities.payment_chain import (
    GAS_OF_A_TRANSFER,
    PaymentChain,
    mined_columns,
    mined_detail,
    parked,
    require_bounds,
    shortage,
)
from activities.signing import SigningRequest
from activities.wallet_ports import ChainAdapter, TransactionBuilder
from domain.approval import VOID, Decision, DecisionSubject, Officer
from domain.chain import MAX_REPLACEMENTS, AddressState, FeeQuote, Receipt, dearer
from domain.money import text_from_units
from domain.signing_limits import OWN_BOUNDS
from domain.wallet_payment import (
    FROM_HOT,
    PaymentChange,
    PaymentKind,
    PaymentState,
    WalletPayment,
    WalletPaymentRequest,
    booking,
    dropping,
)
from domain.withdrawal import StoredTransaction

_OVERTAKEN = "the cold wallet has used its nonce for something else"


class PaymentRows(Protocol):
    """The rows of payments; methods as in the store of the same name."""

    async def load(self, payment_id: str) -> WalletPayment | None:
        """Return the payment."""

    async def move(self, payment_id: str, change: PaymentChange) -> WalletPayment:
        """Compare and set, with everything that belongs to the change."""

    async def allocate_nonce(
        self,
        fixed: WalletPayment,
        chain_nonce: int,
        shortage: Callable[[Mapping[str | None, int], int], str | None],
    ) -> WalletPayment | str:
        """Give it its source's next nonce, or return what `shortage` says is missing."""

    async def next_nonce(self, chain: str, address: str) -> int | None:
        """Return the nonce that comes next."""

    async def store_transaction(
        self, payment: WalletPayment, raw: bytes, tx_hash: str
    ) -> WalletPayment:
        """Store the signed transaction."""

    async def store_replacement(
        self, payment: WalletPayment, transaction: StoredTransaction
    ) -> None:
        """Store a dearer transaction with the same nonce."""

    async def transactions(self, payment_id: str) -> list[StoredTransaction]:
        """Return the stored transactions, the first one first."""

    async def voids(self, payment_id: str) -> list[Decision]:
        """Return the officers' decisions to give it up."""


@dataclass(frozen=True, slots=True)
class PaymentView:
    """What the workflow shows of its row."""

    kind: str
    state: str
    asset: str
    amount_text: str
    subject: DecisionSubject | None = None  # what officers sign who give it up; None: nobody can
    officers: list[Officer] = field(default_factory=list)
    voided_by: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PaymentResult:
    """Where the payment stands after a step; `detail` is one line for the operator."""

    state: str
    detail: str = ""
    stuck: bool = False  # no block takes it at its fee
    nonce: int | None = None  # where the step has given one out
    voided_by: list[str] | None = None  # whose signatures count, where the step has counted them


@dataclass(frozen=True, slots=True)
class SignedPayment:
    """What the signer answered, to be stored."""

    payment_id: str
    raw_hex: str


async def require_payment(rows: PaymentRows, payment_id: str) -> WalletPayment:
    """Return the payment, which everything logged from here on names."""
    structlog.contextvars.bind_contextvars(payment_id=payment_id)
    found = await rows.load(payment_id)
    if found is None:
        raise parked("NoSuchPayment", f"there is no payment {payment_id}")
    return found


class ReturnCheck(Protocol):
    """The rules about paying a deposit back to its sender."""

    async def before_nonce(self, payment: WalletPayment, now: dt.datetime) -> str | None:
        """Return why it is not paid back any more, or None."""


class WalletPayments:
    """Every step compares and sets the row's state, so a repeat changes nothing.

    `gate` says why nothing may be paid now, "" when payments go out. `officers` may give one up.
    """

    def __init__(
        self,
        rows: PaymentRows,
        payments: PaymentChain,
        chain: ChainAdapter,
        builder: TransactionBuilder,
        gate: Callable[[], Awaitable[str]],
        officers: OfficerCheck,
        returns: ReturnCheck,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._officers = officers
        self._rows = rows
        self._payments = payments
        self._chain = chain
        self._builder = builder
        self._gate = gate
        self._returns = returns
        self._now = now

    @activity.defn(name="load_payment")
    async def load(self, request: WalletPaymentRequest) -> PaymentView:
        """Return the business row, from which a workflow goes on wherever it was broken off."""
        row = await require_payment(self._rows, request.payment_id)
        text = text_from_units(row.amount, row.asset.chain_decimals)
        if row.kind not in FROM_HOT:
            return PaymentView(row.kind, row.state, row.asset.code, text)
        subject = row.void_subject
        good = self._officers.good(subject, VOID, await self._rows.voids(row.payment_id))
        return PaymentView(
            row.kind,
            row.state,
            row.asset.code,
            text,
            subject,
            list(self._officers.officers.values()),
            [one.officer for one in good],
        )

    @activity.defn(name="payment_order")
    async def order(self, request: WalletPaymentRequest) -> SigningRequest:
        """Return the order for the signer, with the transaction once there is a nonce for it."""
        row = await require_payment(self._rows, request.payment_id)
        if row.nonce is None:
            return SigningRequest(dict(row.order()))
        assert row.gas is not None
        assert row.fees is not None
        chain_id = await self._chain.chain_id()
        unsigned = self._builder.unsigned(row, chain_id, row.gas, row.fees)
        return SigningRequest(dict(row.order()), unsigned.hex())

    @activity.defn(name="allocate_payment_nonce")
    async def allocate_nonce(self, request: WalletPaymentRequest) -> PaymentResult:
        """Fix amount, gas and fees and give it its source's next nonce; drop what is not worth it.

        The hot wallet's payments stand in one row with the withdrawals, and park as they do.
        """
        row = await require_payment(self._rows, request.payment_id)
        if row.state is not PaymentState.PLANNED:
            return PaymentResult(row.state, nonce=row.nonce)
        if closed := await self._gate():
            raise parked("PaymentsStopped", closed)
        if why := await self._return_objection(row):
            return await self._drop(row, why)
        await self._payments.require_chain(row.chain)
        state = await self._chain.address_state(row.source, {None, row.contract})
        await self._require_own_nonces(row, state)
        fees = await self._chain.fee_quote()
        self._payments.require_cheap(fees)
        fixed = await self._fixed(row, state, fees)
        if isinstance(fixed, str):
            return await self._drop(row, fixed)
        require_bounds(OWN_BOUNDS, fixed.gas or 0, fees)
        moved = await self._rows.allocate_nonce(
            fixed, state.nonce, lambda promised, waiting: _short(fixed, state, promised, waiting)
        )
        if isinstance(moved, str):
            raise parked("HotWalletShort", moved)
        return PaymentResult(moved.state, f"nonce {moved.nonce}", nonce=moved.nonce)

    async def _return_objection(self, row: WalletPayment) -> str | None:
        """Return why a deposit is not paid back any more, as it and its sender are by now."""
        if row.kind is not PaymentKind.RETURN:
            return None
        return await self._returns.before_nonce(row, self._now())

    async def _drop(self, row: WalletPayment, why: str) -> PaymentResult:
        return PaymentResult((await self._rows.move(row.payment_id, dropping(row, why))).state, why)

    async def _fixed(
        self, row: WalletPayment, state: AddressState, fees: FeeQuote
    ) -> WalletPayment | str:
        """Return the payment as it will be signed, or why it is dropped.

        A sweep of the chain's coin leaves the most that its own gas can cost; what is not used of
        that stays on the address, in the books, for the next one.
        """
        have = state.balances[row.contract]
        sweep = row.kind is PaymentKind.SWEEP
        if sweep and have == 0:
            return "nothing is there any more"
        row = replace(row, amount=min(row.amount, have)) if sweep else row
        if not sweep and have < row.amount:  # `_short` says it in words; there is no gas to ask for
            return replace(row, gas=GAS_OF_A_TRANSFER, fees=fees)
        whole_coin = sweep and row.contract is None
        to, value, data = self._builder.call(replace(row, amount=1) if whole_coin else row)
        gas = await self._chain.gas_for(row.source, to, value, data)
        fixed = replace(row, gas=gas, fees=fees)
        if whole_coin:
            fixed = replace(fixed, amount=min(row.amount, have - fixed.max_cost))
            return fixed if fixed.amount > 0 else "less is there than the payment would cost"
        if sweep and state.balances[None] < fixed.max_cost:
            return "there is no gas yet"
        return fixed

    async def _is_overtaken(self, row: WalletPayment, stored: list[StoredTransaction]) -> bool:
        """Return whether the cold wallet has used a refill's nonce for something else, for good.

        Only of a refill: that wallet's key is elsewhere, and who has it may sign twice. What was
        mined instead must lie as deep as the refill would have to.
        """
        if row.kind is not PaymentKind.REFILL or row.nonce is None:
            return False
        deep = await self._chain.head() - row.confirmations + 1
        if deep < 0 or await self._payments.mined_of(stored) is not None:
            return False
        return (await self._chain.address_state(row.source, (), at_block=deep)).nonce > row.nonce

    async def _require_own_nonces(self, row: WalletPayment, state: AddressState) -> None:
        """Park when the chain has transactions of the source that we have not made."""
        expected = await self._rows.next_nonce(row.chain, row.source)
        if expected is not None and state.nonce > expected:
            raise parked(
                "NonceMismatch",
                f"the chain has {state.nonce} transactions of the address, the table says "
                f"{expected}: somebody else used its key, or the database is an old copy",
            )

    @activity.defn(name="store_signed_payment")
    async def store_signed(self, signed: SignedPayment) -> PaymentResult:
        """Store the raw transaction before anybody can send it; the first one stored stays."""
        row = await require_payment(self._rows, signed.payment_id)
        if row.state is not PaymentState.NUMBERED:
            return PaymentResult(row.state)
        raw = bytes.fromhex(signed.raw_hex)
        tx_hash = self._builder.check_signed(row, raw, row.source)
        moved = await self._rows.store_transaction(row, raw, tx_hash)
        return PaymentResult(moved.state, f"transaction {tx_hash}")

    @activity.defn(name="broadcast_payment")
    async def broadcast(self, request: WalletPaymentRequest) -> PaymentResult:
        """Send the stored transaction; sending the same bytes again changes nothing."""
        row = await require_payment(self._rows, request.payment_id)
        if row.state is not PaymentState.SIGNED:
            return PaymentResult(row.state)
        stored = await self._stored(row)
        if await self._is_overtaken(row, stored):
            return await self._drop(row, _OVERTAKEN)
        first = stored[0]
        await self._payments.send(row, stored, first)
        detail = {"tx_hash": first.tx_hash}
        change = PaymentChange(PaymentState.SIGNED, PaymentState.BROADCAST, detail)
        moved = await self._rows.move(row.payment_id, change)
        return PaymentResult(moved.state, f"transaction {first.tx_hash}")

    @activity.defn(name="confirm_payment")
    async def confirm(self, request: WalletPaymentRequest) -> PaymentResult:
        """Watch until one of its transactions is mined and deep enough, then book it.

        All have one nonce, so at most one is ever mined. The newest is sent again when the node
        has forgotten it, as after a reorganisation.
        """
        row = await require_payment(self._rows, request.payment_id)
        if row.state is not PaymentState.BROADCAST:
            return PaymentResult(row.state)
        stored = await self._stored(row)
        if await self._is_overtaken(row, stored):
            return await self._drop(row, _OVERTAKEN)
        receipt = await self._payments.watch(row, stored, stored[-1], row.source)
        if receipt is None:  # a dearer refill may have been submitted meanwhile
            newest = (await self._stored(row))[-1]
            return PaymentResult(row.state, stuck=newest.tx_hash == stored[-1].tx_hash)
        return await self._book(row, receipt)

    async def _book(self, row: WalletPayment, receipt: Receipt) -> PaymentResult:
        moved = await self._rows.move(row.payment_id, mined_payment(row, receipt))
        return PaymentResult(moved.state, f"mined in block {receipt.block_number}")

    async def _stored(self, row: WalletPayment) -> list[StoredTransaction]:
        stored = await self._rows.transactions(row.payment_id)
        assert stored, "a signed payment has a stored transaction"
        return stored

    @activity.defn(name="payment_replacement_order")
    async def replacement_order(self, request: WalletPaymentRequest) -> SigningRequest:
        """Return the order for a dearer transaction with the same nonce; parks at the bounds."""
        row = await require_payment(self._rows, request.payment_id)
        if row.kind is PaymentKind.REFILL:
            raise parked("RefillStuck", "no block takes it, and the cold wallet alone can pay more")
        stored = await self._stored(row)
        newest = stored[-1].raw
        fees = dearer(self._builder.fees_of(newest), await self._chain.fee_quote())
        if len(stored) > MAX_REPLACEMENTS:
            raise parked("StillStuck", f"{len(stored)} transactions, and no block takes one")
        self._payments.require_cheap(fees)
        have = (await self._chain.address_state(row.source, {None})).balances[None]
        value = row.amount if row.contract is None else 0
        if have < value + (row.gas or 0) * fees.max_fee:
            raise parked("StillStuck", "no block takes it, and its address cannot pay more")
        return SigningRequest(dict(row.order()), self._builder.repriced(newest, fees).hex())

    @activity.defn(name="replace_payment")
    async def replace(self, signed: SignedPayment) -> PaymentResult:
        """Store the dearer transaction, then send it; whichever is mined is the payment."""
        row = await require_payment(self._rows, signed.payment_id)
        if row.state is not PaymentState.BROADCAST:
            return PaymentResult(row.state)
        raw = bytes.fromhex(signed.raw_hex)
        tx_hash = self._builder.check_signed(row, raw, row.source)
        stored = await self._stored(row)
        if all(one.tx_hash != tx_hash for one in stored):
            made = StoredTransaction(tx_hash, raw, len(stored), stored[-1].signed_at)
            await self._rows.store_replacement(row, made)
            stored = await self._stored(row)
        newest = stored[-1]
        await self._payments.send(row, stored, newest)
        return PaymentResult(row.state, f"dearer transaction {newest.tx_hash}")


def mined_payment(row: WalletPayment, receipt: Receipt) -> PaymentChange:
    """Return the change to what a deep receipt of the payment itself says."""
    journal = booking(row, receipt.tx_hash, receipt.fee, succeeded=receipt.succeeded)
    return PaymentChange(
        source=row.state,
        target=PaymentState.BOOKED if receipt.succeeded else PaymentState.REVERTED,
        detail=mined_detail(receipt),
        columns=mined_columns(receipt),
        journal=journal if journal.postings else None,
    )


def _short(
    row: WalletPayment, state: AddressState, promised: Mapping[str | None, int], waiting: int
) -> str | None:
    """Return what the source lacks for this payment and those that wait for a block."""
    assert row.fees is not None
    gas = row.max_cost + waiting * GAS_OF_A_TRANSFER * row.fees.max_fee
    return shortage("its address", row, row.amount, gas, state, promised)
