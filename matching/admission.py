"""The checks before a command acts, one a line, in their order of precedence.

Place: (duplicate, by the caller) -> syntax -> shard and symbol state -> band -> limits ->
post-only, FOK, liquidity -> self-trade -> overflow and funds. No check changes anything.
"""

from __future__ import annotations

from copy import copy
from typing import NamedTuple

from domain.errors import RejectReason
from domain.money import INT64_MAX
from domain.order import SelfTrade, ShardMode, SymbolState, TimeInForce
from domain.risk_bounds import MAX_PRICE_TICKS
from matching.book import BUY, Market, Order
from matching.engine_state import EngineState
from matching.money_admission import refuse_spending
from matching.order_syntax import order_syntax, too_many_slices
from matching.perpetual import CLOSE_POSITION
from matching.perpetual_admission import (
    closed_phase,
    refuse_kind,
    refuse_margin,
    refuse_position,
)
from matching.reach import would_trigger
from matching.sweep import is_fillable
from matching.wire import may_rest

_FOK = int(TimeInForce.FOK)
_EXPIRE_TAKER = int(SelfTrade.EXPIRE_TAKER)
_POST_ONLY = 1 << 8
_NONE = RejectReason.NONE
_CLOSED_MARKET = {
    int(SymbolState.CANCEL_ONLY): RejectReason.SYMBOL_CANCEL_ONLY,
    int(SymbolState.HALTED): RejectReason.SYMBOL_HALTED,
    int(SymbolState.DELISTED): RejectReason.SYMBOL_DELISTED,
}


class Change(NamedTuple):
    """What an amend asks for; 0 keeps what is."""

    price_ticks: int
    quantity_lots: int
    trigger_ticks: int


def limit_rank(market: Market, order: Order) -> int:
    """Return the lowest rank on the opposite side at which `order` trades."""
    return order.limit_ticks * market.sides[1 - order.side].sign


def refuse_order(state: EngineState, order: Order) -> RejectReason:
    """Return why `order` may not be placed, or NONE.

    A market order gets its limit here, an order that waits its trigger as well.
    """
    reason = order_syntax(order)
    if reason:
        return reason
    if order.terms.expires_at_us and order.terms.expires_at_us <= state.time_us:
        return RejectReason.EXPIRY_PASSED
    market = state.markets.get(order.symbol_id)
    if market is None:
        return RejectReason.UNKNOWN_SYMBOL
    reason = closed_to_orders(state, market) or refuse_kind(state, market, order)
    if reason:
        return reason
    if order.is_waiting:
        order.start_from(market.start_of(order))
        return _waiting_rules(state, market, order)
    lowest, highest = market.band()
    buys = order.side == BUY
    if order.is_market:
        order.limit_ticks = highest if buys else lowest
    elif order.price_ticks > highest if buys else order.price_ticks < lowest:
        return RejectReason.PRICE_OUTSIDE_BAND
    rules = market.rules
    if order.quantity_lots > rules.max_order_lots:
        return RejectReason.QUANTITY_TOO_LARGE
    open_orders = market.open_by_account.get(order.account_id, ())
    if may_rest(order.flags) and len(open_orders) >= rules.max_open_orders:
        return RejectReason.TOO_MANY_OPEN_ORDERS
    reason = position_rules(state, market, order, order.quantity_lots)
    if reason:
        return reason
    reason = order_rules(state, market, order)
    if reason:
        return reason
    funds = _budget_funds if order.terms.quote_budget_units else _funds
    return funds(state, market, order)


def _closed_shard(state: EngineState) -> RejectReason:
    if state.mode == ShardMode.HALTED:
        return RejectReason.SHARD_HALTED
    if state.mode == ShardMode.CANCEL_ONLY:
        return RejectReason.SHARD_CANCEL_ONLY
    return _NONE


def _waiting_rules(
    state: EngineState, market: Market, order: Order, own_hold: int = 0, own_lots: int = 0
) -> RejectReason:
    """Return why `order` may not wait for its trigger, or NONE; it gets its limit here.

    An order that waits already, with `own_lots`, counts as open and its hold as free.
    """
    reason = aim_rules(market, order)
    if reason:
        return reason
    open_count = len(market.open_by_account.get(order.account_id, ()))
    if own_lots == 0 and open_count >= market.rules.max_open_orders:
        return RejectReason.TOO_MANY_OPEN_ORDERS
    reason = position_rules(state, market, order, order.quantity_lots - own_lots)
    if reason:
        return reason
    if would_trigger(market, order):
        return RejectReason.WOULD_TRIGGER_IMMEDIATELY
    return _funds(state, market, order, own_hold)


def aim_rules(market: Market, order: Order) -> RejectReason:
    """Return why `order` may wait for its trigger nowhere, or NONE; it gets its limit here.

    A market order's limit is the band's edge around its trigger, so that its hold is known.
    """
    if order.trigger_ticks <= 0:
        return RejectReason.INVALID_TRIGGER
    market.aim(order)
    lowest, highest = market.band(order.trigger_ticks)
    if order.limit_ticks > highest if order.side == BUY else order.limit_ticks < lowest:
        return RejectReason.PRICE_OUTSIDE_BAND
    if order.quantity_lots > market.rules.max_order_lots:
        return RejectReason.QUANTITY_TOO_LARGE
    return RejectReason.TOO_MANY_SLICES if too_many_slices(order) else _NONE


def closed_to_orders(state: EngineState, market: Market) -> RejectReason:
    """Return why the shard or the market takes no orders, or NONE."""
    reason = _closed_shard(state)
    if reason:
        return reason
    return _CLOSED_MARKET.get(market.state, _NONE) or closed_phase(market.perpetual)


def position_rules(
    state: EngineState, market: Market, order: Order, more_lots: int
) -> RejectReason:
    """Refuse a buy of `more_lots` that could leave its account with too much of the base asset.

    What the account has, held or not, counts with all that its open buys of this market may add.
    Of a perpetual both sides are asked, and orders that wait when they are set off.
    """
    if market.perpetual is not None:
        return _NONE if order.is_waiting else refuse_position(state, market, order, more_lots)
    rules = market.rules
    if rules.max_position_lots == 0 or order.side != BUY or more_lots <= 0:
        return _NONE
    lots = market.open_buy_lots(order.account_id) + more_lots
    units = state.total_units(order.account_id, rules.base_asset_id)
    if units + lots * rules.base_units_per_lot > rules.max_position_lots * rules.base_units_per_lot:
        return RejectReason.POSITION_LIMIT
    return _NONE


def order_rules(state: EngineState, market: Market, order: Order) -> RejectReason:
    """Return why `order` may not meet the book as it is now, or NONE."""
    first = market.sides[1 - order.side].first(limit_rank(market, order))
    if first is not None and order.flags & _POST_ONLY:
        return RejectReason.POST_ONLY_WOULD_TRADE
    if order.is_market and first is None:
        return RejectReason.NO_LIQUIDITY
    if first is not None and order.terms.quote_budget_units:
        budget = order.terms.quote_budget_units
        rates = market.rules.fees[state.tier(order.account_id)]
        lots = market.affordable_lots(first.price_ticks, budget, rates.taker_ppm)
        if lots == 0:
            return RejectReason.BUDGET_TOO_SMALL
        if lots > market.rules.max_order_lots:
            return RejectReason.QUANTITY_TOO_LARGE
        reason = position_rules(state, market, order, lots)
        if reason:
            return reason
        if lots * market.rules.base_units_per_lot > INT64_MAX:
            return RejectReason.OVERFLOW
    if order.flags >> 5 & 7 == _FOK and not is_fillable(state, market, order):
        return RejectReason.FOK_NOT_FILLABLE
    if (
        first is not None
        and first.account_id == order.account_id
        and order.flags >> 9 & 7 == _EXPIRE_TAKER
    ):
        return RejectReason.SELF_TRADE
    return _NONE


def hold_rules(market: Market, order: Order) -> RejectReason:
    """Return OVERFLOW when what is left of `order` is worth more than can be counted, or NONE."""
    rules = market.rules
    lots = order.quantity_lots - order.filled_lots
    if order.limit_ticks * lots * rules.quote_units_per_tick_lot > INT64_MAX:
        return RejectReason.OVERFLOW
    if lots * rules.base_units_per_lot > INT64_MAX:
        return RejectReason.OVERFLOW
    return RejectReason.OVERFLOW if market.hold_units(order, lots) > INT64_MAX else _NONE


def _funds(
    state: EngineState, market: Market, order: Order, own_hold: int = 0, own_lots: int = 0
) -> RejectReason:
    """Refuse what the account cannot pay; `own_...` is what an amended order has already."""
    if market.perpetual is not None:
        more_lots = order.quantity_lots - order.filled_lots - own_lots
        return _NONE if order.is_waiting else refuse_margin(state, market, order, more_lots)
    reason = hold_rules(market, order)
    if reason:
        return reason
    rules = market.rules
    hold = market.hold_units(order, order.quantity_lots - order.filled_lots)
    asset_id = rules.quote_asset_id if order.side == BUY else rules.base_asset_id
    return refuse_spending(state, order.account_id, asset_id, hold - own_hold)


def refuse_armed(state: EngineState, market: Market, order: Order) -> RejectReason:
    """Return why a bracket's child may not stand now that its entry ended, or NONE.

    As for a new order, which gets its limit and its trigger here, but it is counted as open
    already, and a trigger that is reached already is no fault.
    """
    if order.is_waiting:
        order.start_from(market.start_of(order))
        reason = aim_rules(market, order)
    else:
        lowest, highest = market.band()
        beyond = order.price_ticks > highest if order.side == BUY else order.price_ticks < lowest
        reason = RejectReason.PRICE_OUTSIDE_BAND if beyond else _NONE
    reason = reason or position_rules(state, market, order, order.quantity_lots)
    if not reason and not order.is_waiting:
        reason = order_rules(state, market, order)
    return reason or _funds(state, market, order)


def _budget_funds(state: EngineState, market: Market, order: Order) -> RejectReason:
    quote_id = market.rules.quote_asset_id
    return refuse_spending(state, order.account_id, quote_id, order.terms.quote_budget_units)


def refuse_triggered(state: EngineState, market: Market, order: Order) -> RejectReason:
    """Return why an order that is set off may not act now, or NONE.

    On a perpetual it was no risk while it waited, so that it passes here what others pass at once.
    Its limit was within the band around its trigger; the band that counts is the mark's of now.
    """
    if market.perpetual is None:
        return order_rules(state, market, order)
    lowest, highest = market.band()
    if order.limit_ticks > highest if order.side == BUY else order.limit_ticks < lowest:
        return RejectReason.PRICE_OUTSIDE_BAND
    return (
        refuse_position(state, market, order, order.quantity_lots)
        or order_rules(state, market, order)
        or refuse_margin(state, market, order, order.quantity_lots)
    )


def refuse_amend(
    state: EngineState,
    order: Order | None,
    account_id: int,
    symbol_id: int,
    change: Change,
) -> RejectReason:
    """Return why `order` may not be changed, or NONE.

    What moves in the queue passes the checks of a new order, its own hold counting as free.
    """
    if account_id == 0:
        return RejectReason.MALFORMED_COMMAND
    if not any(change):
        return RejectReason.INVALID_COMBINATION
    if change.price_ticks < 0:
        return RejectReason.INVALID_PRICE
    if change.quantity_lots < 0:
        return RejectReason.INVALID_QUANTITY
    if change.trigger_ticks < 0:
        return RejectReason.INVALID_TRIGGER
    if symbol_id and symbol_id not in state.markets:
        return RejectReason.UNKNOWN_SYMBOL
    if order is None:
        return _closed_shard(state) or RejectReason.ORDER_NOT_FOUND
    market = state.markets[order.symbol_id]
    reason = closed_to_orders(state, market)
    if reason:
        return reason
    if order.sibling is not None or order.pending:
        return RejectReason.ORDER_IN_LIST
    if change.trigger_ticks and (not order.is_waiting or order.terms.trailing_offset_ticks):
        return RejectReason.INVALID_COMBINATION
    if change.price_ticks and order.is_market:
        return RejectReason.INVALID_COMBINATION
    if change.quantity_lots and order.flags & CLOSE_POSITION:
        return RejectReason.INVALID_COMBINATION
    furthest = max(change.price_ticks, change.trigger_ticks)
    if market.perpetual is not None and furthest > MAX_PRICE_TICKS:
        return RejectReason.INVALID_PRICE
    amended = copy(order)
    amended.price_ticks = amended.limit_ticks = change.price_ticks or order.price_ticks
    amended.quantity_lots = change.quantity_lots or order.quantity_lots
    own_hold = market.hold_units(order, order.quantity_lots - order.filled_lots)
    if order.is_waiting:
        amended.trigger_ticks = change.trigger_ticks or order.trigger_ticks
        return _waiting_rules(state, market, amended, own_hold, order.quantity_lots)
    if amended.quantity_lots <= order.filled_lots:
        return RejectReason.QUANTITY_BELOW_FILLED
    if order.keeps_place(amended.price_ticks, amended.quantity_lots):
        return _NONE
    price = amended.price_ticks
    if not all(child.is_beyond(order.side, price) for child in market.children(order)):
        return RejectReason.LIST_PRICES_CROSSED
    lowest, highest = market.band()
    if price > highest if order.side == BUY else price < lowest:
        return RejectReason.PRICE_OUTSIDE_BAND
    if amended.quantity_lots > market.rules.max_order_lots:
        return RejectReason.QUANTITY_TOO_LARGE
    if too_many_slices(amended):
        return RejectReason.TOO_MANY_SLICES
    reason = _amended_position(state, market, order, amended)
    if reason:
        return reason
    reason = order_rules(state, market, amended)
    if reason:
        return reason
    return _funds(state, market, amended, own_hold, order.quantity_lots - order.filled_lots)


def _amended_position(
    state: EngineState, market: Market, order: Order, amended: Order
) -> RejectReason:
    more_lots = amended.quantity_lots - order.quantity_lots
    if market.perpetual is not None:
        return refuse_position(state, market, amended, more_lots, clamps=False)
    return position_rules(state, market, order, more_lots)


def refuse_cancel(state: EngineState, account_id: int, symbol_id: int) -> RejectReason:
    """Return why orders may not be cancelled, or NONE; `symbol_id` 0 names no market."""
    if account_id == 0:
        return RejectReason.MALFORMED_COMMAND
    market = state.markets.get(symbol_id)
    if symbol_id and market is None:
        return RejectReason.UNKNOWN_SYMBOL
    if state.mode == ShardMode.HALTED:
        return RejectReason.SHARD_HALTED
    if market is not None and market.state == SymbolState.HALTED:
        return RejectReason.SYMBOL_HALTED
    return _NONE
