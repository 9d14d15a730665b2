"""Made-up engine events for tests: dense commands with trades, credits and debits."""

from __future__ import annotations

import random
from uuid import UUID

from domain.events import Credited, Debited, Event, OrderAccepted, Ticked, Trade
from domain.order import OrderType, SelfTrade, Side, TimeInForce

SHARD_BITS = 48


def tick(sequence: int) -> Event:
    """Return the outcome of a tick."""
    return Ticked(sequence, 0, sequence * 1000)


def credited(sequence: int, transfer: UUID, account: int, asset: int, units: int) -> Event:
    """Return the outcome of a credit."""
    return Credited(sequence, 0, sequence * 1000, transfer.int, account, asset, units)


def debited(sequence: int, transfer: UUID, account: int, asset: int, units: int) -> Event:
    """Return the outcome of a debit."""
    return Debited(sequence, 0, sequence * 1000, transfer.int, account, asset, units)


def accepted(sequence: int, account: int, side: Side, text: str = "c") -> Event:
    """Return the outcome of an order."""
    return OrderAccepted(
        sequence=sequence,
        index=0,
        time_us=sequence * 1000,
        account_id=account,
        order_id=sequence,
        client_key=sequence,
        symbol_id=1,
        side=side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        post_only=False,
        self_trade=SelfTrade.EXPIRE_MAKER,
        price_ticks=250_000,
        quantity_lots=100,
        hold_units=1,
        client_text=text,
    )


def trade(
    sequence: int,
    index: int,
    trade_id: int,
    *,
    maker: int,
    taker: int,
    taker_side: Side = Side.BUY,
    base_units: int = 1_000,
    quote_units: int = 2_000,
    maker_fee: int = 2,
    taker_fee: int = 4,
) -> Event:
    """Return one fill in market 1."""
    return Trade(
        sequence=sequence,
        index=index,
        symbol_id=1,
        trade_id=trade_id,
        taker_side=taker_side,
        maker_order_id=trade_id * 2,
        taker_order_id=sequence,
        maker_account_id=maker,
        taker_account_id=taker,
        price_ticks=250_000,
        quantity_lots=7,
        base_units=base_units,
        quote_units=quote_units,
        maker_fee_units=maker_fee,
        taker_fee_units=taker_fee,
    )


def trading_day(
    seed: int, first_sequence: int, commands: int, accounts: int, first_trade_id: int = 1
) -> list[Event]:
    """Return orders that trade 0 to 3 times each, between random accounts, with ticks between."""
    rng = random.Random(seed)
    events: list[Event] = []
    trade_id = first_trade_id
    for sequence in range(first_sequence, first_sequence + commands):
        if rng.random() < 0.1:
            events.append(tick(sequence))
            continue
        taker = rng.randint(1, accounts)
        side = Side(rng.randint(0, 1))
        events.append(accepted(sequence, taker, side, "x" * rng.choice((0, 5, 36))))
        for index in range(1, 1 + rng.randint(0, 3)):
            maker = rng.choice([a for a in range(1, accounts + 1) if a != taker])
            events.append(
                trade(
                    sequence,
                    index,
                    trade_id,
                    maker=maker,
                    taker=taker,
                    taker_side=side,
                    base_units=rng.randint(1, 1000),
                    quote_units=rng.randint(1, 1000),
                    maker_fee=rng.randint(-3, 5),
                    taker_fee=rng.randint(3, 9),
                )
            )
            trade_id += 1
    return events
