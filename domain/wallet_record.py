"""Deposits and withdrawals as their owner sees them; money in chain units."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from domain.withdrawal_limits import Allowance

RowPlace = tuple[int, str]
"""Where a row is among others: (creation time in microseconds, id); an empty id is before all."""


@dataclass(frozen=True, slots=True)
class DepositRecord:
    """One deposit."""

    deposit_id: str
    asset_id: int
    amount: int
    state: str
    confirmations: int
    tx_hash: str
    address: str
    reason: str | None
    created_at_us: int

    @property
    def place(self) -> RowPlace:
        """Return where it is among others, newest first."""
        return self.created_at_us, self.deposit_id


@dataclass(frozen=True, slots=True)
class WithdrawalRecord:
    """One withdrawal; `amount` leaves the balance, `fee` is the part that the exchange keeps."""

    withdrawal_id: UUID
    idempotency_key: str
    asset_id: int
    amount: int
    fee: int
    address: str
    state: str
    stage: str
    reason: str | None
    tx_hash: str | None
    created_at_us: int
    cancel_requested: bool = False
    paused: bool = False  # payments are, and this one is not signed yet

    @property
    def place(self) -> RowPlace:
        """Return where it is among others, newest first."""
        return self.created_at_us, str(self.withdrawal_id)


@dataclass(frozen=True, slots=True)
class WithdrawalFilter:
    """Which withdrawals staff look for; None is any."""

    customer_id: int | None = None
    state: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class FiledWithdrawal:
    """A withdrawal of any customer as staff see it in a list; the amount in whole coins."""

    withdrawal_id: UUID
    customer_id: int
    asset: str
    amount_text: str
    address: str
    state: str
    stage: str
    created_at_us: int

    @property
    def place(self) -> RowPlace:
        """Return where it is among others, newest first."""
        return self.created_at_us, str(self.withdrawal_id)


@dataclass(frozen=True, slots=True)
class NewWithdrawal:
    """A checked request for a withdrawal, ready to be written.

    `free` is what the engine has said is free; None leaves that question to the engine's debit.
    """

    customer_id: int
    idempotency_key: str
    asset_id: int
    shard: int
    amount: int
    fee: int
    address: str
    request_id: str
    free: int | None = None


@dataclass(frozen=True, slots=True)
class Unfunded:
    """The request exceeds what is free, so nothing was written.

    `awaiting` is what earlier requests will still take that the engine has not debited yet.
    """

    awaiting: int


@dataclass(frozen=True, slots=True)
class Barred:
    """Allow-list or limits refuse the request, so nothing was written; `rule` is the first."""

    rule: str
    allowance: Allowance
