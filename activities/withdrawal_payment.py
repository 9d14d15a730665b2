"""The payment of a withdrawal: nonce, transaction, broadcast, confirmation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.wallet_ports import BlockRows, ChainAdapter, TransactionBuilder, WithdrawalRows
from activities.withdrawal_money import STREAM
from activities.withdrawal_review import StepResult, bind, require
from domain.approval import APPROVE
from domain.chain import MAX_REPLACEMENTS, AddressState, FeeQuote, Receipt, dearer
from domain.ledger import JournalRequest, Posting, network_fees, wallet_hot
from domain.money import text_from_units
from domain.withdrawal import (
    StateChange,
    StoredTransaction,
    Withdrawal,
    WithdrawalRequest,
    WithdrawalState,
)

_POLL_SECONDS = 0.5
_WATCH_SECONDS = 300.0
_BEHIND_ATTEMPTS = 4
_GAS_OF_A_TRANSFER = 100_000  # what is set aside for each payment that is still to be mined
_COIN_DECIMALS = 18
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What the signer is asked: the order, and the transaction that is to carry it out."""

    order: dict[str, Any]
    unsigned_hex: str = ""


@dataclass(frozen=True, slots=True)
class SignedWithdrawal:
    """What the signer answered, to be stored."""

    withdrawal_id: str
    request_id: str
    raw_hex: str


def _mined(
    target: WithdrawalState, receipt: Receipt, journal: JournalRequest | None = None
) -> StateChange:
    """Return the change from broadcast to what the receipt says."""
    return StateChange(
        source=WithdrawalState.BROADCAST,
        target=target,
        detail={
            "tx_hash": receipt.tx_hash,
            "block": receipt.block_number,
            "block_hash": receipt.block_hash,
            "network_fee": str(receipt.fee),
        },
        columns={
            "tx_hash": receipt.tx_hash,
            "block_number": receipt.block_number,
            "network_fee": receipt.fee,
        },
        journal=journal,
    )


def _parked(kind: str, message: str) -> ApplicationError:
    """Return an error whose message every operator may read: nothing personal is in any of them."""
    return ApplicationError(message, type=f"Public{kind}", non_retryable=True)


def _shortage(
    row: Withdrawal,
    state: AddressState,
    fees: FeeQuote,
    committed: Mapping[str | None, int],
    waiting: int,
) -> str | None:
    """Return what the hot wallet lacks to pay this withdrawal and those that wait for a block."""
    gas = (waiting + 1) * _GAS_OF_A_TRANSFER * fees.max_fee
    for contract in dict.fromkeys((row.contract, None)):
        need = committed.get(contract, 0)
        need += row.net_amount if contract == row.contract else 0
        need += gas if contract is None else 0
        have = state.balances[contract]
        if have < need:
            decimals = row.asset.chain_decimals if contract == row.contract else _COIN_DECIMALS
            code = row.asset.code if contract == row.contract else row.chain
            return (
                f"the hot wallet has {text_from_units(have, decimals)} {code} and needs "
                f"{text_from_units(need, decimals)} {code}"
            )
    return None


class WithdrawalPayment:
    """Activities that talk to the chain. `hot_address` pays; the key is elsewhere.

    `gate` says why nothing may be paid out now; "" when payments go out. `objection` says what
    speaks against a payment that was let pass before; above `max_fee` wei a gas unit none begins.
    """

    def __init__(
        self,
        rows: WithdrawalRows,
        blocks: BlockRows,
        chain: ChainAdapter,
        builder: TransactionBuilder,
        hot_address: str,
        gate: Callable[[], Awaitable[str]],
        objection: Callable[[Withdrawal], Awaitable[tuple[str, str] | None]],
        max_fee: int,
        stuck_seconds: float,
    ) -> None:
        self._max_fee = max_fee
        self._stuck_seconds = min(stuck_seconds, _WATCH_SECONDS)
        self._objection = objection
        self._gate = gate
        self._rows = rows
        self._blocks = blocks
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
        decisions = await self._rows.decisions(row.withdrawal_id)
        return {
            "withdrawal_id": row.withdrawal_id,
            "customer_id": row.customer_id,
            "asset": row.asset.code,
            "amount": str(row.amount),
            "fee": str(row.fee),
            "address": row.address,
            "approvals": [
                {
                    "officer": decision.officer,
                    "action": decision.action,
                    "statement": decision.statement,
                    "signature_hex": decision.signature_hex,
                }
                for decision in decisions
                if decision.action == APPROVE
            ],
        }

    @activity.defn(name="allocate_nonce")
    async def allocate_nonce(self, request: WithdrawalRequest) -> StepResult:
        """Give the withdrawal its place in the hot wallet's sequence, if the wallet can pay."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state is not WithdrawalState.APPROVED:
            return StepResult(row.state)
        if objection := await self._objection(row):
            raise _parked(*objection)
        if closed := await self._gate():
            raise _parked("BooksDiffer", closed)
        await self._require_chain(row.chain)
        state = await self._chain.address_state(self._hot_address, {None, row.contract})
        expected = await self._rows.next_nonce(row.chain, self._hot_address)
        if expected is not None and state.nonce > expected:
            raise _parked(
                "NonceMismatch",
                f"the chain has {state.nonce} transactions of the hot wallet, the table says "
                f"{expected}: somebody else used its key, or the database is an old copy",
            )
        fees = await self._chain.fee_quote()
        self._require_cheap(fees)
        short = _shortage(row, state, fees, {}, 0)
        if short is None:
            to, value, data = self._builder.call(row)
            await self._chain.gas_for(self._hot_address, to, value, data)
        moved = short or await self._rows.allocate_nonce(
            request.withdrawal_id,
            self._hot_address,
            state.nonce,
            lambda committed, waiting: _shortage(row, state, fees, committed, waiting),
        )
        if isinstance(moved, str):
            raise _parked("HotWalletShort", moved)
        if moved.nonce is None:
            return StepResult(moved.state, "cancelled before its nonce", moved.customer_id)
        return StepResult(moved.state, f"nonce {moved.nonce}")

    async def _require_chain(self, chain: str) -> None:
        """Refuse to pay on a chain that lacks blocks we have seen: it is not the same chain.

        A reorganisation can look like that for a moment, so the first attempts only wait.
        """
        tip = await self._blocks.tip(chain)
        head = await self._chain.head()
        if tip is not None and head < tip[0]:
            raise ApplicationError(
                f"the chain is at block {head}, but block {tip[0]} was seen: the node was reset "
                "or is another one",
                type="PublicChainBehind",
                non_retryable=activity.info().attempt >= _BEHIND_ATTEMPTS,
            )

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
        await self._require_chain(row.chain)
        (tx_hash, raw), *_ = await self._stored(row)
        await self._chain.broadcast(raw)
        await self._rows.note_broadcast(tx_hash)
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

    async def _stored(self, row: Withdrawal) -> list[tuple[str, bytes]]:
        """Return (hash, raw bytes) of every transaction, the first one first."""
        stored = await self._rows.transactions(row.withdrawal_id)
        assert stored, "a signed withdrawal has a stored transaction"
        return [(one.tx_hash, one.raw) for one in stored]

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
        waited = 0.0
        while True:
            receipt = await self._mined_of(stored)
            if receipt is None and not await self._chain.knows(stored[-1][0]):
                await self._require_chain(row.chain)
                await self._chain.broadcast(stored[-1][1])
            if receipt is not None and await self._is_deep(receipt, row.confirmations):
                break
            if receipt is None and waited >= self._stuck_seconds and await self._is_next(row):
                return StepResult(row.state, stuck=True)
            if waited >= _WATCH_SECONDS:
                raise ApplicationError("not confirmed yet", type="NotConfirmedYet")
            activity.heartbeat("waiting for confirmations")
            await asyncio.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
        if not receipt.succeeded:
            return await self._reverted(row, receipt)
        return await self._confirmed(row, receipt)

    async def _is_next(self, row: Withdrawal) -> bool:
        """Return whether no earlier nonce is what the payment waits for."""
        state = await self._chain.address_state(self._hot_address, ())
        return state.nonce == row.nonce

    async def _mined_of(self, stored: Sequence[tuple[str, bytes]]) -> Receipt | None:
        """Return the receipt of the one that was mined."""
        for tx_hash, _ in stored:
            receipt = await self._chain.receipt(tx_hash)
            if receipt is not None:
                return receipt
        return None

    @activity.defn(name="replacement_order")
    async def replacement_order(self, request: WithdrawalRequest) -> SigningRequest:
        """Return the order for a dearer transaction with the same nonce; parks at the bounds."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        stored = await self._stored(row)
        if len(stored) > MAX_REPLACEMENTS:
            raise _parked("StillStuck", f"{len(stored)} transactions, and no block takes one")
        newest = stored[-1][1]
        fees = dearer(self._builder.fees_of(newest), await self._chain.fee_quote())
        self._require_cheap(fees)
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
        if await self._mined_of([(one.tx_hash, one.raw) for one in stored]) is None:
            await self._chain.broadcast(newest.raw)
            await self._rows.note_broadcast(newest.tx_hash)
        _log.info("withdrawal replaced", tx_hash=newest.tx_hash)
        return StepResult(row.state, f"dearer transaction {newest.tx_hash}")

    def _require_cheap(self, fees: FeeQuote) -> None:
        if fees.max_fee > self._max_fee:
            asked, most = (text_from_units(fee, 9) for fee in (fees.max_fee, self._max_fee))
            raise _parked("FeeSpike", f"a gas unit costs {asked} gwei, the most is {most}")

    async def _is_deep(self, receipt: Receipt, confirmations: int) -> bool:
        """Return whether the receipt's block is deep enough and still part of the chain."""
        depth = await self._chain.head() - receipt.block_number + 1
        if depth < confirmations:
            return False
        return await self._chain.block_hash(receipt.block_number) == receipt.block_hash

    async def _confirmed(self, row: Withdrawal, receipt: Receipt) -> StepResult:
        change = _mined(WithdrawalState.CONFIRMED, receipt)
        moved = await self._rows.move(row.withdrawal_id, change)
        return StepResult(moved.state, f"mined in block {receipt.block_number}")

    async def _reverted(self, row: Withdrawal, receipt: Receipt) -> StepResult:
        """Book the gas: it is all that has left the wallet, and the nonce is used up."""
        coin = row.chain
        gas = Posting(network_fees(coin), wallet_hot(row.chain, coin), coin, receipt.fee)
        journal = JournalRequest(
            stream=STREAM,
            key=f"{row.subject}-reverted",
            kind="withdrawal_reverted",
            postings=(gas,) if receipt.fee else (),
            detail={"withdrawal": row.subject, "tx_hash": receipt.tx_hash},
        )
        change = _mined(WithdrawalState.REVERTED, receipt, journal)
        moved = await self._rows.move(row.withdrawal_id, change)
        return StepResult(moved.state, f"reverted in block {receipt.block_number}")

    @activity.defn(name="check_reverted")
    async def check_reverted(self, request: WithdrawalRequest) -> StepResult:
        """Ask the chain once more before the amount is given back."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state is not WithdrawalState.REVERTED:
            return StepResult(row.state)
        tx_hash = str(row.tx_hash)
        receipt = await self._chain.receipt(tx_hash)
        if receipt is None or not await self._is_deep(receipt, row.confirmations):
            raise _parked("ReceiptGone", f"the chain no longer shows {tx_hash} as it was")
        if receipt.succeeded:
            raise _parked("PaidAfterAll", f"the chain now says that {tx_hash} has paid")
        return StepResult(row.state)

    @activity.defn(name="report_reverted")
    async def report_reverted(self, request: WithdrawalRequest) -> StepResult:
        """Park a payment that failed: only an officer's signature takes it on."""
        checked = await self.check_reverted(request)
        if checked.state != WithdrawalState.REVERTED:
            return checked
        row = await require(self._rows, request.withdrawal_id)
        raise _parked(
            "TransactionReverted",
            f"{row.tx_hash} was mined but reverted; the money is still in the hot wallet",
        )
