"""Changes to orders that stand in the book: cancel, cancel all, amend, as the reference acts."""

from __future__ import annotations

from domain.commands import Opcode
from domain.errors import RejectReason
from domain.limits import MAX_CANCELS, MAX_TIMEOUT_US
from domain.order import CloseReason, StateCause, SymbolState
from matching.administration import Head, status_reason
from matching.admission import Change, refuse_amend, refuse_cancel
from matching.book import OPEN, Market, Order, whole_lists
from matching.order_event_writer import Before
from matching.trading import Trading
from matching.wire import AMEND_STRIPE, STRIPE

_BOTH_SIDES = 0  # of a cancel-all; else the side + 1


def cancel(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Close one open order, the other one of its OCO, and what waits for an untouched entry."""
    symbol_id, _, account_id, key, order_id, _ = head[6:]
    state = engine.state
    order: Order | None = None
    reason = refuse_cancel(state, account_id, symbol_id)
    if not reason:
        order = _find(engine, account_id, symbol_id, order_id, batch[offset + 24 : offset + 48])
        if order is None:
            reason = RejectReason.ORDER_NOT_FOUND
        elif state.markets[order.symbol_id].state == SymbolState.HALTED:
            reason = RejectReason.SYMBOL_HALTED
    if reason or order is None:
        engine.events.rejected(Opcode.CANCEL_ORDER, reason, account_id, key, symbol_id)
        return
    going = [order] if order.sibling is None else [order, order.sibling]
    if order.filled_lots == 0:
        going += state.markets[order.symbol_id].children(order)
    engine.events.cancel_accepted(account_id, order.symbol_id, len(going))
    engine.close_all(going, CloseReason.CANCELLED_BY_USER)


def _find(
    engine: Trading, account_id: int, symbol_id: int, order_id: int, identity: bytes
) -> Order | None:
    """Return the account's open order of that id or, when that is 0, of that client key."""
    state = engine.state
    order = state.orders.get(order_id) if order_id else state.window.orders.get(identity)
    if order is None or order.status != OPEN or order.account_id != account_id:
        return None
    return order if symbol_id in (0, order.symbol_id) else None


def cancel_all(engine: Trading, head: Head, _batch: bytes, _offset: int) -> None:
    """Close an account's open orders, of one side or both."""
    symbol_id, _, account_id, key, sides, _ = head[6:]
    state = engine.state
    reason = RejectReason.MALFORMED_COMMAND
    if _BOTH_SIDES <= sides <= 2:
        reason = refuse_cancel(state, account_id, symbol_id)
    if reason:
        engine.events.rejected(Opcode.CANCEL_ALL, reason, account_id, key, symbol_id)
        return
    mine = [
        order
        for order in state.orders_of(account_id, symbol_id)
        if state.markets[order.symbol_id].state != SymbolState.HALTED
        and sides in (_BOTH_SIDES, order.side + 1)
    ]
    going = whole_lists(mine, MAX_CANCELS)
    engine.events.cancel_accepted(account_id, symbol_id, len(going))
    engine.close_all(going, CloseReason.CANCELLED_BY_USER)


def delist_symbol(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Close a market for ever, and its open orders by id, as many as one command may close.

    Lists go as a whole, which may be one order more.
    """
    symbol_id, state = head[6], engine.state
    market = state.markets.get(symbol_id)
    said = status_reason(state, StateCause.OPERATOR, batch, offset)
    reason = RejectReason.NONE
    if said is None:
        reason = RejectReason.MALFORMED_COMMAND
    elif market is None:
        reason = RejectReason.UNKNOWN_SYMBOL
    elif market.perpetual is not None and market.perpetual.open_lots:
        reason = RejectReason.POSITION_OPEN
    if reason or said is None or market is None:
        engine.events.rejected(Opcode.DELIST_SYMBOL, reason, 0, head[9], symbol_id)
        return
    if market.state != SymbolState.DELISTED:
        market.state, market.status = int(SymbolState.DELISTED), said
    ids = sorted(order for mine in market.open_by_account.values() for order in mine)
    closing = whole_lists([state.orders[order_id] for order_id in ids], MAX_CANCELS)
    engine.events.delisted(symbol_id, len(closing), len(ids) - len(closing), said)
    engine.close_all(closing, CloseReason.CANCELLED_BY_ADMIN)


def set_dead_mans_switch(engine: Trading, head: Head, _batch: bytes, _offset: int) -> None:
    """Arm, arm again or disarm an account's switch. No mode of the shard is in the way."""
    account_id, key, timeout_us = head[8:11]
    reason = RejectReason.NONE
    if account_id == 0:
        reason = RejectReason.MALFORMED_COMMAND
    elif not 0 <= timeout_us <= MAX_TIMEOUT_US:
        reason = RejectReason.INVALID_TIMEOUT
    if reason:
        engine.events.rejected(Opcode.SET_DEAD_MANS_SWITCH, reason, account_id, key, 0)
        return
    switches = engine.state.switches
    switches.pop(account_id, None)
    if timeout_us:
        switches[account_id] = engine.state.time_us + timeout_us
    engine.events.switch_set(account_id, switches.get(account_id, 0))


def amend(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Change price or quantity of an open order; it keeps its place only when it just shrinks."""
    symbol_id, _, account_id, key, price, quantity = head[6:]
    order_id, trigger = AMEND_STRIPE.unpack_from(batch, offset + STRIPE)
    order = _find(engine, account_id, symbol_id, order_id, batch[offset + 24 : offset + 48])
    named = bool(order_id or any(key))
    change = Change(price, quantity, trigger)
    reason = refuse_amend(engine.state, order, account_id if named else 0, symbol_id, change)
    if reason or order is None:
        engine.events.rejected(Opcode.AMEND_ORDER, reason, account_id, key, symbol_id)
        return
    market = engine.state.markets[order.symbol_id]
    before = Before.of(order)
    after = (price or order.price_ticks, quantity or order.quantity_lots)
    if order.is_waiting:
        remaining = order.quantity_lots - order.filled_lots
        engine.hold(market, order, -market.hold_units(order, remaining))
        order.price_ticks, order.quantity_lots = after
        order.trigger_ticks = trigger or order.trigger_ticks
        market.aim(order)
        engine.hold(market, order, market.hold_units(order, order.quantity_lots))
        engine.events.amended(order, before, kept=True)
    elif order.keeps_place(*after):
        lost = before.quantity_lots - after[1]
        market.count(order, -lost)
        engine.hold(market, order, -engine.released(market, order, lost))
        order.quantity_lots = after[1]
        order.hidden_lots = max(0, order.hidden_lots - lost)
        engine.events.amended(order, before, kept=True)
    else:
        _requeue(engine, market, order, after)


def _requeue(engine: Trading, market: Market, order: Order, terms: tuple[int, int]) -> None:
    """Take `order` out, change it, and let it act like a new one under its old id."""
    before = Before.of(order)
    engine.hold(market, order, -market.hold_units(order, order.quantity_lots - order.filled_lots))
    engine.state.take_out(market, order)
    order.price_ticks, order.quantity_lots = terms
    order.limit_ticks = order.price_ticks
    order.hidden_lots = 0
    engine.events.amended(order, before, kept=False)
    stopped = engine.trade(market, order)
    engine.finish(market, order, stopped)
