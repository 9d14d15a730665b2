"""What the engine says about its state: plain values, the same from either implementation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from domain.commands import MarketRules
from domain.order import OrderStatus, SelfTrade, ShardMode, SymbolState, TriggerSource
from domain.order_record import OrderRecord, OrderTerms
from domain.perpetual_state import PerpetualState
from domain.perpetual_terms import PerpetualTerms
from domain.trading_status import StatusReason
from matching.book import OPEN, Order
from matching.wire import order_words


@dataclass(frozen=True, slots=True)
class SymbolView:
    """One market's state and last price (0: no trade yet)."""

    symbol_id: int
    state: SymbolState
    last_ticks: int
    open_orders: int
    status: StatusReason


@dataclass(frozen=True, slots=True)
class MarketView:
    """One market's rules (`key` 0) and state."""

    rules: MarketRules
    state: SymbolState


@dataclass(frozen=True, slots=True)
class ShardView:
    """A shard at one sequence. `digest` is empty unless asked for: it costs a pass over all."""

    sequence: int
    time_us: int
    epoch: int
    mode: ShardMode
    status: StatusReason
    chain: bytes
    symbols: list[SymbolView]
    digest: bytes


@dataclass(frozen=True, slots=True)
class PerpetualView:
    """A perpetual market as it is. Prices and times are 0 where there never was one."""

    symbol_id: int
    terms: PerpetualTerms
    phase: PerpetualState
    index_ticks: int
    index_time_us: int
    sources: int
    mark_ticks: int
    mark_is_fresh: bool
    rate_ppm: int
    funding_time_us: int
    open_lots: int


@dataclass(frozen=True, slots=True)
class FrozenView:
    """A scope in liquidation: its version, the liquidation's id and since when."""

    account_id: int
    symbol_id: int
    version: int
    key: int
    since_us: int


def order_record(order: Order) -> OrderRecord:
    """Return an order of the engine as its owner sees it."""
    side, order_type, time_in_force = order_words(order.flags)
    terms = OrderTerms.of(order.terms)
    waits = order.is_waiting and order.status == OPEN
    if terms.trigger_price_ticks or waits:  # as it is now: amended, or as far as it has trailed
        terms = replace(terms, trigger_price_ticks=order.trigger_ticks)
    return OrderRecord(
        order_id=order.order_id,
        account_id=order.account_id,
        symbol_id=order.symbol_id,
        client_order_id=order.text.decode("ascii"),
        client_key=int.from_bytes(order.identity[8:], "little"),
        side=side,
        order_type=order_type,
        time_in_force=time_in_force,
        post_only=bool(order.flags >> 8 & 1),
        self_trade=SelfTrade(order.flags >> 9 & 7),
        price_ticks=order.price_ticks,
        quantity_lots=order.quantity_lots,
        filled_lots=order.filled_lots,
        status=OrderStatus(order.status),
        accepted_sequence=order.accepted_sequence,
        accepted_at_us=order.accepted_time_us,
        terms=terms,
        is_waiting=waits,
        is_pending=order.pending > 0,
        trigger_source=TriggerSource(order.source),
        reduce_only=bool(order.flags >> 14 & 1),
        close_position=bool(order.flags >> 15 & 1),
    )
