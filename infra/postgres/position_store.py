"""The positions of perpetuals as rows: a projection of the events, written with their postings."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.position import Position
from infra.postgres import tables
from infra.postgres.perpetual_rows import PositionRow

_STORE = sa.text(
    "INSERT INTO position AS p"
    " (shard, account_id, symbol_id, lots, cost_units, sequence, realised_units)"
    " SELECT CAST(:shard AS smallint), * FROM unnest(CAST(:accounts AS bigint[]),"
    " CAST(:symbols AS integer[]), CAST(:lots AS bigint[]), CAST(:costs AS bigint[]),"
    " CAST(:sequences AS bigint[]), CAST(:realised AS bigint[]))"
    " ON CONFLICT (shard, account_id, symbol_id) DO UPDATE SET lots = excluded.lots,"
    " cost_units = excluded.cost_units, sequence = excluded.sequence,"
    " realised_units = p.realised_units + excluded.realised_units"
)


async def store_positions(
    conn: AsyncConnection, shard: int, positions: Sequence[PositionRow]
) -> None:
    """Write what a batch left of positions, in the transaction that posts it.

    A closed position stays as a row without lots.
    """
    if not positions:
        return
    await conn.execute(
        _STORE,
        {
            "shard": shard,
            "accounts": [one.account_id for one in positions],
            "symbols": [one.symbol_id for one in positions],
            "lots": [one.lots for one in positions],
            "costs": [one.cost_units for one in positions],
            "sequences": [one.sequence for one in positions],
            "realised": [one.realised_units for one in positions],
        },
    )


async def positions_of(conn: AsyncConnection, shard: int) -> dict[tuple[int, int], Position]:
    """Return {(account id, symbol id): position} of a shard, open ones only."""
    row = tables.position.c
    found = await conn.execute(
        sa.select(row.account_id, row.symbol_id, row.lots, row.cost_units).where(
            row.shard == shard, row.lots != 0
        )
    )
    return {(one.account_id, one.symbol_id): Position(one.lots, one.cost_units) for one in found}
