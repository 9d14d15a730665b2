"""What is wrong with an order whatever the market: the first checks of its admission."""

from __future__ import annotations

from domain.errors import RejectReason
from domain.limits import MAX_SLICES
from domain.order import OrderType, SelfTrade, TimeInForce, TriggerSource
from domain.order_id import is_client_order_id
from domain.risk_commands import FUND_ACCOUNT
from matching.book import BUY, Order
from matching.perpetual import CLOSE_POSITION
from matching.wire import may_rest

_MARKET, _TRAILING_STOP = int(OrderType.MARKET), int(OrderType.TRAILING_STOP)
_LAST_TYPE = max(int(kind) for kind in OrderType)
_IOC, _GTD = int(TimeInForce.IOC), int(TimeInForce.GTD)
_POST_ONLY = 1 << 8
_NONE = RejectReason.NONE


def order_syntax(order: Order) -> RejectReason:
    """Return what is wrong with an order whatever the market, or NONE."""
    flags, terms = order.flags, order.terms
    order_type, time_in_force = flags >> 1 & 15, flags >> 5 & 7
    if order.account_id in (0, FUND_ACCOUNT) or not any(order.identity[8:]):
        return RejectReason.MALFORMED_COMMAND
    if order_type > _LAST_TYPE or time_in_force > _GTD or flags >> 9 & 7 > SelfTrade.DECREMENT:
        return RejectReason.MALFORMED_COMMAND
    if flags >> 12 & 3 > TriggerSource.INDEX_PRICE:
        return RejectReason.MALFORMED_COMMAND
    if order.text and not is_client_order_id(order.text.decode("latin-1")):
        return RejectReason.MALFORMED_COMMAND
    if order.is_market and may_rest(flags) != order.is_waiting:
        return RejectReason.INVALID_COMBINATION
    if flags & _POST_ONLY and (order.is_market or not may_rest(flags)):
        return RejectReason.INVALID_COMBINATION
    if (terms.expires_at_us > 0) != (time_in_force == _GTD) or terms.expires_at_us < 0:
        return RejectReason.INVALID_COMBINATION
    if terms.quote_budget_units and not _may_have_budget(order):
        return RejectReason.INVALID_COMBINATION
    if flags >> 12 & 3 != TriggerSource.LAST_PRICE and not order.is_waiting:
        return RejectReason.INVALID_COMBINATION
    closes = bool(flags & CLOSE_POSITION)
    if closes and not order.is_market:
        return RejectReason.INVALID_COMBINATION
    if order.price_ticks != 0 if order.is_market else order.price_ticks <= 0:
        return RejectReason.INVALID_PRICE
    names_none = bool(terms.quote_budget_units) or closes  # no quantity of its own
    if terms.quote_budget_units < 0 or names_none == (order.quantity_lots > 0):
        return RejectReason.INVALID_QUANTITY
    if order.quantity_lots < 0:
        return RejectReason.INVALID_QUANTITY
    return _trigger(order) or _slices(order)


def _trigger(order: Order) -> RejectReason:
    """Return what is wrong with a trigger: a price or an offset, as the type says."""
    terms = order.terms
    trails = order.flags >> 1 & 15 == _TRAILING_STOP
    if not order.is_waiting:
        given = terms.trigger_price_ticks or terms.trailing_offset_ticks
        return RejectReason.INVALID_COMBINATION if given else _NONE
    if (terms.trailing_offset_ticks > 0) != trails or terms.trailing_offset_ticks < 0:
        return RejectReason.INVALID_TRIGGER
    if (terms.trigger_price_ticks > 0) == trails or terms.trigger_price_ticks < 0:
        return RejectReason.INVALID_TRIGGER
    return _NONE


def too_many_slices(order: Order) -> bool:
    """Return whether an iceberg would show lots more often than it may."""
    display = order.terms.display_lots
    return bool(display) and order.quantity_lots > display * MAX_SLICES


def _slices(order: Order) -> RejectReason:
    """Return what is wrong with an iceberg: it rests, and takes few meetings to trade away."""
    display = order.terms.display_lots
    if display == 0:
        return _NONE
    if order.is_market or not may_rest(order.flags):
        return RejectReason.INVALID_COMBINATION
    if display < 0 or display > order.quantity_lots:
        return RejectReason.INVALID_QUANTITY
    return RejectReason.TOO_MANY_SLICES if too_many_slices(order) else _NONE


def _may_have_budget(order: Order) -> bool:
    """Return whether a quote budget goes with the rest: an IOC market buy that cannot shrink."""
    flags = order.flags
    is_market_buy = flags >> 1 & 15 == _MARKET and order.side == BUY
    return is_market_buy and flags >> 5 & 7 == _IOC and flags >> 9 & 7 != SelfTrade.DECREMENT
