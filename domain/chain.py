"""What the wallet knows of a chain: blocks, payments in them, receipts, fees.

Amounts are integers in the chain's own units; hashes are lower-case 0x hex, addresses in checksum
form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

COIN_DECIMALS = 18  # of a chain's own coin


@dataclass(frozen=True, slots=True)
class Payment:
    """One transfer of value to an address; `contract` is None for the chain's own coin.

    `log_index` counts within the transaction, as `domain.deposit.deposit_id` says.
    """

    tx_hash: str
    log_index: int
    contract: str | None
    address: str
    amount: int
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """One block with every payment that its transactions and token logs show."""

    number: int
    hash: str
    parent_hash: str
    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The chain's word on a mined transaction; `fee` is what its sender paid for gas."""

    tx_hash: str
    block_number: int
    block_hash: str
    succeeded: bool
    fee: int


@dataclass(frozen=True, slots=True)
class FeeQuote:
    """Prices per gas unit for a transaction sent now."""

    max_fee: int
    priority_fee: int


@dataclass(frozen=True, slots=True)
class AddressState:
    """An address at the head: how many transactions it has mined, and its balances.

    `balances` is keyed by contract address, None being the chain's own coin.
    """

    block_number: int
    nonce: int
    balances: dict[str | None, int]


class Payable(Protocol):
    """What a transaction pays: a withdrawal, or a payment between our own addresses."""

    @property
    def contract(self) -> str | None:
        """Return the token's contract; None: the chain's own coin."""

    @property
    def address(self) -> str:
        """Return who is paid."""

    @property
    def net_amount(self) -> int:
        """Return what arrives, in chain units."""

    @property
    def nonce(self) -> int | None:
        """Return the sender's nonce, once it is given."""


class TransactionTooCheapError(Exception):
    """The node does not take a transaction at its fee, now: a dearer one it would."""


MAX_REPLACEMENTS = 8  # 1.125 to the eighth: two and a half times the first fee


def dearer(old: FeeQuote, now: FeeQuote) -> FeeQuote:
    """Return fees by which nodes take a transaction in place of another with its nonce.

    Each is an eighth above the old one, rounded up, or what the chain asks for now if that is more.
    """
    priority = max(_an_eighth_more(old.priority_fee), now.priority_fee)
    return FeeQuote(max(_an_eighth_more(old.max_fee), now.max_fee, priority), priority)


def replaces(old: FeeQuote, new: FeeQuote) -> bool:
    """Return whether nodes take a transaction of `new` fees in place of one with its nonce.

    Both fees must be at least a tenth above the old ones, and what is paid at most above it.
    """
    pairs = ((old.max_fee, new.max_fee), (old.priority_fee, new.priority_fee))
    return new.max_fee > old.max_fee and all(10 * more >= 11 * less for less, more in pairs)


def _an_eighth_more(fee: int) -> int:
    return -(-fee * 9 // 8)
