"""Order history: rows that follow the events, with a cursor of their own."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.events import ShardModeSet, SymbolStateSet
from domain.hash_chain import JsonValue
from domain.ledger import SequenceGapError
from domain.order import ShardMode, SymbolState
from domain.order_history import OrderChange
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.market_rows import MARKET_EVENTS, MarketEvent, follow

_CURSOR = sa.text("SELECT last_sequence FROM cursor WHERE stream = :stream FOR UPDATE")
_CREATE_CURSOR = sa.text(
    "INSERT INTO cursor (stream, last_sequence) VALUES (:stream, 0) ON CONFLICT DO NOTHING"
)
_MOVE_CURSOR = sa.text(
    "UPDATE cursor SET last_sequence = :sequence, updated_at = now() WHERE stream = :stream"
)
_UPDATE = sa.text(  # as `OrderChange.record` does it
    "UPDATE order_history h SET price_ticks = coalesce(c.price, h.price_ticks),"
    " trigger_price_ticks = coalesce(c.trigger, h.trigger_price_ticks),"
    " is_waiting = h.is_waiting AND NOT c.acts, is_pending = h.is_pending AND NOT c.stands,"
    " quantity_lots = h.quantity_lots + c.quantity, filled_lots = h.filled_lots + c.lots,"
    " filled_quote_units = h.filled_quote_units + c.quote, fee_units = h.fee_units + c.fee,"
    " status = c.status, close_reason = c.reason, refusal = c.refusal,"
    " updated_sequence = c.sequence, updated_at_us = c.time_us"
    " FROM unnest(CAST(:ids AS bigint[]), CAST(:prices AS bigint[]),"
    " CAST(:triggers AS bigint[]), CAST(:acts AS boolean[]), CAST(:stands AS boolean[]),"
    " CAST(:quantities AS bigint[]), CAST(:lots AS bigint[]), CAST(:quotes AS bigint[]),"
    " CAST(:fees AS bigint[]), CAST(:statuses AS smallint[]), CAST(:reasons AS smallint[]),"
    " CAST(:refusals AS smallint[]), CAST(:sequences AS bigint[]), CAST(:times AS bigint[]))"
    " AS c(order_id, price, trigger, acts, stands, quantity, lots, quote, fee, status, reason,"
    " refusal, sequence, time_us)"
    " WHERE h.shard = :shard AND h.order_id = c.order_id"
)
_COLUMNS = tuple(column.name for column in tables.order_history.columns)


def order_history_stream(shard: int) -> str:
    """Return the name of the cursor."""
    return f"order-history.{shard}"


class OrderHistoryStore:
    """Write the changes of whole commands, each once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def cursor(self, shard: int) -> int:
        """Return the last command whose orders are stored; 0 = none."""
        row = tables.cursor.c
        async with self._engine.connect() as conn:
            found = await conn.scalar(
                sa.select(row.last_sequence).where(row.stream == order_history_stream(shard))
            )
        return int(found or 0)

    async def apply(
        self,
        shard: int,
        first: int,
        last: int,
        changes: Sequence[OrderChange],
        administration: Sequence[ShardModeSet | SymbolStateSet | MarketEvent] = (),
    ) -> int:
        """Store commands `first`..`last` and return the cursor; a repeat changes nothing.

        Each event of `administration` becomes a record of the audit log, and what it says of a
        market or a tier is written into the rows, in the same transaction.
        """
        stream = order_history_stream(shard)
        async with self._engine.begin() as conn:
            await conn.execute(_CREATE_CURSOR, {"stream": stream})
            cursor = int(await conn.scalar(_CURSOR, {"stream": stream}) or 0)
            if cursor >= first:
                return cursor
            if cursor != first - 1:
                raise SequenceGapError(f"{stream} has {cursor}, the next events begin at {first}")
            await self._insert(conn, shard, [c for c in changes if c.accepted is not None])
            await self._update(conn, shard, [c for c in changes if c.accepted is None])
            for event in administration:
                if isinstance(event, MARKET_EVENTS):
                    await follow(conn, shard, event)
                else:
                    await self._audit_state(conn, shard, event)
            await conn.execute(_MOVE_CURSOR, {"stream": stream, "sequence": last})
        return last

    async def _audit_state(
        self, conn: AsyncConnection, shard: int, event: ShardModeSet | SymbolStateSet
    ) -> None:
        state: SymbolState | ShardMode
        if isinstance(event, SymbolStateSet):
            subject, state = f"market-{event.symbol_id}", event.state
        else:
            subject, state = f"shard-{shard}", event.mode
        detail: dict[str, JsonValue] = {
            "shard": shard,
            "sequence": event.sequence,
            "engine_time_us": event.time_us,
            "cause": event.cause.name.lower(),
            "reason": event.reason,
        }
        key = f"shard-{shard}:state-{event.sequence}"
        await AuditStore().append(conn, subject, event.actor, state.name.lower(), key, detail)

    async def _insert(
        self, conn: AsyncConnection, shard: int, changes: Sequence[OrderChange]
    ) -> None:
        if not changes:
            return
        driver = (await conn.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.copy_records_to_table(
            tables.order_history.name,
            records=[_row(shard, change) for change in changes],
            columns=_COLUMNS,
        )

    async def _update(
        self, conn: AsyncConnection, shard: int, changes: Sequence[OrderChange]
    ) -> None:
        if not changes:
            return
        changed = await conn.execute(
            _UPDATE,
            {
                "shard": shard,
                "ids": [change.order_id for change in changes],
                "prices": [change.price_ticks for change in changes],
                "triggers": [change.trigger_price_ticks for change in changes],
                "acts": [change.acts for change in changes],
                "stands": [change.stands for change in changes],
                "quantities": [change.quantity_lots for change in changes],
                "lots": [change.filled_lots for change in changes],
                "quotes": [change.filled_quote_units for change in changes],
                "fees": [change.fee_units for change in changes],
                "statuses": [int(change.status) for change in changes],
                "reasons": [_number(change.close_reason) for change in changes],
                "refusals": [_number(change.refusal) for change in changes],
                "sequences": [change.updated_sequence for change in changes],
                "times": [change.updated_at_us for change in changes],
            },
        )
        assert changed.rowcount == len(changes), "events change an order that was never accepted"


def _number(reason: IntEnum | None) -> int | None:
    return None if reason is None else int(reason)


def _row(shard: int, change: OrderChange) -> tuple[object, ...]:
    """Return the values in the order of the table's columns."""
    order = change.record()
    values: dict[str, object] = {
        "shard": shard,
        "order_id": order.order_id,
        "account_id": order.account_id,
        "symbol_id": order.symbol_id,
        "client_order_id": order.client_order_id,
        "client_key": UUID(int=order.client_key),
        "side": int(order.side),
        "order_type": int(order.order_type),
        "time_in_force": int(order.time_in_force),
        "post_only": order.post_only,
        "self_trade": int(order.self_trade),
        "price_ticks": order.price_ticks,
        "quantity_lots": order.quantity_lots,
        **order.terms.by_name(),
        "trigger_source": int(order.trigger_source),
        "reduce_only": order.reduce_only,
        "close_position": order.close_position,
        "is_waiting": order.is_waiting,
        "is_pending": order.is_pending,
        "filled_lots": order.filled_lots,
        "filled_quote_units": order.filled_quote_units,
        "fee_units": order.fee_units,
        "status": int(order.status),
        "close_reason": _number(order.close_reason),
        "refusal": _number(order.refusal),
        "accepted_sequence": order.accepted_sequence,
        "accepted_at_us": order.accepted_at_us,
        "updated_sequence": change.updated_sequence,
        "updated_at_us": change.updated_at_us,
    }
    return tuple(values[name] for name in _COLUMNS)
