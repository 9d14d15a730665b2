"""Posting for wallet rows: a ledger that refuses stops the transaction."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ledger import JournalRequest
from infra.postgres.ledger_store import AlreadyPosted, LedgerStore, Posted


class LedgerRefusedError(Exception):
    """The ledger would break one of its rules; the business row must not move on either."""


async def post_or_raise(
    ledger: LedgerStore, connection: AsyncConnection, request: JournalRequest
) -> None:
    """Post `request` in the caller's transaction, or raise so that it is rolled back."""
    result = await ledger.post(connection, request)
    if not isinstance(result, Posted | AlreadyPosted):
        raise LedgerRefusedError(f"{request.key}: {result}")
