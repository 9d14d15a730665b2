"""Statements and past balances, by the time at which the ledger booked.

A moment is turned into the last journal booked before it; all accounts are read at that journal.
So the closing of a period is the opening of the next, to the unit. What lies before the floor of
the ledger is archived and refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.events import EventType
from domain.instrument import Asset
from domain.statement import Statement, StatementLine, make_statement
from infra.postgres import tables
from infra.postgres.reading import reading

_LAST_BEFORE = sa.text(
    "SELECT journal_id FROM journal WHERE created_at < :moment"
    " ORDER BY created_at DESC, journal_id DESC LIMIT 1"
)
_FLOOR = sa.text("SELECT coalesce(max(journal_id), 0) FROM ledger_floor")
_BALANCES = sa.text(
    "SELECT a.code, coalesce(last.balance_after, archived.balance, 0) AS balance"
    " FROM ledger_account a"
    " LEFT JOIN LATERAL (SELECT e.balance_after FROM entry e WHERE e.account_id = a.account_id"
    "   AND e.journal_id <= :last ORDER BY e.journal_id DESC LIMIT 1) last ON true"
    " LEFT JOIN ledger_floor_balance archived ON archived.account_id = a.account_id"
    " WHERE a.customer_id = :customer_id ORDER BY a.code"
)
_EVENTS = sa.text(
    "WITH period AS MATERIALIZED (SELECT shard, min(first) AS first, max(last) AS last"
    "  FROM settlement_range WHERE journal_id > :after AND journal_id <= :last GROUP BY shard)"
    " SELECT e.journal_id, j.created_at, e.sequence, e.index, e.account, e.asset, e.amount,"
    "  t.trade_id, t.taker_side, t.taker_account_id, b.event_type, b.transfer_id,"
    "  o.event_type AS perpetual_type, o.symbol_id AS perpetual_symbol"
    " FROM period p JOIN event_posting e ON e.shard = p.shard"
    "   AND e.sequence BETWEEN p.first AND p.last AND e.customer_id = :customer_id"
    " JOIN journal j ON j.journal_id = e.journal_id"
    " LEFT JOIN trade_event t ON t.shard = e.shard AND t.sequence = e.sequence"
    "   AND t.index = e.index"
    " LEFT JOIN balance_event b ON b.shard = e.shard AND b.sequence = e.sequence"
    "   AND b.index = e.index"
    " LEFT JOIN perpetual_event o ON o.shard = e.shard AND o.sequence = e.sequence"
    "   AND o.index = e.index"
    " ORDER BY e.journal_id, e.sequence, e.index, e.account"
)
_POSTINGS = sa.text(
    "SELECT j.journal_id, j.created_at, 0 AS sequence, 0 AS index, a.code AS account, a.asset,"
    " e.amount, j.kind, j.key"
    " FROM ledger_account a JOIN entry e USING (account_id) JOIN journal j USING (journal_id)"
    " WHERE a.customer_id = :customer_id AND e.journal_id > :after AND e.journal_id <= :last"
    " AND j.first_sequence IS NULL ORDER BY j.journal_id, a.code"
)

_KINDS = {
    EventType.FUNDING_PAID: "funding",
    EventType.TAKEN_OVER: "takeover",
    EventType.DELEVERAGED: "deleveraging",
    EventType.POSITION_SETTLED: "final settlement",
}


class ArchivedError(Exception):
    """The period begins before the floor of the ledger: its rows are in the archive."""


class StatementStore:
    """Reads; each statement is one REPEATABLE READ transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ")

    async def balances_at(self, customer_id: int, moment: dt.datetime) -> dict[str, int]:
        """Return {account code: chain units} as of the last journal booked before `moment`.

        `ArchivedError` when that is archived.
        """
        async with reading(self._engine) as conn:
            return await _balances(conn, customer_id, await _journal_before(conn, moment))

    async def statement(self, customer_id: int, begin: dt.datetime, end: dt.datetime) -> Statement:
        """Return what was booked in [`begin`, `end`); an end in the future may still gain lines.

        `ArchivedError` for a period whose rows are archived; `LedgerInvariantError` when the lines
        do not lead from the opening to the closing balance.
        """
        async with reading(self._engine) as conn:
            after = await _journal_before(conn, begin)
            last = await _journal_before(conn, end)
            names = {"customer_id": customer_id, "after": after, "last": last}
            rows = [
                *(await conn.execute(_EVENTS, names)).all(),
                *(await conn.execute(_POSTINGS, names)).all(),
            ]
            return make_statement(
                customer_id,
                (_text(begin), _text(end)),
                await _assets(conn),
                await _balances(conn, customer_id, after),
                await _balances(conn, customer_id, last),
                _lines(rows, customer_id),
            )


async def _journal_before(conn: AsyncConnection, moment: dt.datetime) -> int:
    found = int(await conn.scalar(_LAST_BEFORE, {"moment": moment}) or 0)
    floor = int(await conn.scalar(_FLOOR) or 0)
    if found < floor:
        raise ArchivedError(f"what was booked before {_text(moment)} is archived")
    return found


async def _balances(conn: AsyncConnection, customer_id: int, last: int) -> dict[str, int]:
    rows = await conn.execute(_BALANCES, {"customer_id": customer_id, "last": last})
    return {row.code: int(row.balance) for row in rows}


async def _assets(conn: AsyncConnection) -> dict[str, Asset]:
    rows = await conn.execute(sa.select(tables.asset))
    return {
        row.code: Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals)
        for row in rows
    }


def _lines(rows: Iterable[Any], customer_id: int) -> list[StatementLine]:
    ordered = sorted(rows, key=lambda row: (row.journal_id, row.sequence, row.index, row.account))
    return [
        StatementLine(
            _text(row.created_at), row.account, row.asset, *_what(row, customer_id), int(row.amount)
        )
        for row in ordered
    ]


def _what(row: Any, customer_id: int) -> tuple[str, str]:
    """Return (kind, reference) of a line."""
    if "kind" in row._fields:
        return row.kind, row.key
    if row.trade_id is not None:
        taker_buys = row.taker_side == 0
        buys = taker_buys == (row.taker_account_id == customer_id)
        return ("buy" if buys else "sell"), f"trade {row.trade_id}"
    if row.perpetual_type is not None:
        return _KINDS[row.perpetual_type], f"market {row.perpetual_symbol}, command {row.sequence}"
    return "transfer", f"transfer {row.transfer_id}"


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat()
