"""What the market data process tells its subscribers, and how it checks itself."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from api.websocket.hub import FeedHub, channel_of
from domain.candles import INTERVALS, Candle
from domain.commands import DelistSymbol, Tick
from domain.events import Trade
from domain.market_data import BookMirrorError
from tests.api.exchange import Exchange
from tests.api.memory import ETH_USDT
from tests.domain.test_market_data import _command
from workers.market_books import MarketBooks


class Source:
    """A feed that a test fills by hand."""

    def __init__(self) -> None:
        self.copies: dict[tuple[str, str], bytes] = {}

    async def messages(self) -> Any:
        return
        yield

    async def hot(self, kind: str, symbol: str) -> bytes | None:
        return self.copies.get((kind, symbol))


class Listener:
    """A subscriber that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def offer(self, message: bytes) -> None:
        self.messages.append(json.loads(message))


@pytest.fixture
def books() -> MarketBooks:
    """Give an empty market."""
    made = MarketBooks()
    made.open(ETH_USDT, 0, [], [])
    return made


def _run(
    exchange: Exchange, books: MarketBooks, draw: random.Random, numbers: range
) -> list[bytes]:
    messages = []
    for number in numbers:
        books.apply(exchange.door.apply(_command(draw, number)))
        messages += books.take_messages()
    return messages


def test_a_subscribers_book_equals_the_engines(books: MarketBooks) -> None:
    """Published deltas have dense prev_seq and right checksums, and rebuild the book."""
    exchange = Exchange()
    hub = FeedHub(Source(), lambda: ["ETH/USDT"])
    feed = hub.feed("ETH/USDT")
    feed.sequence = 0
    listener = Listener()
    hub.subscribe(listener, "book", "ETH/USDT")
    for message in _run(exchange, books, random.Random(1), range(200)):
        hub._take(message)
    deltas = [message for message in listener.messages if message["type"] == "delta"]
    assert [delta["prev_seq"] for delta in deltas[1:]] == [delta["seq"] for delta in deltas[:-1]]
    bids, asks = exchange.door.engine.book(1, 1_000)
    assert feed.book() == (
        [(ETH_USDT.price_text(price), ETH_USDT.quantity_text(lots)) for price, lots in bids],
        [(ETH_USDT.price_text(price), ETH_USDT.quantity_text(lots)) for price, lots in asks],
    )


async def test_a_gap_is_healed_by_the_hot_copy(books: MarketBooks) -> None:
    """A lost message makes the book stale; subscribers then start from a fresh snapshot."""
    exchange, draw, source = Exchange(), random.Random(2), Source()
    hub = FeedHub(source, lambda: ["ETH/USDT"])
    feed = hub.feed("ETH/USDT")
    feed.sequence = 0
    listener = Listener()
    hub.subscribe(listener, "book", "ETH/USDT")
    for message in _run(exchange, books, draw, range(60)):
        hub._take(message)
    _run(exchange, books, draw, range(60, 100))  # these are lost
    for message in _run(exchange, books, draw, range(100, 120)):
        hub._take(message)
    assert feed.is_stale
    source.copies = {
        (kind, symbol): body for kind, symbol, body in books.take_hot_copies(now=1e9)[1]
    }
    await hub._load(feed)
    assert not feed.is_stale
    assert listener.messages[-1]["type"] == "snapshot"
    bids, _ = exchange.door.engine.book(1, 1_000)
    assert [price for price, _ in feed.book()[0]] == [ETH_USDT.price_text(p) for p, _ in bids]


async def test_a_hot_copy_that_is_too_old_is_not_taken(books: MarketBooks) -> None:
    """With deltas missing between the copy and what was seen, the book stays stale."""
    exchange, draw, source = Exchange(), random.Random(3), Source()
    _run(exchange, books, draw, range(30))
    source.copies = {(kind, symbol): body for kind, symbol, body in books.take_hot_copies(1e9)[1]}
    _run(exchange, books, draw, range(30, 60))
    hub = FeedHub(source, lambda: ["ETH/USDT"])
    for message in _run(exchange, books, draw, range(60, 90)):
        hub._take(message)
    await hub._load(hub.feed("ETH/USDT"))
    assert hub.feed("ETH/USDT").is_stale


def test_the_mirror_is_compared_with_the_engine(books: MarketBooks) -> None:
    """A right book passes at its sequence; a wrong one is a defect that ends the process."""
    exchange, draw = Exchange(), random.Random(4)
    _run(exchange, books, draw, range(50))
    engine = exchange.door.engine
    books.expect(1, engine.sequence, *engine.book(1, 1_000))
    _run(exchange, books, draw, range(50, 60))
    assert books.check_count == 1
    bids, asks = engine.book(1, 1_000)
    books.expect(1, engine.sequence, [(1, 1), *bids], asks)
    with pytest.raises(BookMirrorError):
        _run(exchange, books, draw, range(60, 80))


def test_candles_are_saved_once(books: MarketBooks) -> None:
    """What was stored is forgotten, unless it changed while it was being stored."""
    exchange, draw = Exchange(), random.Random(5)
    _run(exchange, books, draw, range(60))
    saved = books.unsaved_candles()
    assert saved
    _run(exchange, books, draw, range(60, 140))
    books.forget_saved(saved)
    changed: list[Candle] = books.unsaved_candles()
    assert changed
    books.forget_saved(changed)
    assert books.unsaved_candles() == []


def test_trades_behind_the_books_sequence_are_in_the_candles(books: MarketBooks) -> None:
    """At a start the engine's book is ahead of the events that are still to be read."""
    exchange, draw = Exchange(), random.Random(8)
    batches = []
    for number in range(120):
        exchange.door.time_us += 1_000_000
        batches.append(exchange.door.apply(_command(draw, number)))
    late = MarketBooks()
    late.open(ETH_USDT, exchange.door.engine.sequence, *exchange.door.engine.book(1, 1_000))
    for one in (books, late):
        for events in batches:
            one.apply(events)
            one.take_messages()
    assert late.unsaved_candles() == books.unsaved_candles()
    count = sum(isinstance(event, Trade) for events in batches for event in events)
    minutes = [one for one in late.unsaved_candles() if one.interval_seconds == 60]
    assert sum(one.trade_count for one in minutes) == count > 0


async def test_candles_of_every_interval_are_told(books: MarketBooks) -> None:
    """Minutes with the batch, the others with the hot copies; a new gateway knows the newest."""
    exchange, draw, source = Exchange(), random.Random(9), Source()
    hub, listeners = FeedHub(source, lambda: ["ETH/USDT"]), {}
    for interval in INTERVALS:
        listeners[interval] = Listener()
        hub.subscribe(listeners[interval], channel_of("candles", interval), "ETH/USDT")
    for message in _run(exchange, books, draw, range(100)):
        hub._take(message)
    told = {name: one.messages for name, one in listeners.items()}
    assert all(messages[0]["candle"] is None for messages in told.values())
    assert [name for name, messages in told.items() if len(messages) > 1] == ["1m"]
    messages, copies = books.take_hot_copies(1e9)
    for message in messages:
        hub._take(message)
    assert all(one[-1]["interval"] == name for name, one in told.items())
    assert len({json.dumps(one[-1]["candle"]["trades"]) for one in told.values()}) == 1
    source.copies = {(kind, symbol): body for kind, symbol, body in copies}
    other = FeedHub(source, lambda: ["ETH/USDT"])
    await other._load(other.feed("ETH/USDT"))
    assert other.feed("ETH/USDT").candles == {name: one[-1]["candle"] for name, one in told.items()}


def test_hot_copies_are_written_again_every_second(books: MarketBooks) -> None:
    """After a FLUSHALL everything is there again within a second, even in an idle market."""
    assert books.take_hot_copies(now=10.0)[1]
    assert books.take_hot_copies(now=10.5) == ([], [])
    assert books.take_hot_copies(now=11.1)[1]


def test_a_lost_last_message_is_noticed_by_heartbeats(books: MarketBooks) -> None:
    """Two heartbeats ahead of the mirror make it stale; one alone may have overtaken a delta."""
    exchange = Exchange()
    hub = FeedHub(Source(), lambda: ["ETH/USDT"])
    feed = hub.feed("ETH/USDT")
    feed.sequence = 0
    lost = _run(exchange, books, random.Random(6), range(30))
    assert lost
    for now, is_stale in ((10.0, False), (11.5, True)):
        for heartbeat in books.take_hot_copies(now)[0]:
            hub._take(heartbeat)
        assert feed.is_stale is is_stale


def test_a_book_that_differs_at_the_same_sequence_is_healed(books: MarketBooks) -> None:
    """Each heartbeat has the publisher's checksum; a gateway's book is held against it once."""
    hub = FeedHub(Source(), lambda: ["ETH/USDT"])
    feed = hub.feed("ETH/USDT")
    feed.sequence = 0
    for message in _run(Exchange(), books, random.Random(6), range(30)):
        hub._take(message)
    for now in (10.0, 11.5):
        hub._take(books.take_hot_copies(now)[0][0])
    assert (hub.book_checks, hub.books_wrong, feed.is_stale) == (1, 0, False)
    best = feed.book(1)[0][0][0]
    feed.bids[best] += "1"
    feed.compared = -1
    hub._take(books.take_hot_copies(13.0)[0][0])
    assert (hub.book_checks, hub.books_wrong, feed.is_stale) == (2, 1, True)


def test_trades_that_are_published_again_are_told_once(books: MarketBooks) -> None:
    """A restarted publisher repeats what it had not stored; subscribers hear only what is new."""
    exchange = Exchange()
    hub = FeedHub(Source(), lambda: ["ETH/USDT"])
    listener = Listener()
    hub.subscribe(listener, "trades", "ETH/USDT")
    messages = _run(exchange, books, random.Random(8), range(80))
    for message in messages + messages[-20:]:
        hub._take(message)
    told = [
        int(trade["trade_id"])
        for message in listener.messages
        if message["type"] == "update"
        for trade in message["trades"]
    ]
    assert told == list(range(1, len(told) + 1))


def test_a_delisted_market_has_no_more_candles(books: MarketBooks) -> None:
    """Its book is empty in the end; minutes that pass afterwards make no candle."""
    exchange = Exchange()
    _run(exchange, books, random.Random(7), range(200))
    assert books.unsaved_candles()
    books.apply(exchange.door.apply(DelistSymbol(ETH_USDT.symbol_id, "ada", "over")))
    messages = [json.loads(message) for message in books.take_messages()]
    (delta,) = [message for message in messages if message["channel"] == "book"]
    assert all(quantity == "0" for _, quantity in delta["bids"] + delta["asks"])
    books.forget_saved(books.unsaved_candles())
    exchange.door.time_us += 600_000_000
    books.apply(exchange.door.apply(Tick()))
    assert books.take_messages() == []
    assert books.unsaved_candles() == []
