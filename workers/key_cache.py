"""API keys in a gateway's memory, so that a request does not wait for the database."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from domain.customer import ApiKey

KEY_FRESH_SECONDS = 2.0
KEY_AHEAD_SECONDS = 1.5
KEY_STALE_SECONDS = 600.0
_LARGEST_KEY_CACHE = 10_000
_LARGEST_UNKNOWN_CACHE = 1_000
_AGAIN_SECONDS = 0.5

Kept = TypeVar("Kept")


class KeyStore(Protocol):
    """Where keys are written down."""

    async def find_key(self, key_id: str, /) -> ApiKey | None:
        """Return an unrevoked key, or None; `ConnectionError` when that cannot be known."""


@dataclass(frozen=True, slots=True)
class _CachedKey:
    key: ApiKey
    read_at: float


class KeyCache:
    """API keys and sessions for two seconds from memory; while PostgreSQL is away, for ten minutes.

    So a revoked key dies within two seconds, at once where it is told (`follow`), and trading goes
    on without the database. A key that
    is in use is read again after a second and a half, while requests go on with what is known:
    without that, all that come when its two seconds are over would wait, each with its own query.
    Ids that are no keys have a small memory of their own: guessing makes no key forgotten.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._keys: OrderedDict[str, _CachedKey] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()  # id -> when it was no key
        self._reading: dict[str, asyncio.Task[ApiKey | None]] = {}
        self._ended: OrderedDict[str, float] = OrderedDict()  # id -> when that was told

    def remembers(self, key_id: str) -> bool:
        """Return whether it was a key when it was last looked up."""
        return key_id in self._keys

    async def find(self, key_id: str) -> ApiKey | None:
        """Return an unrevoked key, or None; `ConnectionError` when that cannot be known."""
        cached = self._keys.get(key_id)
        read_at = self._unknown.get(key_id) if cached is None else cached.read_at
        age_seconds = KEY_STALE_SECONDS if read_at is None else time.monotonic() - read_at
        if age_seconds < KEY_FRESH_SECONDS:
            if cached is None:
                return None
            if age_seconds > KEY_AHEAD_SECONDS:
                self._read(key_id)
            return cached.key
        try:
            return await asyncio.shield(self._read(key_id))  # others may wait for it, too
        except ConnectionError:
            if age_seconds < KEY_STALE_SECONDS:
                return None if cached is None else cached.key
            raise

    def forget(self, key_id: str) -> None:
        """Look a key up again before it is used: it has ended."""
        self._keys.pop(key_id, None)
        _remember(self._ended, key_id, time.monotonic(), _LARGEST_UNKNOWN_CACHE)

    async def follow(self, messages: Callable[[], AsyncIterator[str]]) -> None:
        """Forget what is told to have ended, until cancelled."""
        while True:
            with suppress(ConnectionError):
                async for key_id in messages():
                    self.forget(key_id)
            await asyncio.sleep(_AGAIN_SECONDS)

    def _read(self, key_id: str) -> asyncio.Task[ApiKey | None]:
        """Read a key, unless that is going on."""
        reading = self._reading.get(key_id)
        if reading is None:
            reading = self._reading[key_id] = asyncio.create_task(self._look_up(key_id))
            reading.add_done_callback(lambda done: self._done(key_id, done))
        return reading

    async def _look_up(self, key_id: str) -> ApiKey | None:
        began = time.monotonic()
        key = await self._store.find_key(key_id)
        if key is not None and began <= self._ended.get(key_id, -1.0):
            return await self._look_up(key_id)  # it was read before it ended
        self._keep(key_id, key, began)
        return key

    def _done(self, key_id: str, reading: asyncio.Task[ApiKey | None]) -> None:
        del self._reading[key_id]
        if not reading.cancelled():
            reading.exception()  # who read ahead does not wait for it; the next one asks again

    def _keep(self, key_id: str, key: ApiKey | None, read_at: float) -> None:
        if key is None:
            self._keys.pop(key_id, None)
            _remember(self._unknown, key_id, read_at, _LARGEST_UNKNOWN_CACHE)
        else:
            self._unknown.pop(key_id, None)
            _remember(self._keys, key_id, _CachedKey(key, read_at), _LARGEST_KEY_CACHE)


def _remember(cache: OrderedDict[str, Kept], name: str, value: Kept, most: int) -> None:
    """Keep a value, and forget what was read longest ago when there are too many."""
    cache[name] = value
    cache.move_to_end(name)
    while len(cache) > most:
        cache.popitem(last=False)
