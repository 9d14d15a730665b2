"""Placing lists of orders, all of a list or none, as the reference engine acts."""

from __future__ import annotations

from domain.commands import Opcode
from domain.errors import RejectReason
from domain.order import ListKind
from matching.administration import Head
from matching.book import AWAITS, Market, Order
from matching.list_admission import refuse_list
from matching.order_codec import AskedList, read_list
from matching.trading import Trading


def place_list(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Place all orders of a list, or none."""
    symbol_id, _, account_id, key, _, _ = head[6:]
    state = engine.state
    asked = read_list(batch, offset)
    if _answer_known(engine, symbol_id, asked):
        return
    reason, position = RejectReason.MALFORMED_COMMAND, 0
    if asked.is_whole:
        reason, position = refuse_list(state, asked)
    if reason:
        opcode = Opcode.PLACE_ORDER_LIST
        engine.events.rejected(opcode, reason, account_id, key, symbol_id, position)
        return
    list_id = state.shard << 48 | state.next_order
    for order in asked.orders:
        order.terms = order.terms._replace(list_id=list_id)
        engine.accept(order)
    act = _place_bracket if asked.kind == ListKind.BRACKET else _place_oco
    act(engine, state.markets[symbol_id], asked.orders)


def _place_oco(engine: Trading, market: Market, orders: list[Order]) -> None:
    """Let both orders be open before anything can happen to one."""
    market.link(*orders)
    for order in orders:
        engine.events.accepted(order, market.held_units(order))
    for order in orders:
        if order.is_waiting:
            engine.hold(market, order, market.held_units(order))
            engine.state.rest(market, order)
        else:
            engine.finish(market, order, None)


def _place_bracket(engine: Trading, market: Market, orders: list[Order]) -> None:
    """Let the children be pending before the entry acts as any order does."""
    entry, *children = orders
    engine.events.accepted(entry, market.hold_units(entry, entry.quantity_lots))
    for child in children:
        child.pending = AWAITS
        engine.state.rest(market, child)
        engine.events.accepted(child, 0)
    engine.finish(market, entry, engine.trade(market, entry))


def _answer_known(engine: Trading, symbol_id: int, asked: AskedList) -> bool:
    """Answer a list of which an order is known with all of it that is; return whether one is.

    It is the same when all of it was placed as it is asked for now, and nothing with it.
    """
    window = engine.state.window
    found = [window.orders.get(order.identity) for order in asked.orders]
    known = [order for order in found if order is not None]
    if not known:
        return False
    list_id = known[0].order_id
    same = asked.is_whole and len(known) == len(asked.orders)
    same = same and all(
        before.same_body(order, list_id) for before, order in zip(known, asked.orders, strict=True)
    )
    is_bracket = asked.orders[0].side != asked.orders[-1].side
    same = same and is_bracket == (asked.kind == ListKind.BRACKET)
    following = engine.remembered(list_id + len(asked.orders))
    same = same and (following is None or following.terms.list_id != list_id)
    for order in known:
        engine.events.duplicate(order, symbol_id, same)
    return True
