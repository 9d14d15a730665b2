"""Calls for withdrawals, and for the addresses that they may go to."""

from __future__ import annotations

from api.client.call import Call, delete, fresh_id, get, part, send
from api.schemas.accounts import WithdrawalIn, WithdrawalOut, WithdrawalPage
from api.schemas.withdrawal_addresses import (
    WithdrawalAddressIn,
    WithdrawalAddressList,
    WithdrawalAddressOut,
    WithdrawalLimits,
)


def request(withdrawal: WithdrawalIn, *, key: str = "") -> Call[WithdrawalOut]:
    """Ask for a withdrawal, once per `key`."""
    return send("POST", WithdrawalOut, "/v1/withdrawals", withdrawal, key or fresh_id())


def listed(limit: int | None = None) -> Call[WithdrawalPage]:
    """List withdrawals, newest first."""
    return get(WithdrawalPage, "/v1/withdrawals", limit=limit)


def one(withdrawal_id: str) -> Call[WithdrawalOut]:
    """Look at a withdrawal."""
    return get(WithdrawalOut, f"/v1/withdrawals/{part(withdrawal_id)}")


def cancel(withdrawal_id: str) -> Call[WithdrawalOut]:
    """Cancel a withdrawal, as long as it has not come to signing."""
    return delete(WithdrawalOut, f"/v1/withdrawals/{part(withdrawal_id)}")


def addresses() -> Call[WithdrawalAddressList]:
    """List the addresses that may be paid."""
    return get(WithdrawalAddressList, "/v1/withdrawal-addresses")


def add_address(address: WithdrawalAddressIn) -> Call[WithdrawalAddressOut]:
    """List an address; it may be paid when it has cooled off."""
    return send("POST", WithdrawalAddressOut, "/v1/withdrawal-addresses", address)


def remove_address(address: str, network: str = "") -> Call[WithdrawalAddressOut]:
    """Take an address off the list."""
    path = f"/v1/withdrawal-addresses/{part(address)}"
    return delete(WithdrawalAddressOut, path, network=network)


def limits() -> Call[WithdrawalLimits]:
    """Ask how much may be withdrawn."""
    return get(WithdrawalLimits, "/v1/withdrawal-limits")
