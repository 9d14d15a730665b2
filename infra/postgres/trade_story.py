"""Where a trade's or an order's money went: event row, batch, journal and entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain import ledger
from domain.checker_records import JournalRecord
from infra.postgres import tables
from infra.postgres.journal_reader import JournalReader

_TRADE = sa.text(
    "SELECT t.*, i.symbol FROM trade_event t JOIN instrument i USING (symbol_id)"
    " WHERE t.trade_id = :trade_id"
)
_TRADES_OF = sa.text(
    "SELECT trade_id FROM trade_event WHERE shard = :shard AND sequence >= :since"
    " AND time_us >= :since_us AND ((maker_account_id = :account_id AND maker_order_id = :order_id)"
    " OR (taker_account_id = :account_id AND taker_order_id = :order_id))"
    " ORDER BY sequence, index"
)
_POSTINGS = sa.text(
    "SELECT account, asset, amount FROM event_posting"
    " WHERE shard = :shard AND sequence = :sequence AND index = :index ORDER BY account"
)


@dataclass(frozen=True, slots=True)
class TradeStory:
    """One trade: its event row, what it moved, and the journal that booked it.

    `fault` says why the journal is not the one that was written; "" when it is.
    """

    row: dict[str, Any]
    postings: list[tuple[str, str, int]]  # account, asset, chain units
    journal: JournalRecord
    fault: str


class TradeStories:
    """Reads; each story is one REPEATABLE READ transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ")

    async def trade(self, trade_id: int) -> TradeStory | None:
        """Return a trade's story; None when it is not in the books, or archived."""
        async with self._engine.connect() as conn:
            return await _story(conn, trade_id)

    async def order(self, order_id: int) -> tuple[dict[str, Any] | None, list[TradeStory]]:
        """Return an order's row, None where there is none, and the stories of its trades."""
        history = tables.order_history
        async with self._engine.connect() as conn:
            found = await conn.execute(
                sa.select(history).where(
                    history.c.shard == order_id >> 48, history.c.order_id == order_id
                )
            )
            row = found.mappings().one_or_none()
            if row is None:
                return None, []
            names = {
                "shard": row["shard"],
                "since": row["accepted_sequence"],
                "since_us": row["accepted_at_us"],
                "account_id": row["account_id"],
                "order_id": order_id,
            }
            ids = (await conn.execute(_TRADES_OF, names)).scalars().all()
            stories = [await _story(conn, trade_id) for trade_id in ids]
        return dict(row), [story for story in stories if story is not None]


async def _story(conn: AsyncConnection, trade_id: int) -> TradeStory | None:
    row = (await conn.execute(_TRADE, {"trade_id": trade_id})).mappings().one_or_none()
    if row is None:
        return None
    place = {name: row[name] for name in ("shard", "sequence", "index")}
    postings = [
        (found.account, found.asset, int(found.amount))
        for found in await conn.execute(_POSTINGS, place)
    ]
    journal = await JournalReader(conn).journal(row["journal_id"])
    return TradeStory(dict(row), postings, journal, _fault(journal))


def _fault(record: JournalRecord) -> str:
    """Return why the journal is not what was written: its rows, or its own content; "" if it is."""
    if record.rows is None or record.rows.request_hash != record.request_hash:
        return "its event rows were changed afterwards"
    content = ledger.JournalContent(
        stream=record.stream,
        position=record.position,
        key=record.key,
        kind=record.kind,
        request_hash=record.request_hash,
        first_sequence=record.first_sequence,
        last_sequence=record.last_sequence,
        detail=record.detail,
    )
    entries = [(entry.account, entry.amount, entry.balance_after) for entry in record.entries]
    if record.hash != ledger.journal_hash(record.previous_hash, content, entries):
        return "its content or its entries were changed afterwards"
    return ""
