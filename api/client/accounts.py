"""Calls for an account's money: balances, fees, deposits, transfers between shards."""

from __future__ import annotations

from api.client.call import Call, fresh_id, get, part, send
from api.schemas.accounts import BalancesOut, DepositAddressesOut, DepositPage
from api.schemas.fees import FeesOut
from api.schemas.statements import StatementOut
from api.schemas.transfers import TransferIn, TransferOut


def balances() -> Call[BalancesOut]:
    """Ask for all balances."""
    return get(BalancesOut, "/v1/balances")


def fees() -> Call[FeesOut]:
    """Ask for volume, tier and rates."""
    return get(FeesOut, "/v1/fees")


def statement(from_us: int | None = None, to_us: int | None = None) -> Call[StatementOut]:
    """Ask for every change of the account's money in a period."""
    return get(StatementOut, "/v1/statements", from_us=from_us, to_us=to_us)


def deposit_addresses() -> Call[DepositAddressesOut]:
    """Ask where to send each asset."""
    return get(DepositAddressesOut, "/v1/deposit-addresses")


def deposits(limit: int | None = None) -> Call[DepositPage]:
    """List deposits, newest first."""
    return get(DepositPage, "/v1/deposits", limit=limit)


def transfer(move: TransferIn, *, key: str = "") -> Call[TransferOut]:
    """Move money between shards and main, once per `key`."""
    return send("POST", TransferOut, "/v1/transfers", move, key or fresh_id())


def one_transfer(transfer_id: str) -> Call[TransferOut]:
    """Look at a transfer."""
    return get(TransferOut, f"/v1/transfers/{part(transfer_id)}")
