"""What the engine says about its state: plain values, the same from either implementation."""

from __future__ import annotations

from dataclasses import dataclass

from domain.order import OrderStatus, OrderType, Side, SymbolState, TimeInForce


@dataclass(frozen=True, slots=True)
class OrderView:
    """One order as the engine knows it."""

    order_id: int
    account_id: int
    client_key: int
    client_text: str
    symbol_id: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    price_ticks: int
    quantity_lots: int
    filled_lots: int
    accepted_sequence: int
    accepted_time_us: int
    status: OrderStatus


@dataclass(frozen=True, slots=True)
class SymbolView:
    """One market's state and last price (0: no trade yet)."""

    symbol_id: int
    state: SymbolState
    last_ticks: int
    open_orders: int
