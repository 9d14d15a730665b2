"""Commands for a native loop under test: money for five accounts, then random orders of theirs."""

from __future__ import annotations

import random
import time

from domain.commands import CancelOrder, Credit, PlaceOrder
from domain.order import OrderType, Side, TimeInForce
from matching.codec import encode_command
from tests.matching.desk import ETH_USDT, LISTING
from tests.matching.native_loop import NativeLoop


def opening() -> bytes:
    """Return a listing and what makes the accounts rich; the loop's clock is the wall's."""
    created_us = time.time_ns() // 1_000
    payments = (
        Credit(account * 10 + asset, account, asset, 10**12, created_us)
        for account in range(1, 6)
        for asset in (1, 2)
    )
    return encode_command(LISTING) + b"".join(encode_command(credit) for credit in payments)


def batch(chance: random.Random, commands: int) -> bytes:
    """Return so many orders and cancels."""
    records = []
    for _ in range(commands):
        key = chance.randint(1, 400)
        if chance.random() < 0.3:
            records.append(encode_command(CancelOrder(chance.randint(1, 5), ETH_USDT, 0, key)))
            continue
        order = PlaceOrder(
            chance.randint(1, 5),
            key,
            ETH_USDT,
            Side(chance.randint(0, 1)),
            OrderType.LIMIT,
            TimeInForce.GTC,
            chance.randint(990, 1_010),
            chance.randint(1, 50),
            client_text="text" if chance.random() < 0.2 else "",
        )
        records.append(encode_command(order))
    return b"".join(records)


def trade(loop: NativeLoop, chance: random.Random, batches: int) -> bytes:
    """Submit so many batches of up to 40 commands; return their events."""
    return b"".join(loop.submit(batch(chance, chance.randint(1, 40))) for _ in range(batches))
