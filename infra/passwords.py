"""Passwords by argon2id: slow and in need of memory, off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

_ITERATIONS, _LANES = 2, 1
_LENGTH, _SALT_BYTES = 32, 16
_AT_ONCE = 2  # more would only take memory from each other
_LONGEST_QUEUE = 64


class Passwords:
    """Hashes and verifies; each takes some 30 ms of a processor.

    `memory_kib`: as much as OWASP asks for at least; what is verified says its own.
    """

    def __init__(self, memory_kib: int = 19_456) -> None:
        self._memory_kib = memory_kib
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._asked = 0
        self._nobodys = _hashed(os.urandom(_SALT_BYTES), memory_kib)

    async def hashed(self, password: bytes) -> str:
        """Return what is kept of a password, with its parameters and salt (PHC)."""
        async with self._turn():
            return await asyncio.to_thread(_hashed, password, self._memory_kib)

    async def matches(self, password: bytes, kept: str | None) -> bool:
        """Return whether it is the password; where there is none it takes as long to say no."""
        async with self._turn():
            found = await asyncio.to_thread(
                _matches, password, self._nobodys if kept is None else kept
            )
        return found and kept is not None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a turn; `ConnectionError` where many do: a flood must not queue for minutes."""
        if self._asked >= _LONGEST_QUEUE:
            raise ConnectionError("too many sign in at once")
        self._asked += 1
        try:
            async with self._room:
                yield
        finally:
            self._asked -= 1


def _hashed(password: bytes, memory_kib: int) -> str:
    return Argon2id(
        salt=os.urandom(_SALT_BYTES),
        length=_LENGTH,
        iterations=_ITERATIONS,
        lanes=_LANES,
        memory_cost=memory_kib,
    ).derive_phc_encoded(password)


def _matches(password: bytes, kept: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password, kept)
    except (InvalidKey, ValueError):  # ValueError: no hash of ours
        return False
    return True
