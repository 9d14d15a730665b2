"""How the demo asks for a withdrawal, as a customer's program would."""

from __future__ import annotations

from api.client import withdrawals
from api.client.account import ApiAccount
from api.client.http import AsyncClient
from api.schemas.accounts import WithdrawalIn
from api.schemas.withdrawal_addresses import WithdrawalAddressIn


async def list_address(
    client: AsyncClient, account: ApiAccount, address: str, beneficiary: str = ""
) -> None:
    """List where the account may withdraw to; again changes nothing. It begins to cool off.

    Without a `beneficiary` the address is the account's own.
    """
    listing = WithdrawalAddressIn(address=address, beneficiary=beneficiary or account.name)
    await client.send(withdrawals.add_address(listing), account)


async def withdraw(
    client: AsyncClient,
    account: ApiAccount,
    code: str,
    amount: str,
    address: str,
    *,
    key: str,
    beneficiary: str = "",
) -> str:
    """List the address and ask for a withdrawal, once per `key`; return its id.

    While the address cools off it is asked again: a demo's addresses cool off in no time.
    """
    await list_address(client, account, address, beneficiary)
    wanted = WithdrawalIn(asset=code, amount=amount, address=address)
    call = withdrawals.request(wanted, key=key).waiting_for("address_cooling_off")
    return (await client.send(call, account)).withdrawal_id
