"""A deposit: one payment on the chain to an address of ours, and the states it goes through.

seen -> pending -> posted -> credited      a customer's payment
seen -> pending -> refilled                a payment to hot wallet or cold address: owners' capital
seen -> pending -> below_minimum           too small: in suspense until the next one makes it enough
seen -> pending -> suspended               refused by screening: in suspense until officers decide
below_minimum -> collected                 credited together with a later deposit
below_minimum | suspended -> released      two officers gave it to a customer
below_minimum | suspended -> returning     two officers let it be paid back to its sender
returning -> returned                      that payment is mined, and deep enough
returning -> below_minimum | suspended     it was not made, or failed: in suspense again
seen | pending -> voided                   the chain was reorganised; mined again = seen again

A reorganisation after posting is no state: the customer may have traded with the money. The row
is marked `reversed`, what the ledger says of the coins is taken back into suspense, and restored
once the payment lies as deep again as it must.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
    COLLECTED = "collected"
    SUSPENDED = "suspended"
    RELEASED = "released"
    RETURNING = "returning"
    RETURNED = "returned"
    VOIDED = "voided"


_State = DepositState
NEXT_STATES: dict[DepositState, frozenset[DepositState]] = {
    _State.SEEN: frozenset({_State.PENDING, _State.VOIDED}),
    _State.PENDING: frozenset(
        {
            _State.POSTED,
            _State.REFILLED,
            _State.BELOW_MINIMUM,
            _State.SUSPENDED,
            _State.VOIDED,
        }
    ),
    _State.POSTED: frozenset({_State.CREDITED}),
    _State.CREDITED: frozenset(),
    _State.REFILLED: frozenset(),
    _State.BELOW_MINIMUM: frozenset({_State.COLLECTED, _State.RELEASED, _State.RETURNING}),
    _State.COLLECTED: frozenset(),
    _State.SUSPENDED: frozenset({_State.RELEASED, _State.RETURNING}),
    _State.RELEASED: frozenset(),
    _State.RETURNING: frozenset({_State.RETURNED, _State.BELOW_MINIMUM, _State.SUSPENDED}),
    _State.RETURNED: frozenset(),
    _State.VOIDED: frozenset({_State.SEEN}),
}
IN_SUSPENSE_STATES = frozenset({_State.BELOW_MINIMUM, _State.SUSPENDED})
FINAL_STATES = frozenset(  # of the workflow: what follows is done by others
    {
        *IN_SUSPENSE_STATES,
        _State.CREDITED,
        _State.REFILLED,
        _State.COLLECTED,
        _State.RELEASED,
        _State.RETURNING,
        _State.RETURNED,
        _State.VOIDED,
    }
)
UNPOSTED_STATES = frozenset({_State.SEEN, _State.PENDING})

NATIVE_COIN = -1  # the log index of a payment in the chain's own coin
FIRST_INTERNAL = -2  # and downwards: coins that a contract pays, in the order of its calls
_ID = re.compile(r"deposit-[A-Z0-9]{1,16}-0x[0-9a-f]{1,64}-(native|(internal)?[0-9]{1,9})")


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
    place = str(log_index)
    if log_index < 0:
        nth = FIRST_INTERNAL - log_index
        place = "native" if log_index == NATIVE_COIN else f"internal{nth}"
    return f"deposit-{chain}-{tx_hash}-{place}"


def is_deposit_id(text: str) -> bool:
    """Return whether `text` has the form of a deposit's id."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class ConfirmationTier:
    """How deep a payment of more than `above` (chain units) must lie before it is booked."""

    name: str
    above: int
    confirmations: int


_TIERS = (("standard", 0, 1), ("large", 10, 2), ("very_large", 100, 3))


def confirmation_tiers(confirmations: int, approval_above: int) -> tuple[ConfirmationTier, ...]:
    """Return an asset's tiers, smallest first, by the asset's own terms.

    Above ten times the amount from which a withdrawal needs a signature it takes twice the
    asset's confirmations, above a hundred times three times: undoing the blocks must cost more
    than the deposit is worth.
    """
    return tuple(
        ConfirmationTier(name, multiple * approval_above, times * confirmations)
        for name, multiple, times in _TIERS
    )


def tier_of(amount: int, tiers: Sequence[ConfirmationTier]) -> ConfirmationTier:
    """Return the highest tier that `amount` exceeds; the first one for nothing."""
    return next((tier for tier in reversed(tiers) if amount > tier.above), tiers[0])


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
    tier: ConfirmationTier
    transfer_id: str | None
    reason: str | None
    sender: str = ""
    collected: int = 0  # of earlier deposits below the minimum, credited with this one
    turns: int = 0  # how often it was taken back and restored after reorganisations, together
    is_cold: bool = False  # without a customer: to a cold address, and not to the hot wallet

    @property
    def reversed(self) -> bool:
        """Return whether the chain has lost it after it was booked."""
        return self.turns % 2 == 1

    @property
    def required_confirmations(self) -> int:
        """Return how deep its block must lie."""
        return self.tier.confirmations


@dataclass(frozen=True, slots=True)
class NewDeposit:
    """What the watcher found in a block; `customer_id` None: hot wallet, or a cold address."""

    chain: str
    tx_hash: str
    log_index: int
    block_number: int
    block_hash: str
    address: str
    customer_id: int | None
    asset_id: int
    amount: int
    sender: str = ""

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
    collects: tuple[str, ...] = ()  # earlier deposits that are credited together with it


@dataclass(frozen=True, slots=True)
class Dust:
    """A deposit below the minimum that waits in suspense; chain units."""

    deposit_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class DepositMove:
    """Start of the way from main to trading: the transfer's row and its posting, together."""

    transfer: NewTransfer
    journal: JournalRequest
