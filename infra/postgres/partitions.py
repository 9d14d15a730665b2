"""The partitions of the append-only tables: made ahead by whoever writes.

Partition `n` of a table holds the numbers from `n * width` up to, not with, `(n + 1) * width`, and
is called `partition.{table}_{n}`; detached ones are `archive.{table}_{n}`.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

EVENT_WIDTH = 4_000_000  # commands; some 300 MB of a busy shard's trades
ENTRY_WIDTH = 1_000_000  # journals
EVENT_TABLES = ("trade_event", "balance_event", "perpetual_event")
WIDTHS = {**dict.fromkeys(EVENT_TABLES, EVENT_WIDTH), "entry": ENTRY_WIDTH}
AHEAD = 2
_LOOKS_PER_PARTITION = 16

_MAKE = sa.text(
    "SELECT make_partitions(:parent, CAST(:width AS bigint), CAST(:value AS bigint), :ahead)"
)


async def ensure_partitions(conn: AsyncConnection, table: str, value: int) -> int:
    """Make `value`'s partition of `table` and the two after it; return how many were missing."""
    made = await conn.scalar(
        _MAKE, {"parent": table, "width": WIDTHS[table], "value": value, "ahead": AHEAD}
    )
    return int(made or 0)


async def ensure_in_passing(conn: AsyncConnection, table: str, first: int, last: int) -> None:
    """Look ahead when the numbers `first`..`last` pass one of sixteen marks in a partition."""
    every = WIDTHS[table] // _LOOKS_PER_PARTITION
    if (first - 1) // every != last // every:
        await ensure_partitions(conn, table, last)
