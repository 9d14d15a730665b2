"""Redis is fan-out: whatever happens to it, readers see every event once and in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import cast

import pytest
from redis.asyncio import Redis

from domain.commands import CancelOrder
from infra.engine_errors import JournalBehindLedger
from infra.redis.event_stream import EventPublisher, EventReader, stream_name
from matching.codec import encode_command
from tests.infra.engine_rig import Rig, running

pytestmark = pytest.mark.servers
STREAM = stream_name(0)
Entry = tuple[bytes, dict[bytes, bytes]]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Give a running engine."""
    async with running() as rig:
        yield rig


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """Give an emptied Valkey."""
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


def _publisher(rig: Rig, redis: Redis) -> EventPublisher:
    sequencer = rig.host.sequencer
    return EventPublisher(
        redis,
        sequencer,
        sequencer.journal.journal_id,
        lambda: sequencer.events.first_sequence,
        rig.host.wait_durable,
    )


async def _submit(rig: Rig, count: int) -> int:
    client = await rig.client()
    await client.submit_bytes(encode_command(CancelOrder(1, 0, 5)) * count, count)
    return rig.host.sequencer.sequence


async def _read_to(reader: EventReader, cursor: int, last: int) -> int:
    """Read on to `last`, checking that each batch goes on where the one before ended."""
    while cursor < last:
        batch = await reader.read(cursor, 1.0)
        if batch is None:
            continue
        assert batch.first_sequence == cursor + 1
        sequences = batch.view()["sequence"]
        assert sorted(set(sequences.tolist())) == list(range(cursor + 1, batch.last_sequence + 1))
        cursor = batch.last_sequence
    return cursor


async def test_readers_survive_flushall(rig: Rig, redis: Redis) -> None:
    """Erased under load again and again: no event is missing, none comes twice."""
    publisher = asyncio.create_task(_publisher(rig, redis).run())
    reader = EventReader(redis, rig.grpc())
    cursor = 0
    for _ in range(6):
        published = await _submit(rig, 150)
        assert await redis.xread({STREAM: f"{published - 1}-0"}, block=5_000)
        last = await _submit(rig, 150)
        await redis.flushall()  # what was published is gone, what comes now may be caught by it
        cursor = await _read_to(reader, cursor, last)
    last = await _submit(rig, 10)
    cursor = await _read_to(reader, cursor, last)
    assert reader.from_engine > 0
    publisher.cancel()


async def test_without_redis_the_engine_serves(rig: Rig) -> None:
    """No Redis at all, or one that refuses connections, is only slower."""
    last = await _submit(rig, 50)
    nobody = Redis.from_url("redis://127.0.0.1:1")
    for reader in (EventReader(None, rig.grpc()), EventReader(nobody, rig.grpc())):
        assert await _read_to(reader, 0, last) >= last
        assert reader.from_engine > 0
    await nobody.aclose()


async def test_batches_come_from_redis_when_it_has_them(rig: Rig, redis: Redis) -> None:
    """A reader that keeps up does not ask the engine."""
    publisher = _publisher(rig, redis)
    task = asyncio.create_task(publisher.run())
    last = await _submit(rig, 500)
    assert await redis.xread({STREAM: f"{last - 1}-0"}, block=5_000)
    reader = EventReader(redis, rig.grpc())
    await _read_to(reader, 0, last)
    assert await _read_to(reader, 123, last) >= last  # from the middle of a blob
    assert reader.from_engine == 0
    task.cancel()


async def test_publishing_twice_is_publishing_once(rig: Rig, redis: Redis) -> None:
    """Two publishers of one journal do not double an entry; ids are the last sequences."""
    tasks = [asyncio.create_task(_publisher(rig, redis).run()) for _ in range(2)]
    last = await _submit(rig, 400)
    reader = EventReader(redis, rig.grpc())
    await _read_to(reader, 0, last)
    entries = cast("list[Entry]", await redis.xrange(STREAM))
    firsts = [int(fields[b"first"]) for _, fields in entries]
    lasts = [int(fields[b"last"]) for _, fields in entries]
    assert firsts[1:] == [number + 1 for number in lasts[:-1]]
    assert [entry_id for entry_id, _ in entries] == [f"{n}-0".encode() for n in lasts]
    for task in tasks:
        task.cancel()


@pytest.mark.parametrize("seed", range(4))
async def test_doubled_shuffled_and_missing_entries(rig: Rig, redis: Redis, seed: int) -> None:
    """A stream that somebody has ruined: readers get every event once, in order, from the engine.

    Each entry comes up to three times, half of them in their neighbour's place, some not at all.
    """
    chance = random.Random(seed)
    publisher = asyncio.create_task(_publisher(rig, redis).run())
    for _ in range(12):
        await _submit(rig, 20)
        await asyncio.sleep(0.02)
    last = rig.host.sequencer.sequence
    assert await redis.xread({STREAM: f"{last - 1}-0"}, block=5_000)
    publisher.cancel()
    entries = cast("list[Entry]", await redis.xrange(STREAM))
    contents = [fields for _, fields in entries]
    for place in range(0, len(contents) - 1, 2):
        if chance.random() < 0.5:
            contents[place : place + 2] = contents[place + 1], contents[place]
    await redis.delete(STREAM)
    for (name, _), fields in zip(entries, contents, strict=True):
        for again in range(chance.randint(0, 3)):
            await redis.xadd(STREAM, fields, id=f"{name.decode().split('-')[0]}-{again}")  # type: ignore[arg-type]
    reader = EventReader(redis, rig.grpc())
    assert await _read_to(reader, 0, last) >= last  # ticks follow


async def test_nothing_is_published_before_it_is_durable(rig: Rig, redis: Redis) -> None:
    """The newest entry never passes the durable sequence."""
    task = asyncio.create_task(_publisher(rig, redis).run())
    for _ in range(20):
        await _submit(rig, 50)
        newest = cast("list[Entry]", await redis.xrevrange(STREAM, count=1))
        durable = rig.host.sequencer.durable_sequence
        assert not newest or int(newest[0][1][b"last"]) <= durable
    task.cancel()


async def test_a_stream_of_another_journal_is_erased(rig: Rig, redis: Redis) -> None:
    """What an earlier exchange left in Redis is not taken for ours."""
    await redis.set("events:0:journal", "another")
    await redis.xadd(STREAM, {"first": 1, "last": 9_999, "blob": b""}, id="9999-0")
    publisher = _publisher(rig, redis)
    task = asyncio.create_task(publisher.run())
    last = await _submit(rig, 20)
    reader = EventReader(redis, rig.grpc())
    assert await _read_to(reader, 0, last) < 9_999
    task.cancel()


async def test_a_reader_beyond_the_journal_is_told(rig: Rig, redis: Redis) -> None:
    """A cursor that the journal never reached is an error, not an endless wait."""
    with pytest.raises(JournalBehindLedger):
        await EventReader(redis, rig.grpc()).read(10**6, 0.05)


async def test_the_stream_never_fills_the_server(rig: Rig, redis: Redis) -> None:
    """It is bounded by bytes, keeps the newest, and what it dropped comes from the engine."""
    room = 20_000
    sequencer = rig.host.sequencer
    journal = sequencer.journal.journal_id
    publisher = EventPublisher(
        redis, sequencer, journal, lambda: 1, rig.host.wait_durable, stream_bytes=room
    )
    task = asyncio.create_task(publisher.run())
    last = 0
    for _ in range(20):
        last = await _submit(rig, 50)
        while publisher.cursor < last:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)
    entries = cast("list[Entry]", await redis.xrange(STREAM))
    assert 0 < sum(len(fields[b"blob"]) for _, fields in entries) <= room
    assert int(entries[-1][1][b"last"]) >= last  # a tick may have followed
    reader = EventReader(redis, rig.grpc())
    assert await _read_to(reader, 0, last) >= last  # ticks follow
    assert reader.from_engine > 0
    task.cancel()
