"""Three venues, spoken as they speak: prices arrive exact, and no misbehaviour stops a source."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.server import ServerConnection

from domain.source_price import SourceRefusal
from infra.prices.source import SOURCE_IDS, PricedMarket
from infra.prices.venue import VenueSource
from tests.infra.prices.venues import (
    BTC,
    ETH,
    IMPATIENT,
    NOW_US,
    QUICK,
    VENUES,
    SpokenVenue,
    door,
    running,
    saying,
    until,
)


@pytest.fixture(params=sorted(VENUES))
def venue(request: pytest.FixtureRequest) -> SpokenVenue:
    return VENUES[request.param]


async def test_two_pairs_in_one_session(venue: SpokenVenue) -> None:
    """Each pair's last price, in its market's ticks, half-even, with the venue's time."""
    frames = (
        *venue.small_talk,
        venue.trade("BTC", "67000.10"),
        venue.trade("ETH", "3500.125"),  # half-way: to the even tick
        venue.trade("BTC", "67000.25", NOW_US + 1_000_000),  # a clock that goes ahead a little
    )
    async with (
        door(saying(*frames)) as there,
        running(venue, there.url, markets=(BTC, ETH)) as source,
    ):
        await until(lambda: source.health.taken == 3)
        btc, eth = source.price(1, NOW_US), source.price(2, NOW_US)
        assert btc is not None
        assert eth is not None
        assert (btc.price_ticks, btc.time_us) == (670_002, NOW_US)
        assert (eth.price_ticks, eth.time_us) == (350_012, NOW_US)
        assert btc.source_id == SOURCE_IDS[source.name]
        assert source.health.is_connected
        assert not source.health.refused


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("binance", "/stream?streams=btcusdt@trade/ethusdt@trade", None),
        (
            "coinbase",
            "/",
            {
                "type": "subscribe",
                "product_ids": ["BTC-USDT", "ETH-USDT"],
                "channels": ["ticker", "heartbeat"],
            },
        ),
        (
            "kraken",
            "/",
            {
                "method": "subscribe",
                "params": {
                    "channel": "trade",
                    "symbol": ["BTC/USDT", "ETH/USDT"],
                    "snapshot": False,
                },
            },
        ),
    ],
)
async def test_what_a_venue_is_asked(name: str, path: str, message: object) -> None:
    """The address and the subscription are the documented ones."""
    venue, heard = VENUES[name], []

    async def act(connection: ServerConnection) -> None:
        if message is not None:
            heard.append(json.loads(await connection.recv()))
        await connection.send(venue.trade("BTC", "67000"))
        await connection.wait_closed()

    async with door(act) as there, running(venue, there.url, markets=(BTC, ETH)) as source:
        await until(lambda: source.health.taken == 1)
        assert there.paths[0] == path
        assert heard == ([] if message is None else [message])


async def test_comes_back_after_a_disconnect(venue: SpokenVenue) -> None:
    """The last price stays until it is too old; the next session brings a newer one."""

    async def first(connection: ServerConnection) -> None:
        for _ in venue.dialect.subscriptions(()):
            await connection.recv()
        await connection.send(venue.trade("BTC", "67000"))

    later = NOW_US + 1_000
    async with (
        door(first, saying(venue.trade("BTC", "67001", later))) as there,
        running(venue, there.url, markets=(BTC,)) as source,
    ):
        await until(lambda: source.health.taken == 2)
        found = source.price(1, NOW_US)
        assert found is not None
        assert found.price_ticks == 670_010
        assert source.health.sessions == 2


async def test_nonsense_is_counted_and_dropped(venue: SpokenVenue) -> None:
    """Every kind of nonsense by its reason; a good price among it still counts."""
    number = '"NaN"' if venue.dialect.name == "kraken" else "NaN"
    frames = (
        venue.trade("BTC", "67000"),
        venue.trade("BTC", number),
        venue.trade("BTC", "-67000"),
        venue.trade("BTC", "0"),
        venue.trade("BTC", "9" * 29),
        venue.trade("DOGE", "67000"),
        venue.trade("BTC", "67000", NOW_US - 11_000_000),
        venue.trade("BTC", "67000", NOW_US + 3_000_000),
        venue.trade("BTC", "67000", NOW_US - 1_000_000),
        "this is not JSON",
        venue.trade("BTC", "67002"),
    )
    async with door(saying(*frames)) as there, running(venue, there.url, markets=(BTC,)) as source:
        await until(lambda: source.health.frames == len(frames))
        found = source.price(1, NOW_US)
        assert found is not None
        assert found.price_ticks == 670_020
        assert source.health.sessions == 1
        assert source.health.refused == {
            SourceRefusal.NOT_A_PRICE: 3,
            SourceRefusal.TOO_LARGE: 1,
            SourceRefusal.UNKNOWN_PAIR: 1,
            SourceRefusal.STALE: 1,
            SourceRefusal.FUTURE: 1,
            SourceRefusal.OUT_OF_ORDER: 1,
            SourceRefusal.GARBAGE: 1,
        }


async def test_garbage_without_end_ends_the_session(venue: SpokenVenue) -> None:
    """Not even one that never pauses holds the others up: the source leaves and tries again."""

    async def flood(connection: ServerConnection) -> None:
        while True:
            await connection.send(b"\xff\x00 garbage")
            await asyncio.sleep(0)  # the source runs in the same loop

    async with (
        door(flood, saying(venue.trade("BTC", "67000"))) as there,
        running(venue, there.url, markets=(BTC,)) as source,
    ):
        await until(lambda: source.health.taken == 1)
        assert source.health.refused == {SourceRefusal.GARBAGE: QUICK.max_garbage}
        assert "garbage" in source.health.failure


async def test_silence_ends_the_session(venue: SpokenVenue) -> None:
    """Small talk is not news: without a price that counts, the source asks anew."""

    async def chatter(connection: ServerConnection) -> None:
        while True:
            for frame in venue.small_talk:
                await connection.send(frame)
            await asyncio.sleep(0.02)

    async with (
        door(chatter, saying(venue.trade("BTC", "67000"))) as there,
        running(venue, there.url, markets=(BTC,), patience=IMPATIENT) as source,
    ):
        await until(lambda: source.health.taken == 1)
        assert source.health.sessions >= 2
        assert source.health.failure == "VenueError: no price that counts for 0.3 seconds"


async def test_a_refusal_is_waited_out(venue: SpokenVenue) -> None:
    """A venue that says no is asked again later, and the reason is kept."""
    async with (
        door(saying(venue.refusal), saying(venue.trade("BTC", "67000"))) as there,
        running(venue, there.url, markets=(BTC,)) as source,
    ):
        await until(lambda: source.health.taken == 1)
        assert source.health.failure.startswith("VenueError: ")
        assert there.sessions == 2


async def test_a_frame_without_end_is_refused(venue: SpokenVenue) -> None:
    """A frame is read up to its limit, never into memory without one."""
    async with (
        door(saying("x" * 5000), saying(venue.trade("BTC", "67000"))) as there,
        running(venue, there.url, markets=(BTC,)) as source,
    ):
        await until(lambda: source.health.taken == 1)
        assert "1009" in source.health.failure


async def test_a_handshake_drop_by_drop() -> None:
    """Who answers a byte at a time is left after the handshake's limit, and tried again."""
    venue, visits = VENUES["kraken"], []

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(1)
        try:
            for byte in b"HTTP/1.1 101 Switching Protocols\r\n" * 100:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"ws://127.0.0.1:{port}"
    async with running(venue, url, markets=(BTC,), patience=IMPATIENT) as source:
        await until(lambda: len(visits) >= 2)
        assert source.health.sessions == 0
        assert source.health.failure.startswith("TimeoutError")
    server.close()


async def test_a_frame_drop_by_drop() -> None:
    """A message whose pieces never end is no price: silence ends the session."""
    venue = VENUES["coinbase"]

    async def drip(connection: ServerConnection) -> None:
        async def pieces() -> object:
            while True:
                yield " "
                await asyncio.sleep(0.02)

        await connection.send(pieces())  # type: ignore[arg-type]

    async with (
        door(drip, saying(venue.trade("BTC", "67000"))) as there,
        running(venue, there.url, markets=(BTC,), patience=IMPATIENT) as source,
    ):
        await until(lambda: source.health.taken == 1)
        assert source.health.sessions >= 2


async def test_other_markets_begin_another_session() -> None:
    """A market that is listed later is subscribed to; the same set again changes nothing."""
    venue = VENUES["kraken"]
    heard = []

    async def act(connection: ServerConnection) -> None:
        heard.append(json.loads(await connection.recv())["params"]["symbol"])
        await connection.send(venue.trade("BTC", "67000"))
        await connection.wait_closed()

    async with door(act) as there, running(venue, there.url, markets=(BTC,)) as source:
        await until(lambda: source.health.taken == 1)
        source.watch((BTC,))
        source.watch((BTC, ETH))
        await until(lambda: source.health.taken == 2)
        assert heard == [["BTC/USDT"], ["BTC/USDT", "ETH/USDT"]]


async def test_a_renamed_pair_serves_two_markets() -> None:
    """A perpetual and its spot market may share a pair, each with its own tick."""
    venue = VENUES["coinbase"]
    perpetual = PricedMarket(9, "BTC/USDT", "BTC", "USDT", "1", 67_000)
    frame = venue.trade("BTC", "67000.5").replace("BTC-USDT", "BTC-USD")
    async with door(saying(frame)) as there:
        source = VenueSource(
            venue.dialect,
            lambda: NOW_US,
            url=there.url,
            pairs={"BTC/USDT": "BTC-USD"},
            patience=QUICK,
        )
        source.watch((BTC, perpetual))
        task = asyncio.create_task(source.run())
        await until(lambda: source.health.taken == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        prices = [source.price(number, NOW_US) for number in (1, 9)]
        assert [one.price_ticks for one in prices if one] == [670_005, 67_000]
