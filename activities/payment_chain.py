"""What all that takes a nonce shares: which of its transactions was mined, and how deep."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.beat import Beat
from activities.chain_look import ChainLook
from activities.wallet_ports import BlockRows, ChainAdapter, TransactionBuilder
from activities.withdrawal_money import STREAM
from domain.chain import (
    COIN_DECIMALS,
    MAX_REPLACEMENTS,
    AddressState,
    FeeQuote,
    Payable,
    Receipt,
    TransactionTooCheapError,
    dearer,
)
from domain.hash_chain import JsonValue
from domain.ledger import JournalRequest, Posting, network_fees, wallet_hot
from domain.money import text_from_units
from domain.signing_limits import FeeBounds
from domain.wallet_payment import WalletPayment
from domain.withdrawal import StateChange, StoredTransaction, Withdrawal, WithdrawalState

GAS_OF_A_TRANSFER = 100_000  # what is set aside for each payment that is still to be mined
_MOST_TRANSACTIONS = 2 * (1 + MAX_REPLACEMENTS)  # payments and voids of one nonce
_POLL_SECONDS = 0.5
_WATCH_SECONDS = 300.0
_LOOK_ANYWAY_SECONDS = 5.0
_BEHIND_ATTEMPTS = 4


class Watched(Protocol):
    """What pays, or is given up: a withdrawal, or a payment between our own addresses."""

    @property
    def chain(self) -> str:
        """Return the chain's name."""

    @property
    def confirmations(self) -> int:
        """Return how deep it has to lie."""

    @property
    def nonce(self) -> int | None:
        """Return its sender's nonce."""


class SentRows(Protocol):
    """The rows of stored transactions."""

    async def note_broadcast(self, tx_hash: str) -> None:
        """Write down the first broadcast."""


def parked(kind: str, message: str) -> ApplicationError:
    """Return an error whose message every operator may read: nothing personal is in any of them."""
    return ApplicationError(message, type=f"Public{kind}", non_retryable=True)


def require_bounds(bounds: FeeBounds, gas: int, fees: FeeQuote) -> None:
    """Park what the signer would refuse for its gas, before it has a nonce."""
    if not bounds.admit(gas, fees.max_fee):
        cost = text_from_units(gas * fees.max_fee, COIN_DECIMALS)
        most = text_from_units(bounds.network_fee, COIN_DECIMALS)
        raise parked(
            "FeeTooHigh",
            f"{gas} gas for at most {cost} of the chain's coin; the signer signs {bounds.gas} gas "
            f"for {most} at most",
        )


class PaymentChain:
    """Transactions on the chain, as far as one nonce goes.

    All transactions of a payment have one nonce, so at most one of them is ever mined. Above
    `max_fee` wei a gas unit nothing is begun; what no block takes for `stuck_seconds` is stuck.
    """

    def __init__(
        self,
        rows: SentRows,
        blocks: BlockRows,
        chain: ChainAdapter,
        look: ChainLook,
        hot_address: str,
        max_fee: int,
        stuck_seconds: float,
    ) -> None:
        self._rows = rows
        self._blocks = blocks
        self._chain = chain
        self._look = look
        self._hot_address = hot_address
        self._max_fee = max_fee
        self._stuck_seconds = min(stuck_seconds, _WATCH_SECONDS)

    async def require_chain(self, chain: str) -> None:
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

    def require_cheap(self, fees: FeeQuote) -> None:
        """Park where a gas unit costs more than is to be paid."""
        if fees.max_fee > self._max_fee:
            asked, most = (text_from_units(fee, 9) for fee in (fees.max_fee, self._max_fee))
            raise parked("FeeSpike", f"a gas unit costs {asked} gwei, the most is {most}")

    async def mined_of(self, stored: Iterable[StoredTransaction]) -> Receipt | None:
        """Return the receipt of the one that was mined."""
        for one in stored:
            receipt = await self._chain.receipt(one.tx_hash)
            if receipt is not None:
                return receipt
        return None

    async def send(
        self, row: Watched, stored: Sequence[StoredTransaction], newest: StoredTransaction
    ) -> bool:
        """Send one of a nonce's stored transactions, unless any of them has been mined.

        The node refuses it when another was mined a moment ago, which is no failure. False: fees
        have risen so far that the node does not take it; `watch` finds it stuck at once.
        """
        taken, receipt = newest.tx_hash, await self.mined_of(stored)
        if receipt is None:
            await self.require_chain(row.chain)
            try:
                await self._chain.broadcast(newest.raw)
            except Exception as error:
                receipt = await self.mined_of(stored)
                if receipt is None and isinstance(error, TransactionTooCheapError):
                    return False
                if receipt is None:
                    raise
        await self._rows.note_broadcast(taken if receipt is None else receipt.tx_hash)
        return True

    async def watch(
        self,
        row: Watched,
        stored: Sequence[StoredTransaction],
        newest: StoredTransaction,
        sender: str = "",
    ) -> Receipt | None:
        """Wait until one is mined and deep enough, and return its receipt; None: it is stuck.

        The newest is sent again when the node has forgotten it, as after a reorganisation; one
        that is too cheap by now is stuck. A payment that waits for an earlier nonce is not.
        `sender` is the hot wallet, if none is named. Once it is mined, nothing is asked for it
        until all who wait see that its block may be deep enough, or is another.
        """
        waited, look_at, beat = 0.0, 0.0, Beat()
        receipt: Receipt | None = None
        while True:
            if receipt is None or waited >= look_at or not await self._only_waits(row, receipt):
                look_at = waited + _LOOK_ANYWAY_SECONDS
                receipt, refused = await self.mined_of(stored), False
                if receipt is None and not await self._chain.knows(newest.tx_hash):
                    refused = not await self.send(row, stored, newest)
                if receipt is not None and await self.is_deep(row, receipt):
                    return receipt
                if receipt is None and (refused or waited >= self._stuck_seconds):
                    state = await self._chain.address_state(sender or self._hot_address, ())
                    if state.nonce == row.nonce:
                        return None
            if waited >= _WATCH_SECONDS:
                raise ApplicationError("not confirmed yet", type="NotConfirmedYet")
            beat("waiting for confirmations")
            await asyncio.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS

    async def _only_waits(self, row: Watched, receipt: Receipt) -> bool:
        """Return whether its block is in the chain as it was, and cannot be deep enough yet."""
        picture = await self._look.picture()
        last = receipt.block_number + row.confirmations - 1
        if picture.head >= last and picture.has_read(last):
            return False
        return picture.shows(receipt.block_number, receipt.block_hash)

    async def watch_void(
        self, row: Watched, stored: Sequence[StoredTransaction], sender: str = ""
    ) -> tuple[Receipt, bool] | None:
        """Watch what is given up; return what was mined and whether it is a void.

        None: a (dearer) void is wanted.
        """
        voids = [one for one in stored if one.voids]
        if not voids and await self.mined_of(stored) is None:
            return None
        receipt = await self.watch(row, stored, (voids or stored)[-1], sender)
        if receipt is None:
            return None
        return receipt, any(one.tx_hash == receipt.tx_hash for one in voids)

    async def void(
        self, row: Payable, stored: Sequence[StoredTransaction], builder: TransactionBuilder
    ) -> bytes:
        """Return the bytes to be signed of a void, dearer than all transactions of the nonce."""
        if len(stored) >= _MOST_TRANSACTIONS:
            raise parked("StillStuck", f"{len(stored)} transactions, and no block takes one")
        fees = await self._chain.fee_quote()
        for one in stored:
            fees = dearer(builder.fees_of(one.raw), fees)
        self.require_cheap(fees)
        return builder.void(row, await self._chain.chain_id(), fees)

    async def is_deep(self, row: Watched, receipt: Receipt) -> bool:
        """Return whether the receipt's block is deep enough, still in the chain, and read by us.

        The block that makes it so must be there: a head is told in one number, and wrong at times.
        The books are compared with the chain at the watcher's block: they never go before it.
        """
        last = receipt.block_number + row.confirmations - 1
        tip = await self._blocks.tip(row.chain)
        if tip is not None and tip[0] < last:
            return False
        if await self._chain.head() < last or await self._chain.block_hash(last) is None:
            return False
        return await self._chain.block_hash(receipt.block_number) == receipt.block_hash


def shortage(
    payer: str,
    row: Withdrawal | WalletPayment,
    amount: int,
    gas: int,
    state: AddressState,
    promised: Mapping[str | None, int],
) -> str | None:
    """Return what `payer`, whose `state` this is, lacks to send `amount` units beside `promised`.

    `gas` wei of the chain's coin are needed for it and for those that wait for a block.
    """
    for contract in dict.fromkeys((row.contract, None)):
        need = promised.get(contract, 0)
        need += amount if contract == row.contract else 0
        need += gas if contract is None else 0
        have = state.balances[contract]
        if have < need:
            decimals = row.asset.chain_decimals if contract == row.contract else COIN_DECIMALS
            code = row.asset.code if contract == row.contract else row.chain
            return (
                f"{payer} has {text_from_units(have, decimals)} {code} and needs "
                f"{text_from_units(need, decimals)} {code}"
            )
    return None


def mined_detail(receipt: Receipt) -> dict[str, JsonValue]:
    """Return what the audit log says of a mined transaction."""
    return {
        "tx_hash": receipt.tx_hash,
        "block": receipt.block_number,
        "block_hash": receipt.block_hash,
        "network_fee": str(receipt.fee),
    }


def mined_columns(receipt: Receipt) -> dict[str, object]:
    """Return what the row of a mined payment gets."""
    return {
        "tx_hash": receipt.tx_hash,
        "block_number": receipt.block_number,
        "network_fee": receipt.fee,
    }


def mined_change(row: Withdrawal, receipt: Receipt, *, void: bool = False) -> StateChange:
    """Return the change to what a deep receipt says; what paid nobody has its gas booked here."""
    if receipt.succeeded and not void:
        target, journal = WithdrawalState.CONFIRMED, None
    else:
        target = WithdrawalState.VOIDED if void else WithdrawalState.REVERTED
        journal = _gas(row, receipt, target)
    return StateChange(
        source=row.state,
        target=target,
        detail=mined_detail(receipt),
        columns=mined_columns(receipt),
        journal=journal,
    )


def _gas(row: Withdrawal, receipt: Receipt, target: WithdrawalState) -> JournalRequest:
    """Return the journal of the gas: it is all that has left the wallet."""
    coin = row.chain
    gas = Posting(network_fees(coin), wallet_hot(row.chain, coin), coin, receipt.fee)
    return JournalRequest(
        stream=STREAM,
        key=f"{row.subject}-{target}",
        kind=f"withdrawal_{target}",
        postings=(gas,) if receipt.fee else (),
        detail={"withdrawal": row.subject, "tx_hash": receipt.tx_hash},
    )
