"""Posting for wallet rows: a ledger that refuses stops the transaction."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.account import AccountKind, parse_account
from domain.ledger import JournalRequest, MainShortError
from infra.postgres.ledger_store import AlreadyPosted, InsufficientFunds, LedgerStore, Posted


class LedgerRefusedError(Exception):
    """The ledger would break one of its rules; the business row must not move on either."""


async def post_or_raise(
    ledger: LedgerStore, connection: AsyncConnection, request: JournalRequest
) -> None:
    """Post `request` in the caller's transaction, or raise so that it is rolled back.

    `MainShortError` where a main account is short, `LedgerRefusedError` for anything else.
    """
    result = await ledger.post(connection, request)
    short = isinstance(result, InsufficientFunds) and parse_account(result.account)
    if short and short.kind is AccountKind.MAIN:
        raise MainShortError(f"{request.key}: {result}")
    if not isinstance(result, Posted | AlreadyPosted):
        raise LedgerRefusedError(f"{request.key}: {result}")
