"""The checks before a list of orders is placed: its shape, each order alone, all of them together.

Each order of an OCO passes all checks of an order of its own, so the larger of the holds is
covered, and either could act without the other. So does the entry of a bracket; of its children
what can be known before it fills. No check changes anything but the orders' own prices.
"""

from __future__ import annotations

from copy import copy

from domain.errors import RejectReason
from domain.order import ListKind, OrderType, TriggerSource
from matching.admission import aim_rules, hold_rules, refuse_order
from matching.book import BUY, Market, Order
from matching.engine_state import EngineState
from matching.order_codec import AskedList
from matching.order_syntax import order_syntax
from matching.perpetual_admission import refuse_kind

_LIMIT = int(OrderType.LIMIT)
_LAST = int(TriggerSource.LAST_PRICE)
_TAKE_PROFITS = (int(OrderType.TAKE_PROFIT), int(OrderType.TAKE_PROFIT_LIMIT))
_STOPS = (int(OrderType.STOP), int(OrderType.STOP_LIMIT), int(OrderType.TRAILING_STOP))
_POST_ONLY = 1 << 8
_NONE = RejectReason.NONE


def refuse_list(state: EngineState, asked: AskedList) -> tuple[RejectReason, int]:
    """Return why a list may not be placed, or NONE, and which of its orders is at fault (or 0)."""
    if not _are_one_accounts(asked.orders):
        return RejectReason.INVALID_ORDER_LIST, 0
    if asked.kind == ListKind.BRACKET:
        return _refuse_bracket(state, *asked.orders)
    return _refuse_oco(state, *asked.orders)


def _are_one_accounts(orders: list[Order]) -> bool:
    """Return whether orders are of one account, market and quantity, each under its own key."""
    first = orders[0]
    alike = all(
        (order.account_id, order.symbol_id, order.quantity_lots)
        == (first.account_id, first.symbol_id, first.quantity_lots)
        for order in orders
    )
    return alike and len({order.identity for order in orders}) == len(orders)


def _refuse_oco(state: EngineState, first: Order, second: Order) -> tuple[RejectReason, int]:
    if first.side != second.side or not (_takes_profit(first) and _stops(second)):
        return RejectReason.INVALID_ORDER_LIST, 0
    for position, order in enumerate((first, second), 1):
        reason = refuse_order(state, order)
        if reason:
            return reason, position
    market = state.markets[first.symbol_id]
    if _too_many(market, first, 2):
        return RejectReason.TOO_MANY_OPEN_ORDERS, 0
    better, worse = first.first_ticks, second.first_ticks
    if better >= worse if first.side == BUY else better <= worse:
        return RejectReason.LIST_PRICES_CROSSED, 0
    return _NONE, 0


def _refuse_bracket(state: EngineState, entry: Order, *children: Order) -> tuple[RejectReason, int]:
    if not _are_bracket(entry, *children):
        return RejectReason.INVALID_ORDER_LIST, 0
    reason = refuse_order(state, entry)
    if reason:
        return reason, 1
    market = state.markets[entry.symbol_id]
    entry_ticks = market.reference_ticks if entry.is_market else entry.price_ticks
    for position, child in enumerate(children, 2):
        reason = _refuse_child(state, market, copy(child), entry_ticks)
        if reason:
            return reason, position
    if _too_many(market, entry, 1 + len(children)):
        return RejectReason.TOO_MANY_OPEN_ORDERS, 0
    if not all(child.is_beyond(entry.side, entry_ticks) for child in children):
        return RejectReason.LIST_PRICES_CROSSED, 0
    return _NONE, 0


def _are_bracket(entry: Order, *children: Order) -> bool:
    """Return whether orders are a bracket, whatever the market: children as an OCO has them."""
    if entry.flags >> 1 & 15 not in (_LIMIT, int(OrderType.MARKET)) or entry.quantity_lots == 0:
        return False
    if any(child.side == entry.side for child in children):
        return False
    if len(children) == 1:
        return _takes_profit(children[0]) or _stops(children[0])
    return _takes_profit(children[0]) and _stops(children[1])


def _refuse_child(
    state: EngineState, market: Market, child: Order, entry_ticks: int
) -> RejectReason:
    """Return why `child` could not stand if the entry filled at its price, or NONE."""
    reason = order_syntax(child)
    if reason:
        return reason
    if child.terms.expires_at_us and child.terms.expires_at_us <= state.time_us:
        return RejectReason.EXPIRY_PASSED
    reason = refuse_kind(state, market, child)
    if reason:
        return reason
    if child.is_waiting:
        child.start_from(entry_ticks if child.source == _LAST else market.start_of(child))
        reason = aim_rules(market, child)
    return reason or hold_rules(market, child)


def _too_many(market: Market, order: Order, count: int) -> bool:
    """Return whether `count` more orders of an account are too many in a market."""
    mine = market.open_by_account.get(order.account_id, ())
    return len(mine) + count > market.rules.max_open_orders


def _takes_profit(order: Order) -> bool:
    """Return whether an order waits for a better price and never takes: a limit is post-only."""
    kind = order.flags >> 1 & 15
    return kind in _TAKE_PROFITS or (kind == _LIMIT and bool(order.flags & _POST_ONLY))


def _stops(order: Order) -> bool:
    """Return whether an order waits for a worse price."""
    return order.flags >> 1 & 15 in _STOPS
