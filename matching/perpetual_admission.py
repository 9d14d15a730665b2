"""What an order on a perpetual has to pass beside the checks of every order; nothing changes.

`matching/admission.py` asks these at their place in the order of precedence: state of the market,
then (band, size and number of orders as everywhere) position limit and reduce-only, then the book,
then margin.
"""

from __future__ import annotations

from domain.errors import RejectReason
from domain.limits import MAX_POSITIONS
from domain.money import INT64_MAX
from domain.order_guards import is_within_position_limit
from domain.perpetual_state import NewOrders, PerpetualState, rules_of
from domain.risk_bounds import MAX_POSITIONS_PER_SCOPE, MAX_PRICE_TICKS, MAX_VALUE_UNITS
from matching.book import Market, Order
from matching.engine_state import EngineState
from matching.perpetual import CLOSE_POSITION, REDUCES, Perpetual
from matching.scopes import (
    Wanted,
    fee_reserve_units,
    members,
    required_units,
    scope_symbol,
    spare_units,
)
from matching.sweep import prospect

_NONE = RejectReason.NONE
_CLOSED = {
    PerpetualState.HALTED: RejectReason.MARKET_HALTED,
    PerpetualState.SETTLEMENT: RejectReason.MARKET_SETTLING,
}


def closed_phase(perpetual: Perpetual | None) -> RejectReason:
    """Return why a perpetual market takes no orders and sets none off, or NONE."""
    return _NONE if perpetual is None else _CLOSED.get(perpetual.phase, _NONE)


def refuse_kind(state: EngineState, market: Market, order: Order) -> RejectReason:
    """Return why a market does not take an order of this kind from this account, or NONE."""
    perpetual = market.perpetual
    if perpetual is None:
        if order.flags & REDUCES or order.source:  # there is but the last price
            return RejectReason.INVALID_COMBINATION
        frozen = state.is_frozen(order.account_id, 0)
        return RejectReason.SCOPE_FROZEN if frozen else _NONE
    if order.terms.quote_budget_units:
        return RejectReason.INVALID_COMBINATION
    if max(order.price_ticks, order.trigger_ticks) > MAX_PRICE_TICKS:
        return RejectReason.INVALID_PRICE
    if perpetual.mark_ticks == 0:
        return RejectReason.MARK_UNKNOWN
    if state.is_frozen(order.account_id, scope_symbol(market, order.account_id)):
        return RejectReason.SCOPE_FROZEN
    limit_only = rules_of(perpetual.phase).new_orders is NewOrders.LIMIT
    if limit_only and order.is_market and not order.is_waiting:
        return RejectReason.MARKET_GUARDED
    return _NONE


def refuse_position(
    state: EngineState, market: Market, order: Order, more_lots: int, *, clamps: bool = True
) -> RejectReason:
    """Return why a position may not grow by `more_lots` of an order's side, or NONE.

    A reduce-only order is cut to what it can close (or, without `clamps`, refused beyond it);
    orders that can only reduce, even if all others of their side fill first, pass. In a market
    that only reduces, an order that may do more does not move to another price either.
    """
    perpetual = market.perpetual
    assert perpetual is not None
    seat = perpetual.look(order.account_id)
    closable = seat.closable(order.side)
    if order.flags & REDUCES:
        return _reduce(order, closable, clamps=clamps)
    side_lots = seat.adding[order.side] + more_lots
    if side_lots <= closable:
        return _NONE
    if rules_of(perpetual.phase).new_orders is NewOrders.REDUCING:
        return RejectReason.MARKET_REDUCE_ONLY
    if more_lots <= 0:
        return _NONE
    if not seat.is_used and _is_full(state, market, order.account_id):
        return RejectReason.TOO_MANY_POSITIONS
    after = abs(seat.lots + side_lots if order.side == 0 else seat.lots - side_lots)
    most = market.rules.max_position_lots
    interest = perpetual.notional_units(perpetual.open_lots)
    notional = perpetual.notional_units(after)
    share = perpetual.terms.share
    if most and after > most:
        return RejectReason.POSITION_LIMIT
    if not is_within_position_limit(notional, perpetual.brackets, interest, share):
        return RejectReason.POSITION_LIMIT
    return _NONE


def _reduce(order: Order, closable: int, *, clamps: bool) -> RejectReason:
    remaining = order.quantity_lots - order.filled_lots
    if order.flags & CLOSE_POSITION:
        remaining = closable
    if closable == 0 or (remaining > closable and not clamps):
        return RejectReason.NOTHING_TO_REDUCE
    order.quantity_lots = order.filled_lots + min(remaining, closable)
    return _NONE


def _is_full(state: EngineState, market: Market, account_id: int) -> bool:
    """Return whether the account's scope, or the market, has no room for one more position."""
    perpetual = market.perpetual
    assert perpetual is not None
    scope = members(state, account_id, scope_symbol(market, account_id))
    used = sum(seat.is_used for seat in perpetual.seats.values())
    return len(scope) >= MAX_POSITIONS_PER_SCOPE or used >= MAX_POSITIONS


def refuse_margin(state: EngineState, market: Market, order: Order, more_lots: int) -> RejectReason:
    """Return why the margin does not cover an order, or NONE.

        equity - spot holds - fee >= initial margin + open losses, all with the order

    It counts with what it comes to: its fills at their prices, the rest, if that stands, at its
    limit. It may be one that stands in the book with other terms. Orders that only reduce pass.
    """
    perpetual = market.perpetual
    assert perpetual is not None
    lots = order.quantity_lots - order.filled_lots
    price = max(order.limit_ticks, perpetual.mark_ticks)
    if price * perpetual.units_per_tick_lot * lots > MAX_VALUE_UNITS:
        return RejectReason.OVERFLOW
    if lots * market.rules.base_units_per_lot > INT64_MAX:
        return RejectReason.OVERFLOW
    seat = perpetual.look(order.account_id)
    if order.flags & REDUCES or seat.adding[order.side] + more_lots <= seat.closable(order.side):
        return _NONE
    found = prospect(state, market, order)
    wanted = Wanted(market, order, more_lots - (lots - found.lots), found)
    symbol_id = scope_symbol(market, order.account_id)
    required = required_units(state, order.account_id, symbol_id, wanted)
    spare = spare_units(state, order.account_id, symbol_id) - fee_reserve_units(state, wanted)
    return _NONE if spare >= required else RejectReason.INSUFFICIENT_MARGIN
