"""Transfers for tests: the business row and its posting, as the wallet writes them."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import ledger
from domain.ledger import JournalRequest, Posting
from domain.transfer import FROM_TRADING, TO_TRADING, NewTransfer
from infra.postgres import tables
from infra.postgres.ledger_store import LedgerStore, Posted

ASSET_IDS = {"USDT": 1, "ETH": 2}


async def deposit(conn: AsyncConnection, key: str, customer: int, asset: str, amount: int) -> None:
    """Post a deposit to the customer's main account."""
    posting = Posting(
        ledger.wallet_deposit("ETH", asset), ledger.main(customer, asset), asset, amount
    )
    result = await LedgerStore().post(conn, JournalRequest("wallet", key, "deposit", (posting,)))
    assert isinstance(result, Posted)


async def to_trading(
    conn: AsyncConnection, number: int, customer: int, asset: str, amount: int
) -> None:
    """Open transfer `number`: its row, and main -> transit."""
    await _insert(conn, number, customer, asset, amount, TO_TRADING)
    posting = Posting(ledger.main(customer, asset), ledger.transit(0, asset), asset, amount)
    key = ledger.transfer_key(UUID(int=number))
    result = await LedgerStore().post(conn, JournalRequest("wallet", key, "transfer", (posting,)))
    assert isinstance(result, Posted)


async def from_trading(
    conn: AsyncConnection, number: int, customer: int, asset: str, amount: int
) -> None:
    """Open transfer `number` out of trading: its row only."""
    await _insert(conn, number, customer, asset, amount, FROM_TRADING)


async def _insert(
    conn: AsyncConnection, number: int, customer: int, asset: str, amount: int, direction: str
) -> None:
    transfer = NewTransfer(
        UUID(int=number), customer, ASSET_IDS[asset], 0, direction, amount, f"test-{number}"
    )
    await conn.execute(sa.insert(tables.transfer).values(**transfer.row()))
