"""API keys in memory: fresh for two seconds, read ahead while in use, kept while the store is away.

Time is played; the store answers when the test lets it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from api.ports import KeyDirectory
from domain.customer import ApiKey
from workers import key_cache
from workers.key_cache import KEY_AHEAD_SECONDS, KEY_FRESH_SECONDS, KeyCache

KEY = ApiKey("k", 1, b"s", frozenset({"read"}), "standard", "active", None)


class Store:
    """A key store that a test breaks, or holds up."""

    def __init__(self) -> None:
        self.key: ApiKey | None = KEY
        self.away = False
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()

    async def find_key(self, key_id: str) -> ApiKey | None:
        self.reads += 1
        await self.open.wait()
        if self.away:
            raise ConnectionError("played")
        return None if key_id.startswith("guess") else self.key


class Clock:
    """The monotonic clock, by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


async def _let_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_keys_are_read_once_in_two_seconds(clock: Clock) -> None:
    """A busy key costs one look-up; a revoked one dies with the next."""
    store = Store()
    cache: KeyDirectory = KeyCache(store)
    assert [await cache.find("k"), await cache.find("k")] == [KEY, KEY]
    assert store.reads == 1
    store.key = None
    clock.now = KEY_FRESH_SECONDS + 0.1
    assert await cache.find("k") is None


async def test_all_who_wait_for_a_key_share_one_look_up(clock: Clock) -> None:
    """Requests that come together ask the database once, and one that gives up ends no other's."""
    store = Store()
    cache = KeyCache(store)
    store.open.clear()
    waiting = [asyncio.create_task(cache.find("k")) for _ in range(10)]
    await _let_run()
    waiting.pop().cancel()
    await _let_run()
    store.open.set()
    assert await asyncio.gather(*waiting) == [KEY] * 9
    assert (store.reads, clock.now) == (1, 0.0)


async def test_a_key_in_use_is_read_ahead(clock: Clock) -> None:
    """Nobody waits for a key that is used all the time; what is read ahead counts from then."""
    store = Store()
    cache = KeyCache(store)
    await cache.find("k")
    clock.now = KEY_AHEAD_SECONDS + 0.1
    store.open.clear()
    store.key = None
    assert [await cache.find("k") for _ in range(3)] == [KEY] * 3
    await _let_run()
    assert store.reads == 2
    store.open.set()
    await _let_run()
    assert await cache.find("k") is None


async def test_a_stranger_is_not_read_ahead(clock: Clock) -> None:
    """Whoever names a key that does not exist costs the database one query in two seconds."""
    store = Store()
    store.key = None
    cache = KeyCache(store)
    await cache.find("k")
    clock.now = KEY_AHEAD_SECONDS + 0.1
    await cache.find("k")
    await _let_run()
    assert store.reads == 1
    assert not cache.remembers("k")


async def test_known_keys_work_without_the_database(clock: Clock) -> None:
    """Trading goes on for ten minutes; a key nobody has seen cannot be judged."""
    store = Store()
    cache = KeyCache(store)
    await cache.find("k")
    store.away = True
    clock.now = KEY_AHEAD_SECONDS + 0.1
    assert await cache.find("k") == KEY  # and what is read ahead fails behind its back
    await _let_run()
    clock.now = 500.0
    assert await cache.find("k") == KEY
    with pytest.raises(ConnectionError):
        await cache.find("other")
    clock.now = 700.0
    with pytest.raises(ConnectionError):
        await cache.find("k")


async def test_guesses_do_not_push_keys_out(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ids are tried, the keys in use stay known, and what is remembered is bounded."""
    monkeypatch.setattr(key_cache, "_LARGEST_KEY_CACHE", 2)
    monkeypatch.setattr(key_cache, "_LARGEST_UNKNOWN_CACHE", 3)
    store = Store()
    cache = KeyCache(store)
    await cache.find("k")
    for number in range(10):
        assert await cache.find(f"guess-{number}") is None
    assert cache.remembers("k")
    assert not cache.remembers("guess-9")
    read = store.reads
    assert await cache.find("k") == KEY
    assert await cache.find("guess-9") is None
    assert store.reads == read, "both are remembered"
    await cache.find("guess-0")
    assert store.reads == read + 1, "this one was forgotten"
    assert clock.now == 0.0


async def test_a_key_that_is_told_to_have_ended_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also while it is being read: what was found before it ended does not count."""
    clock, store = Clock(monkeypatch), Store()
    keys = KeyCache(store)
    assert await keys.find("k") == KEY
    clock.now += KEY_FRESH_SECONDS
    store.open.clear()
    reading = asyncio.create_task(keys.find("k"))
    await _let_run()

    async def messages() -> AsyncIterator[str]:
        clock.now += 0.001
        yield "k"
        await asyncio.Event().wait()

    following = asyncio.create_task(keys.follow(messages))
    await _let_run()
    assert not keys.remembers("k")
    clock.now += 0.001
    store.open.set()
    await reading
    assert store.reads == 3
    store.key = None
    keys.forget("k")
    assert await keys.find("k") is None
    following.cancel()
