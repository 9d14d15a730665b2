"""Retention: old partitions leave the tables, and what was true at their end stays.

Only what a clean reconciliation has compared may leave. The floor of the ledger moves up in the
same transaction: the hash each chain had there, and the balance of each account. Full checks,
statements and past balances begin at the floor. Nothing is dropped: a detached partition is an
ordinary table in the schema `archive`, to be exported.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from infra.postgres.partitions import EVENT_TABLES, WIDTHS, ensure_partitions

_PARTITIONS = sa.text(
    "SELECT n.nspname AS place, substring(c.relname FROM '^(.*)_[0-9]+$') AS parent,"
    " CAST(substring(c.relname FROM '[0-9]+$') AS bigint) AS number,"
    " pg_total_relation_size(c.oid) AS bytes, greatest(c.reltuples, 0)::bigint AS rows"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname IN ('partition', 'archive') AND c.relkind = 'r' ORDER BY 2, 3"
)
_SETTLED_UP_TO = sa.text("SELECT max(last_sequence) FROM cursor WHERE stream ~ '^settlement'")
_NEWEST = {
    **dict.fromkeys(EVENT_TABLES, _SETTLED_UP_TO),
    "entry": sa.text("SELECT max(journal_id) FROM journal"),
}
_OLD = sa.text(
    "SELECT journal_id FROM journal WHERE created_at < :before"
    " ORDER BY created_at DESC, journal_id DESC LIMIT 1"
)
_UNCHECKED = sa.text(
    "SELECT min(j.journal_id) FROM journal j LEFT JOIN unnest(CAST(:streams AS text[]),"
    " CAST(:positions AS bigint[])) AS checked(stream, position) USING (stream)"
    " WHERE j.position > coalesce(checked.position, 0)"
)
_FLOOR = sa.text(
    "INSERT INTO ledger_floor (stream, position, journal_id, hash, last_sequence, last_trade_id)"
    " SELECT DISTINCT ON (j.stream) j.stream, j.position, j.journal_id, j.hash, j.last_sequence,"
    "  (SELECT t.trade_id FROM trade_event t WHERE j.last_sequence IS NOT NULL"
    "    AND t.shard = CAST(split_part(j.stream, '.', 2) AS smallint)"
    "    AND t.sequence <= j.last_sequence ORDER BY t.sequence DESC, t.index DESC LIMIT 1)"
    " FROM journal j WHERE j.journal_id <= :last ORDER BY j.stream, j.position DESC"
    " ON CONFLICT (stream) DO UPDATE SET position = excluded.position,"
    "  journal_id = excluded.journal_id, hash = excluded.hash,"
    "  last_sequence = excluded.last_sequence,"
    "  last_trade_id = coalesce(excluded.last_trade_id, ledger_floor.last_trade_id),"
    "  moved_at = now()"
)
_FLOOR_BALANCES = sa.text(
    "INSERT INTO ledger_floor_balance (account_id, journal_id, balance)"
    " SELECT DISTINCT ON (account_id) account_id, journal_id, balance_after FROM entry"
    " WHERE journal_id <= :last ORDER BY account_id, journal_id DESC"
    " ON CONFLICT (account_id) DO UPDATE SET journal_id = excluded.journal_id,"
    "  balance = excluded.balance"
)
_SETTLED = sa.text("SELECT min(last_sequence) FROM ledger_floor WHERE stream ~ '^settlement'")
_SHARDS = sa.text(
    "SELECT count(*) FROM cursor c WHERE stream ~ '^settlement'"
    " AND NOT EXISTS (SELECT FROM ledger_floor f WHERE f.stream = c.stream)"
)
_DETACH = sa.text("SELECT detach_partition(:parent, :number)")


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition; `first` and `last` are the numbers it may hold, `rows` an estimate."""

    table: str
    number: int
    first: int
    last: int
    attached: bool
    bytes: int
    rows: int

    @property
    def name(self) -> str:
        """Return its name in the database."""
        return f"{'partition' if self.attached else 'archive'}.{self.table}_{self.number}"


class LedgerRetention:
    """Keeps partitions ahead of the writers, and takes old ones out."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def partitions(self) -> list[Partition]:
        """Return all partitions, archived ones too."""
        async with self._engine.connect() as conn:
            return await _partitions(conn)

    async def ensure_ahead(self) -> int:
        """Make what the writers will need next; return how many partitions were missing."""
        made = 0
        async with self._engine.begin() as conn:
            for table, query in _NEWEST.items():
                made += await ensure_partitions(conn, table, int(await conn.scalar(query) or 0))
        return made

    async def detach(self, before: dt.datetime, checked: Mapping[str, int]) -> list[str]:
        """Take out the partitions that hold only journals of before `before`; return their names.

        `checked` is {stream: position up to which a clean reconciliation has read}: what it has
        not read stays. All or nothing; where writers are in the way for two seconds, the database
        raises, and a later call tries again.
        """
        async with self._engine.begin() as conn:
            await conn.execute(sa.text("SET LOCAL lock_timeout = '2s'"))
            last = await _last_archivable(conn, before, checked)
            attached = [found for found in await _partitions(conn) if found.attached]
            old = [p for p in attached if p.table == "entry" and p.last <= last]
            if not old:
                return []
            floor = max(partition.last for partition in old)
            await conn.execute(_FLOOR, {"last": floor})
            await conn.execute(_FLOOR_BALANCES, {"last": floor})
            if not await conn.scalar(_SHARDS):  # each shard has a floor: the lowest one counts
                settled = int(await conn.scalar(_SETTLED) or 0)
                old += [p for p in attached if p.table != "entry" and p.last <= settled]
            for partition in old:
                await conn.execute(_DETACH, {"parent": partition.table, "number": partition.number})
        return [partition.name for partition in old]


async def _last_archivable(
    conn: AsyncConnection, before: dt.datetime, checked: Mapping[str, int]
) -> int:
    """Return the last journal that is old enough and checked, and all before it are."""
    old = int(await conn.scalar(_OLD, {"before": before}) or 0)
    unchecked = await conn.scalar(
        _UNCHECKED, {"streams": list(checked), "positions": list(checked.values())}
    )
    return old if unchecked is None else min(old, int(unchecked) - 1)


async def _partitions(conn: AsyncConnection) -> list[Partition]:
    rows = await conn.execute(_PARTITIONS)
    return [
        Partition(
            table=row.parent,
            number=row.number,
            first=row.number * WIDTHS[row.parent],
            last=(row.number + 1) * WIDTHS[row.parent] - 1,
            attached=row.place == "partition",
            bytes=row.bytes,
            rows=row.rows,
        )
        for row in rows
    ]
