"""Logins of the staff in Redis, shared by all gateways: challenges, sessions, attempts.

Only hashes of tokens are kept. When Redis is away nobody is signed in; when it is emptied, the
staff signs in again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable
from typing import TypeVar

from redis.asyncio import Redis

from infra.redis.reaching import reaching

CHALLENGE_SECONDS = 60
IDLE_SECONDS = 30 * 60
LONGEST_SECONDS = 8 * 3600
_TIMEOUT_SECONDS = 1.0
Answer = TypeVar("Answer")


class StaffSessions:
    """One login at a time for each browser; `ConnectionError` when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def challenge(self, name: str) -> str:
        """Return a challenge that `name` may sign once, within a minute."""
        text = secrets.token_hex(32)
        key = f"staff:challenge:{text}"
        await self._soon(self._redis.set(key, name.encode(), ex=CHALLENGE_SECONDS))
        return text

    async def take_challenge(self, name: str, challenge: str) -> bool:
        """Return whether the challenge was given to `name`; it is used up."""
        found = await self._soon(self._redis.getdel(f"staff:challenge:{challenge}"))
        return bool(found == name.encode())

    async def allow_attempt(self, who: str, most: int) -> bool:
        """Count an attempt to log in; False beyond `most` in a minute."""
        key = f"staff:attempts:{_hash(who)}:{int(time.time()) // 60}"
        count = int(await self._soon(self._redis.incr(key)))
        await self._soon(self._redis.expire(key, 120))
        return count <= most

    async def open(self, name: str, public_key_hex: str) -> str:
        """Begin a session and return its token, which only the browser keeps."""
        token = secrets.token_urlsafe(32)
        content = {"name": name, "key": public_key_hex, "until": time.time() + LONGEST_SECONDS}
        await self._soon(self._redis.set(_key(token), json.dumps(content), ex=IDLE_SECONDS))
        return token

    async def holder(self, token: str) -> tuple[str, str] | None:
        """Return (name, public key of the login) and keep the session alive; None without one."""
        text = await self._soon(self._redis.getex(_key(token), ex=IDLE_SECONDS))
        if text is None:
            return None
        content = json.loads(text)
        if content["until"] < time.time():
            await self.close(token)
            return None
        return str(content["name"]), str(content["key"])

    async def close(self, token: str) -> None:
        """End a session."""
        await self._soon(self._redis.delete(_key(token)))

    async def first_in_an_hour(self, token: str, what: str) -> bool:
        """Return whether this session has not done `what` within the hour, and remember it."""
        key = f"staff:seen:{_hash(token)}:{_hash(what)}"
        return bool(await self._soon(self._redis.set(key, b"1", nx=True, ex=3600)))

    async def forget(self, token: str, what: str) -> None:
        """Let `what` be new again: writing it down has failed."""
        await self._soon(self._redis.delete(f"staff:seen:{_hash(token)}:{_hash(what)}"))

    async def _soon(self, work: Awaitable[Answer]) -> Answer:
        with reaching():
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return await work


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _key(token: str) -> str:
    return f"staff:session:{_hash(token)}"
