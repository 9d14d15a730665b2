"""From the records of orders and of lists to the reference engine's orders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from domain.order import ListKind
from matching.book import NO_TERMS, Order, Terms
from matching.wire import COMMAND_HEAD, MIN_LISTED, STAMP, STRIPE, TERMS_STRIPE


class AskedList(NamedTuple):
    """The orders of a PLACE_ORDER_LIST and of which kind it is."""

    kind: int
    orders: list[Order]
    is_whole: bool


def read_list(data: bytes, offset: int) -> AskedList:
    """Return what the PLACE_ORDER_LIST at `offset` asks for, and whether its record is whole.

    It is when the head names a known kind (an OCO is of two) and its first order, nothing but the
    orders is asked for, and nobody has numbered them.
    """
    head = data[offset : offset + STRIPE]
    orders, is_whole = [], True
    for at in listed_at(data, offset):
        order, surplus = read_order(data, at)
        is_whole = is_whole and not surplus and not any(data[at : at + STAMP.size])
        orders.append(order)
    *_, symbol, kind, account, key, a, b = COMMAND_HEAD.unpack(head)
    identity = account.to_bytes(8, "little") + key
    named = (symbol, identity) == (orders[0].symbol_id, orders[0].identity)
    fits = kind == ListKind.BRACKET or (kind == ListKind.OCO and len(orders) == MIN_LISTED)
    return AskedList(kind, orders, is_whole and named and fits and not a and not b)


def listed_at(data: bytes, offset: int) -> Iterator[int]:
    """Yield where the orders of the list at `offset` lie."""
    at, end = offset + STRIPE, offset + data[offset + 18] * STRIPE
    while at < end:
        yield at
        at += data[at + 18] * STRIPE


def read_order(data: bytes, offset: int) -> tuple[Order, bytes]:
    """Return the order that the PLACE_ORDER at `offset` asks for, and what must be zero there."""
    text_length, symbol_id, flags, account_id, _, price, quantity = COMMAND_HEAD.unpack_from(
        data, offset
    )[5:]
    identity = data[offset + 24 : offset + 48]
    text = data[offset + STRIPE : offset + STRIPE + text_length]
    terms, surplus = order_terms(data, offset)
    order = Order(account_id, identity, symbol_id, flags, price, quantity, text, terms)
    return order, surplus


def order_terms(data: bytes, offset: int) -> tuple[Terms, bytes]:
    """Return the rarer terms of the order at `offset`, and what must be zero behind them."""
    stripes, text_length = data[offset + 18], data[offset + 19]
    with_text = 2 if text_length else 1
    if stripes == with_text:
        return NO_TERMS, b""
    *terms, rest = TERMS_STRIPE.unpack_from(data, offset + with_text * STRIPE)
    return Terms(*terms), rest.rstrip(b"\0")
