"""An order and a fill as their owner sees them later: what history and open-order queries give."""

from __future__ import annotations

from dataclasses import dataclass

from domain.order import OrderStatus, OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One order at one moment. `filled_quote_units` and `fee_units` are None where unknown.

    The engine's open orders do not carry quote totals; the order history does.
    """

    order_id: int
    account_id: int
    symbol_id: int
    client_order_id: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    price_ticks: int
    quantity_lots: int
    filled_lots: int
    status: OrderStatus
    accepted_sequence: int
    accepted_at_us: int
    updated_at_us: int
    filled_quote_units: int | None = None
    fee_units: int | None = None


@dataclass(frozen=True, slots=True)
class FillRecord:
    """One side of a trade as its owner sees it; `fee_units` are quote engine units."""

    shard: int
    sequence: int
    index: int
    time_us: int
    trade_id: int
    order_id: int
    symbol_id: int
    side: Side
    is_maker: bool
    price_ticks: int
    quantity_lots: int
    quote_units: int
    fee_units: int
