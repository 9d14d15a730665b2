"""Balances, deposits and withdrawals."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from api.schemas.common import DecimalText, Input, Output


class ShardBalanceOut(Output):
    """The part of an asset that is on one shard, where only that shard's markets can use it."""

    shard: int
    available: str
    withdrawable: str
    in_orders: str
    margin: str
    isolated_margin: str
    unrealised_profit: str
    sequence: int = Field(
        description="The event sequence at which this is true; the margin is a moment younger."
    )


class BalanceOut(Output):
    """One asset; `total` = `available` + `in_orders` + `main` + `withdrawing`.

    Of what backs perpetuals, margin counts too: there `available` = `total` - `main` -
    `withdrawing` - `isolated_margin` + `unrealised_profit` - `margin` - `in_orders`, on each shard
    at least 0, and 0 while it is liquidated. Nothing is rounded.
    """

    asset: str
    total: str = Field(
        description="All that is yours, wherever it is; profit that is not realised is not."
    )
    available: str = Field(
        description="Free for new orders. Of what backs perpetuals it is for orders on these; a "
        "spot order takes at most `withdrawable`."
    )
    withdrawable: str = Field(
        description="What a withdrawal or a transfer may take from the shards now."
    )
    in_orders: str = Field(description="Held by your open spot orders.")
    margin: str = Field(
        description="What cross positions and open orders on perpetuals need of your equity."
    )
    isolated_margin: str = Field(description="Cash that isolated positions have of their own.")
    unrealised_profit: str = Field(description="Of cross positions, at their marks; < 0: a loss.")
    main: str = Field(description="What rests outside the engine.")
    withdrawing: str = Field(description="Taken by withdrawals that are not paid yet; fees too.")
    sequence: int = Field(description="The event sequence at which shard 0's part is true.")
    shards: tuple[ShardBalanceOut, ...] = Field(description="The trading part, shard by shard.")


class BalancesOut(Output):
    """All assets that the account has or may have."""

    balances: list[BalanceOut]


class ConfirmationTierOut(Output):
    """How many confirmations a deposit of more than `above` waits for."""

    name: str
    above: str
    confirmations: int


class DepositAddressOut(Output):
    """Where to send an asset. What is below `minimum` waits until all together reach it.

    `confirmations` are those of the smallest tier.
    """

    asset: str
    chain: str
    address: str
    contract: str | None
    confirmations: int
    tiers: list[ConfirmationTierOut]
    minimum: str


class DepositAddressesOut(Output):
    """Your own deposit addresses, one line per asset."""

    deposit_addresses: list[DepositAddressOut]


class DepositOut(Output):
    """A deposit; it is booked when `confirmations` reach those that its tier requires."""

    deposit_id: str
    asset: str
    amount: str
    state: str
    confirmations: int
    required_confirmations: int
    tier: str
    tx_hash: str
    address: str
    reason: str | None
    time_us: int


class DepositPage(Output):
    """Deposits, newest first; `next` continues."""

    deposits: list[DepositOut]
    next: str | None = None


class WithdrawalIn(Input):
    """A withdrawal. `amount` leaves your balance; the fee is part of it."""

    asset: Annotated[str, StringConstraints(min_length=1, max_length=16)] = Field(examples=["USDT"])
    amount: DecimalText
    address: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        examples=["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"]
    )


class WithdrawalOut(Output):
    """A withdrawal and where it stands."""

    withdrawal_id: str
    asset: str
    amount: str
    fee: str
    receives: str
    address: str
    state: str
    stage: str
    reason: str | None
    tx_hash: str | None
    cancel_requested: bool = Field(description="You have cancelled it: it will not be paid.")
    notice: str | None = Field(default=None, description="What holds it up, if all payments wait.")
    time_us: int


class WithdrawalPage(Output):
    """Withdrawals, newest first; `next` continues."""

    withdrawals: list[WithdrawalOut]
    next: str | None = None
