"""Drawn brackets around a price of 100: most may stand, some have one thing wrong."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from domain.commands import PlaceOrderList
from domain.limits import HOUR_US
from domain.order import ListKind, OrderType, SelfTrade, TimeInForce
from tests.matching.oco_draw import draw_oco


def draw_list(
    rnd: random.Random, account: int, keys: tuple[int, int, int], symbol: int, time_us: int
) -> PlaceOrderList:
    """Return an OCO under the first two keys of an account, or a bracket under all three."""
    if rnd.random() < 0.4:
        return draw_oco(rnd, (account, *keys[:2]), symbol, time_us)
    return draw_bracket(rnd, account, keys, symbol, time_us)


def draw_bracket(
    rnd: random.Random, account: int, keys: tuple[int, int, int], symbol: int, time_us: int
) -> PlaceOrderList:
    """Return a bracket of an account under three keys, its entry's first."""
    first, second = draw_oco(rnd, (account, *keys[1:]), symbol, time_us).orders
    at_market = rnd.random() < 0.3
    tif = TimeInForce(rnd.choice((1, 1, 2) if at_market else (0, 0, 0, 1, 3)))
    timed = tif is TimeInForce.GTD
    entry = replace(
        first,
        client_key=keys[0],
        side=first.side.opposite,
        order_type=OrderType.MARKET if at_market else OrderType.LIMIT,
        time_in_force=tif,
        expires_at_us=time_us + rnd.choice((3_000, 10**6, HOUR_US)) if timed else 0,
        post_only=False,
        price_ticks=0 if at_market else rnd.randint(97, 103),
        trigger_price_ticks=0,
        display_lots=1 if tif is TimeInForce.GTC and rnd.random() < 0.2 else 0,
    )
    if rnd.random() < 0.1:
        entry = replace(entry, **_odd(rnd))
    children = rnd.choice(((first, second), (first, second), (first,), (second,)))
    return PlaceOrderList(ListKind.BRACKET, (entry, *children))


def _odd(rnd: random.Random) -> dict[str, Any]:
    """Return what makes the entry another one than it should be."""
    choices: tuple[dict[str, Any], ...] = (
        {"quantity_lots": 31},
        {"quantity_lots": 0, "quote_budget_units": 500},
        {"account_id": 3},
        {"symbol_id": 2},
        {"order_type": OrderType.STOP, "trigger_price_ticks": 101},
        {"price_ticks": 80},
        {"post_only": True},
        {"self_trade": SelfTrade.DECREMENT},
    )
    return rnd.choice(choices)
