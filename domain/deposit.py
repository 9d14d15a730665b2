"""A deposit: one payment on the chain to an address of ours, and the states it goes through.

seen -> pending -> posted -> credited      a customer's payment
seen -> pending -> refilled                a payment to the hot wallet itself: owners' capital
seen -> pending -> below_minimum           too small to book: kept in suspense
seen | pending -> voided                   the chain was reorganised; mined again = seen again
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.hash_chain import JsonValue
from domain.instrument import Asset
from domain.ledger import JournalRequest
from domain.transfer import NewTransfer


class DepositState(StrEnum):
    """Where a deposit stands; the business row's `state`."""

    SEEN = "seen"
    PENDING = "pending"  # shown to the customer, not usable
    POSTED = "posted"  # in the ledger, on the customer's main account
    CREDITED = "credited"  # in the trading balance
    REFILLED = "refilled"
    BELOW_MINIMUM = "below_minimum"
    VOIDED = "voided"


_State = DepositState
NEXT_STATES: dict[DepositState, frozenset[DepositState]] = {
    _State.SEEN: frozenset({_State.PENDING, _State.VOIDED}),
    _State.PENDING: frozenset(
        {_State.POSTED, _State.REFILLED, _State.BELOW_MINIMUM, _State.VOIDED}
    ),
    _State.POSTED: frozenset({_State.CREDITED}),
    _State.CREDITED: frozenset(),
    _State.REFILLED: frozenset(),
    _State.BELOW_MINIMUM: frozenset(),
    _State.VOIDED: frozenset({_State.SEEN}),
}
FINAL_STATES = frozenset({_State.CREDITED, _State.REFILLED, _State.BELOW_MINIMUM, _State.VOIDED})
UNPOSTED_STATES = frozenset({_State.SEEN, _State.PENDING})

NATIVE_COIN = -1  # the log index of a payment in the chain's own coin
LARGE_MULTIPLE = 10


@dataclass(frozen=True, slots=True)
class DepositRequest:
    """The argument of the workflow `deposit-{chain}-{tx}-{log}` (`DepositWorkflow`)."""

    deposit_id: str
    request_id: str = ""


DEPOSIT_WORKFLOW = "DepositWorkflow"
DEPOSIT_SUMMARY = "Deposit: announce, wait for confirmations and post, credit to trading"


def deposit_id(chain: str, tx_hash: str, log_index: int) -> str:
    """Return the deposit's id, which is its workflow's id too.

    `log_index` counts the transfers of the transaction, not of the block: it stays the same when
    the transaction is mined again in another block.
    """
    return f"deposit-{chain}-{tx_hash}-{'native' if log_index == NATIVE_COIN else log_index}"


def required_confirmations(asset_confirmations: int, amount: int, large_above: int) -> int:
    """Return how deep the block must lie: twice as deep for ten times the approval threshold."""
    if amount > large_above * LARGE_MULTIPLE:
        return 2 * asset_confirmations
    return asset_confirmations


def split_for_trading(amount: int, asset: Asset) -> tuple[int, int]:
    """Return (what can be moved to trading, the dust that stays in main); chain units.

    The engine counts coarser units, so what is below one of them cannot be traded.
    """
    dust = amount % asset.chain_units_per_engine_unit
    return amount - dust, dust


@dataclass(frozen=True, slots=True)
class Deposit:
    """The business row with its asset, as every step sees it; amounts in chain units."""

    deposit_id: str
    chain: str
    tx_hash: str
    log_index: int
    block_number: int
    block_hash: str
    address: str
    customer_id: int | None
    asset: Asset
    amount: int
    minimum: int
    state: DepositState
    confirmations: int
    required_confirmations: int
    transfer_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class NewDeposit:
    """What the watcher found in a block; `customer_id` None is the hot wallet's own address."""

    chain: str
    tx_hash: str
    log_index: int
    block_number: int
    block_hash: str
    address: str
    customer_id: int | None
    asset_id: int
    amount: int

    @property
    def deposit_id(self) -> str:
        """Return the id of the row and of the workflow."""
        return deposit_id(self.chain, self.tx_hash, self.log_index)


@dataclass(frozen=True, slots=True)
class IgnoredPayment:
    """A payment to an address of ours in a token that the exchange does not list."""

    chain: str
    tx_hash: str
    log_index: int
    contract: str
    address: str
    amount: int

    @property
    def subject(self) -> str:
        """Return the audit log's subject."""
        return deposit_id(self.chain, self.tx_hash, self.log_index)


@dataclass(frozen=True, slots=True)
class DepositChange:
    """One step of the state machine with all that must happen in its transaction."""

    source: DepositState
    target: DepositState
    detail: Mapping[str, JsonValue]
    columns: Mapping[str, object] = field(default_factory=dict)
    journal: JournalRequest | None = None


@dataclass(frozen=True, slots=True)
class DepositMove:
    """Start of the way from main to trading: the transfer's row and its posting, together."""

    transfer: NewTransfer
    journal: JournalRequest
