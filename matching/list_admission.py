"""The checks before a list of orders is placed: its shape, each order alone, all of them together.

Each order passes all checks of an order of its own, so the larger of the holds is covered, and
either order could act without the other. No check changes anything but the orders' own prices.
"""

from __future__ import annotations

from domain.errors import RejectReason
from domain.order import OrderType
from matching.admission import refuse_order
from matching.book import BUY, Order
from matching.engine_state import EngineState

_LIMIT = int(OrderType.LIMIT)
_TAKE_PROFITS = (int(OrderType.TAKE_PROFIT), int(OrderType.TAKE_PROFIT_LIMIT))
_STOPS = (int(OrderType.STOP), int(OrderType.STOP_LIMIT), int(OrderType.TRAILING_STOP))
_POST_ONLY = 1 << 8


def refuse_list(state: EngineState, orders: list[Order]) -> tuple[RejectReason, int]:
    """Return why a list may not be placed, or NONE, and which of its orders is at fault (or 0)."""
    if not _go_together(*orders):
        return RejectReason.INVALID_ORDER_LIST, 0
    for position, order in enumerate(orders, 1):
        reason = refuse_order(state, order)
        if reason:
            return reason, position
    first, second = orders
    market = state.markets[first.symbol_id]
    open_count = len(market.open_by_account.get(first.account_id, ()))
    if open_count + len(orders) > market.rules.max_open_orders:
        return RejectReason.TOO_MANY_OPEN_ORDERS, 0
    better, worse = first.first_ticks, second.first_ticks
    if better >= worse if first.side == BUY else better <= worse:
        return RejectReason.LIST_PRICES_CROSSED, 0
    return RejectReason.NONE, 0


def _go_together(first: Order, second: Order) -> bool:
    """Return whether two orders are an OCO, whatever the market.

    The first never takes, so that only what happens later can end it: a limit order is post-only.
    """
    if first.identity == second.identity or first.account_id != second.account_id:
        return False
    if first.symbol_id != second.symbol_id or first.side != second.side:
        return False
    if first.quantity_lots != second.quantity_lots or second.flags >> 1 & 15 not in _STOPS:
        return False
    kind = first.flags >> 1 & 15
    return kind in _TAKE_PROFITS or (kind == _LIMIT and bool(first.flags & _POST_ONLY))
