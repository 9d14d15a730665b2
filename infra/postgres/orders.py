"""Order history and fills, always read for one customer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import RejectReason
from domain.order import (
    CloseReason,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerSource,
)
from domain.order_record import FillRecord, OrderRecord, OrderTerms
from infra.postgres import tables
from infra.postgres.reading import reading

_HISTORY = tables.order_history
_TRADES = tables.trade_event


class OrderReadStore:
    """Queries of one customer's orders and fills; the customer is part of every condition."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def orders(
        self, customer_id: int, symbol_id: int, before: tuple[int, ...] | None, limit: int
    ) -> list[OrderRecord]:
        """Return orders of all shards, newest first, before (accepted at, order id)."""
        query = sa.select(_HISTORY).where(_HISTORY.c.account_id == customer_id)
        if symbol_id:
            query = query.where(_HISTORY.c.symbol_id == symbol_id)
        if before is not None:
            query = query.where(sa.tuple_(_HISTORY.c.accepted_at_us, _HISTORY.c.order_id) < before)
        newest = (_HISTORY.c.accepted_at_us.desc(), _HISTORY.c.order_id.desc())
        query = query.order_by(*newest).limit(limit)
        async with reading(self._engine) as connection:
            return [_order(row) for row in (await connection.execute(query)).all()]

    async def order(self, customer_id: int, order_id: int) -> OrderRecord | None:
        """Return one order of the customer."""
        query = sa.select(_HISTORY).where(
            _HISTORY.c.shard == order_id >> 48,
            _HISTORY.c.order_id == order_id,
            _HISTORY.c.account_id == customer_id,
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _order(row) if row is not None else None

    async def order_by_client_key(self, customer_id: int, client_key: int) -> OrderRecord | None:
        """Return the customer's newest order with that client key."""
        query = (
            sa.select(_HISTORY)
            .where(
                _HISTORY.c.account_id == customer_id,
                _HISTORY.c.client_key == UUID(int=client_key),
            )
            .order_by(_HISTORY.c.accepted_sequence.desc())
            .limit(1)
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _order(row) if row is not None else None

    async def fills(
        self,
        customer_id: int,
        symbol_id: int,
        order_id: int,
        before: tuple[int, ...] | None,
        limit: int,
    ) -> list[FillRecord]:
        """Return fills of all shards, newest first, before (time, trade id, is maker); 0 means any.

        Both sides of a trade that a customer made with himself are two fills.
        """
        sides = sa.union_all(
            _own_fills(customer_id, symbol_id, order_id, before, limit, maker=True),
            _own_fills(customer_id, symbol_id, order_id, before, limit, maker=False),
        ).subquery()
        query = (
            sa.select(sides)
            .order_by(
                sides.c.time_us.desc(),
                sides.c.trade_id.desc(),
                sides.c.is_maker.desc(),
            )
            .limit(limit)
        )
        async with reading(self._engine) as connection:
            return [_fill(row) for row in (await connection.execute(query)).all()]


def _own_fills(
    customer_id: int,
    symbol_id: int,
    order_id: int,
    before: tuple[int, ...] | None,
    limit: int,
    *,
    maker: bool,
) -> sa.Select[Any]:
    """Return the newest fills of one role; each branch has its index and its own limit."""
    account = _TRADES.c.maker_account_id if maker else _TRADES.c.taker_account_id
    order = _TRADES.c.maker_order_id if maker else _TRADES.c.taker_order_id
    fee = _TRADES.c.maker_fee_units if maker else _TRADES.c.taker_fee_units
    realised = _TRADES.c.maker_realised_units if maker else _TRADES.c.taker_realised_units
    insurance = sa.literal(0) if maker else _TRADES.c.insurance_units
    query = sa.select(
        _TRADES,
        sa.literal(int(maker)).label("is_maker"),
        order.label("own_order"),
        fee.label("fee"),
        realised.label("realised"),
        insurance.label("insurance"),
    ).where(account == customer_id)
    if symbol_id:
        query = query.where(_TRADES.c.symbol_id == symbol_id)
    if order_id:
        query = query.where(order == order_id)
    if before is not None:
        place = (_TRADES.c.time_us, _TRADES.c.trade_id, sa.literal(int(maker)))
        query = query.where(sa.tuple_(*place) < before)
    ordered = query.order_by(_TRADES.c.time_us.desc(), _TRADES.c.trade_id.desc()).limit(limit)
    return sa.select(ordered.subquery())


def _fill(row: Any) -> FillRecord:
    taker_side = Side(row.taker_side)
    return FillRecord(
        shard=row.shard,
        sequence=row.sequence,
        index=row.index,
        time_us=row.time_us,
        trade_id=row.trade_id,
        order_id=row.own_order,
        symbol_id=row.symbol_id,
        side=taker_side.opposite if row.is_maker else taker_side,
        is_maker=bool(row.is_maker),
        price_ticks=row.price_ticks,
        quantity_lots=row.quantity_lots,
        quote_units=row.quote_units,
        fee_units=row.fee,
        realised_units=row.realised,
        insurance_units=None if row.realised is None else row.insurance,
    )


def _order(row: Any) -> OrderRecord:
    return OrderRecord(
        order_id=row.order_id,
        account_id=row.account_id,
        symbol_id=row.symbol_id,
        client_order_id=row.client_order_id,
        client_key=row.client_key.int,
        side=Side(row.side),
        order_type=OrderType(row.order_type),
        time_in_force=TimeInForce(row.time_in_force),
        post_only=row.post_only,
        self_trade=SelfTrade(row.self_trade),
        price_ticks=row.price_ticks,
        quantity_lots=row.quantity_lots,
        filled_lots=row.filled_lots,
        status=OrderStatus(row.status),
        accepted_sequence=row.accepted_sequence,
        accepted_at_us=row.accepted_at_us,
        terms=OrderTerms.of(row),
        trigger_source=TriggerSource(row.trigger_source),
        reduce_only=row.reduce_only,
        close_position=row.close_position,
        is_waiting=row.is_waiting,
        is_pending=row.is_pending,
        filled_quote_units=row.filled_quote_units,
        fee_units=row.fee_units,
        close_reason=None if row.close_reason is None else CloseReason(row.close_reason),
        refusal=None if row.refusal is None else RejectReason(row.refusal),
    )
