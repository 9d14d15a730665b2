"""Market data from events: the mirror equals the engine's book, candles equal their trades."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import AmendOrder, CancelAll, CancelOrder, Command, PlaceOrder
from domain.events import Event, Trade
from domain.market_data import BookDelta, BookMirror, BookMirrorError, checksum
from domain.order import OrderType, SelfTrade, Side, TimeInForce
from domain.order_id import client_key
from tests.api.exchange import Exchange
from tests.api.memory import ALICE, BOB
from tests.examples import examples

MINUTE_US = 60_000_000


def _command(draw: random.Random, number: int) -> Command:
    account = draw.choice((ALICE, BOB))
    kind = draw.random()
    if kind < 0.02:
        return CancelAll(account)
    if kind < 0.25:
        return CancelOrder(account, 1, order_id=draw.randrange(1, number + 2))
    if kind < 0.35:
        price = 250_000 + draw.randrange(-20, 21)
        return AmendOrder(account, 1, draw.randrange(1, number + 2), 0, price, draw.choice((0, 99)))
    is_market = kind < 0.45
    time_in_force = TimeInForce.IOC if is_market else draw.choice(list(TimeInForce))
    lots = draw.randrange(1, 5_000)
    is_iceberg = time_in_force is TimeInForce.GTC and draw.random() < 0.3
    return PlaceOrder(
        account_id=account,
        client_key=client_key(str(number)),
        symbol_id=1,
        side=draw.choice((Side.BUY, Side.SELL)),
        order_type=OrderType.MARKET if is_market else OrderType.LIMIT,
        time_in_force=time_in_force,
        price_ticks=0 if is_market else 250_000 + draw.randrange(-20, 21),
        quantity_lots=lots,
        display_lots=max(1, lots // 7) if is_iceberg else 0,
        self_trade=draw.choice(list(SelfTrade)),
        client_text=str(number),
    )


def _events_of(seed: int, count: int) -> tuple[Exchange, list[tuple[Event, ...]]]:
    exchange = Exchange()
    draw = random.Random(seed)
    return exchange, [exchange.door.apply(_command(draw, number)) for number in range(count)]


@given(seed=st.integers(0, 2**32), every=st.integers(1, 9))
@settings(max_examples=examples(25))
def test_the_mirror_equals_the_engines_book(seed: int, every: int) -> None:
    """After any orders, and a copy that only sees the published deltas equals it too."""
    exchange, commands = _events_of(seed, 120)
    mirror, copy = BookMirror(1), BookMirror(1)
    for number, events in enumerate(commands):
        for event in events:
            mirror.apply(event)
        if number % every == 0:
            delta = mirror.take_delta()
            assert delta is None or copy.apply_delta(delta)
    delta = mirror.take_delta()
    assert delta is None or copy.apply_delta(delta)
    expected = exchange.door.engine.book(1, 1_000)
    assert expected == (mirror.bids(), mirror.asks())
    assert expected == (copy.bids(), copy.asks())
    assert mirror.bids(3) == expected[0][:3]
    assert mirror.asks(3) == expected[1][:3]


def test_a_mirror_may_start_from_a_snapshot_in_the_middle() -> None:
    """Events up to the snapshot's sequence leave it alone; the rest is applied."""
    exchange = Exchange()
    draw = random.Random(7)
    commands = [exchange.door.apply(_command(draw, number)) for number in range(80)]
    bids, asks = exchange.door.engine.book(1, 1_000)
    mirror = BookMirror(1, exchange.door.engine.sequence, bids, asks)
    commands += [exchange.door.apply(_command(draw, number)) for number in range(80, 160)]
    for events in commands:
        for event in events:
            mirror.apply(event)
    assert exchange.door.engine.book(1, 1_000) == (mirror.bids(), mirror.asks())


def test_a_missing_delta_is_noticed_and_changes_nothing() -> None:
    """A gap is refused; a repeated delta is passed over."""
    mirror = BookMirror(1, 5, [(10, 1)], [])
    assert not mirror.apply_delta(BookDelta(1, 9, 7, ((10, 3),), ()))
    assert mirror.apply_delta(BookDelta(1, 5, 4, ((10, 3),), ()))
    assert (mirror.bids(), mirror.sequence) == ([(10, 1)], 5)
    assert mirror.apply_delta(BookDelta(1, 9, 5, ((10, 0), (11, 2)), ()))
    assert (mirror.bids(), mirror.sequence) == ([(11, 2)], 9)


def test_a_level_below_zero_is_a_defect() -> None:
    """A mirror that disagrees with the events says so at once."""
    exchange, commands = _events_of(3, 60)
    trade = next(event for events in commands for event in events if isinstance(event, Trade))
    with pytest.raises(BookMirrorError):
        BookMirror(1).apply(trade)
    assert exchange.door.engine.sequence > 0


def test_the_checksum_is_crc32_of_the_top_ten() -> None:
    """Price and quantity in text, bids then asks, joined by colons; deeper levels do not count."""
    bids = [(str(price), "1") for price in range(30, 15, -1)]
    asks = [("31", "2.5")]
    text = ":".join(f"{price}:1" for price in range(30, 20, -1)) + ":31:2.5"
    assert checksum(bids, asks) == zlib.crc32(text.encode())
    assert checksum([], []) == 0
