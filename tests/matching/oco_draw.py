"""Drawn OCO orders around a price of 100: most may stand, some have one thing wrong."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from domain.commands import PlaceOrder, PlaceOrderList
from domain.limits import HOUR_US
from domain.order import ListKind, OrderType, SelfTrade, Side, TimeInForce


def draw_oco(
    rnd: random.Random, identity: tuple[int, int, int], symbol: int, time_us: int
) -> PlaceOrderList:
    """Return an OCO of (account, first key, second key)."""
    account, key, other_key = identity
    side = Side(rnd.randint(0, 1))
    away = 1 if side is Side.SELL else -1
    better, worse = OrderType(rnd.choice((0, 0, 0, 4, 5))), OrderType(rnd.choice((2, 2, 3, 3, 6)))
    price, trigger = 100 + away * rnd.randint(-1, 8), 100 - away * rnd.randint(0, 8)
    timed = rnd.random() < 0.3
    first = PlaceOrder(
        account_id=account,
        client_key=key,
        symbol_id=symbol,
        side=side,
        order_type=better,
        time_in_force=TimeInForce.GTD if timed else TimeInForce.GTC,
        price_ticks=price if better.is_limit else 0,
        quantity_lots=rnd.randint(1, 30),
        post_only=better is OrderType.LIMIT,
        self_trade=SelfTrade(rnd.randint(0, 3)),
        client_text="" if rnd.random() < 0.6 else f"c-{rnd.randint(0, 99)}",
        expires_at_us=time_us + rnd.choice((3_000, 10**6, HOUR_US)) if timed else 0,
        display_lots=1 if better.is_limit and rnd.random() < 0.2 else 0,
        trigger_price_ticks=price if better.is_triggered else 0,
    )
    trails = worse is OrderType.TRAILING_STOP
    second = replace(
        first,
        client_key=other_key,
        order_type=worse,
        price_ticks=trigger - away * rnd.randint(0, 2) if worse.is_limit else 0,
        post_only=False,
        display_lots=0,
        trigger_price_ticks=0 if trails else trigger,
        trailing_offset_ticks=rnd.randint(1, 8) if trails else 0,
    )
    if rnd.random() < 0.2:
        second = replace(second, **_odd(rnd, side, price))
    return PlaceOrderList(ListKind.OCO, (first, second))


def _odd(rnd: random.Random, side: Side, price: int) -> dict[str, Any]:
    """Return what makes the second order another one than it should be."""
    choices: tuple[dict[str, Any], ...] = (
        {"quantity_lots": 31},
        {"account_id": 3},
        {"symbol_id": 2},
        {"side": side.opposite},
        {"order_type": OrderType.LIMIT},
        {"post_only": True},
        {"trigger_price_ticks": price},
        {"self_trade": SelfTrade.DECREMENT},
        {"client_text": "other"},
    )
    return rnd.choice(choices)


def spoiled(rnd: random.Random, raw: bytes) -> bytes:
    """Return a list's record, now and then with a wrong word in its head or an order's stamp."""
    changed = bytearray(raw)
    if rnd.random() < 0.03:
        changed[rnd.choice((20, 22, 24, 32, 48, 56, 64, 72))] ^= 1
    return bytes(changed)
