"""The checks before a command acts, one a line, in their order of precedence.

Place: (duplicate, by the caller) -> syntax -> shard and symbol state -> band -> limits ->
post-only, FOK, liquidity -> self-trade -> overflow and funds. No check changes anything.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from typing import NamedTuple

from domain.errors import RejectReason
from domain.limits import KEY_MAX_AGE_US, KEY_MAX_AHEAD_US, MAX_MAKERS
from domain.money import INT64_MAX
from domain.order import SelfTrade, ShardMode, SymbolState, TimeInForce
from matching.book import BUY, Market, Order
from matching.engine_state import EngineState
from matching.order_syntax import order_syntax, too_many_slices

_GTC, _FOK, _GTD = int(TimeInForce.GTC), int(TimeInForce.FOK), int(TimeInForce.GTD)
_EXPIRE_MAKER, _EXPIRE_TAKER = int(SelfTrade.EXPIRE_MAKER), int(SelfTrade.EXPIRE_TAKER)
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
    reason = closed_to_orders(state, market)
    if reason:
        return reason
    if order.is_waiting:
        order.start_from(market.reference_ticks)
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
    may_rest = order.flags >> 5 & 7 in (_GTC, _GTD)
    if may_rest and len(market.open_by_account.get(order.account_id, ())) >= rules.max_open_orders:
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
    if market.would_trigger(order):
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
    return _CLOSED_MARKET.get(market.state, _NONE)


def position_rules(
    state: EngineState, market: Market, order: Order, more_lots: int
) -> RejectReason:
    """Refuse a buy of `more_lots` that could leave its account with too much of the base asset.

    What the account has, held or not, counts with all that its open buys of this market may add.
    """
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
    if order.flags >> 5 & 7 == _FOK and not _fillable(market, order):
        return RejectReason.FOK_NOT_FILLABLE
    if (
        first is not None
        and first.account_id == order.account_id
        and order.flags >> 9 & 7 == _EXPIRE_TAKER
    ):
        return RejectReason.SELF_TRADE
    return _NONE


def _fillable(market: Market, order: Order) -> bool:
    """Return whether the book fills the whole order within its limit and the sweep limit."""
    rank = limit_rank(market, order)
    side = market.sides[1 - order.side]
    missing, met = order.quantity_lots - order.filled_lots, 0
    for level_rank in reversed(side.ranks):
        if level_rank < rank:
            break
        hidden: deque[tuple[int, int]] = deque()  # (lots, slice) of the icebergs met
        for maker in side.levels[level_rank].values():
            met += 1
            if met > MAX_MAKERS:
                return False
            if maker.account_id == order.account_id:
                if order.flags >> 9 & 7 != _EXPIRE_MAKER:
                    return False
                continue
            missing -= maker.shown_lots
            if missing <= 0:
                return True
            if maker.hidden_lots:
                hidden.append((maker.hidden_lots, maker.terms.display_lots))
        while hidden:
            met += 1
            if met > MAX_MAKERS:
                return False
            lots, display = hidden.popleft()
            missing -= min(lots, display)
            if missing <= 0:
                return True
            if lots > display:
                hidden.append((lots - display, display))
    return False


def hold_rules(market: Market, order: Order) -> RejectReason:
    """Return OVERFLOW when what is left of `order` is worth more than can be counted, or NONE."""
    rules = market.rules
    lots = order.quantity_lots - order.filled_lots
    if order.limit_ticks * lots * rules.quote_units_per_tick_lot > INT64_MAX:
        return RejectReason.OVERFLOW
    if lots * rules.base_units_per_lot > INT64_MAX:
        return RejectReason.OVERFLOW
    return RejectReason.OVERFLOW if market.hold_units(order, lots) > INT64_MAX else _NONE


def _funds(state: EngineState, market: Market, order: Order, own_hold: int = 0) -> RejectReason:
    reason = hold_rules(market, order)
    if reason:
        return reason
    rules = market.rules
    hold = market.hold_units(order, order.quantity_lots - order.filled_lots)
    asset_id = rules.quote_asset_id if order.side == BUY else rules.base_asset_id
    if state.free_units(order.account_id, asset_id) + own_hold < hold:
        return RejectReason.INSUFFICIENT_FUNDS
    return _NONE


def refuse_armed(state: EngineState, market: Market, order: Order) -> RejectReason:
    """Return why a bracket's child may not stand now that its entry ended, or NONE.

    As for a new order, which gets its limit and its trigger here, but it is counted as open
    already, and a trigger that is reached already is no fault.
    """
    if order.is_waiting:
        order.start_from(market.reference_ticks)
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
    free = state.free_units(order.account_id, market.rules.quote_asset_id)
    return _NONE if free >= order.terms.quote_budget_units else RejectReason.INSUFFICIENT_FUNDS


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
    reason = position_rules(state, market, order, amended.quantity_lots - order.quantity_lots)
    if reason:
        return reason
    reason = order_rules(state, market, amended)
    if reason:
        return reason
    return _funds(state, market, amended, own_hold)


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


def refuse_credit(
    state: EngineState, account_id: int, asset_id: int, amount_units: int, created_at_us: int
) -> RejectReason:
    """Return why money may not come in, or NONE. A halted shard takes it: it must not be lost."""
    reason = _money_syntax(state, account_id, asset_id, amount_units, created_at_us)
    if reason:
        return reason
    if state.issued[asset_id] + amount_units > INT64_MAX:
        return RejectReason.OVERFLOW
    return _NONE


def refuse_debit(
    state: EngineState, account_id: int, asset_id: int, amount_units: int, created_at_us: int
) -> RejectReason:
    """Return why money may not go out, or NONE."""
    reason = _money_syntax(state, account_id, asset_id, amount_units, created_at_us)
    if reason:
        return reason
    if state.mode == ShardMode.HALTED:
        return RejectReason.SHARD_HALTED
    if state.free_units(account_id, asset_id) < amount_units:
        return RejectReason.INSUFFICIENT_FUNDS
    return _NONE


def _money_syntax(
    state: EngineState, account_id: int, asset_id: int, amount_units: int, created_at_us: int
) -> RejectReason:
    if account_id == 0 or created_at_us < 0:
        return RejectReason.MALFORMED_COMMAND
    if created_at_us > state.time_us + KEY_MAX_AHEAD_US:
        return RejectReason.MALFORMED_COMMAND
    if amount_units <= 0:
        return RejectReason.INVALID_AMOUNT
    if state.time_us - created_at_us > KEY_MAX_AGE_US:
        return RejectReason.KEY_EXPIRED
    if asset_id not in state.issued:
        return RejectReason.UNKNOWN_ASSET
    return _NONE
