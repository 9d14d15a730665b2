"""Listen keys in Redis: each lives an hour, and is found by its token and by its API key.

Nothing here is a record: after a FLUSHALL the streams end, and clients ask for new keys.
"""

from __future__ import annotations

import secrets

from redis.asyncio import Redis

from domain.customer import ListenKey
from infra.redis.reaching import reaching

LIFE_SECONDS = 3_600
_TOKEN_BYTES = 32  # 64 characters of hex


class RedisListenKeys:
    """The listen keys of all gateways; `ConnectionError` when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def issue(self, key_id: str, market: str) -> ListenKey:
        """Return a new listen key, which takes the place of the API key's older one."""
        made = ListenKey(secrets.token_hex(_TOKEN_BYTES), key_id, market)
        with reaching():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.set(_by_token(made.token), f"{market}:{key_id}", ex=LIFE_SECONDS)
                pipeline.set(_by_owner(key_id, market), made.token, ex=LIFE_SECONDS)
                await pipeline.execute()
        return made

    async def find(self, token: str) -> ListenKey | None:
        """Return a listen key that lives."""
        with reaching():
            found = await self._redis.get(_by_token(token))
        if found is None:
            return None
        market, _, key_id = _text(found).partition(":")
        return ListenKey(token, key_id, market)

    async def of(self, key_id: str, market: str) -> ListenKey | None:
        """Return the listen key of an API key, if it has one that lives."""
        with reaching():
            found = await self._redis.get(_by_owner(key_id, market))
        return None if found is None else ListenKey(_text(found), key_id, market)

    async def extend(self, key: ListenKey) -> bool:
        """Let it live an hour from now; False when it has ended."""
        with reaching():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.expire(_by_token(key.token), LIFE_SECONDS)
                pipeline.expire(_by_owner(key.key_id, key.market), LIFE_SECONDS)
                lives, _ = await pipeline.execute()
        return bool(lives)

    async def end(self, key: ListenKey) -> None:
        """End it."""
        with reaching():
            await self._redis.delete(_by_token(key.token), _by_owner(key.key_id, key.market))


def _by_token(token: str) -> str:
    return f"listen-key:{token}"


def _by_owner(key_id: str, market: str) -> str:
    return f"listen-key-of:{market}:{key_id}"


def _text(raw: bytes | str) -> str:
    return raw.decode() if isinstance(raw, bytes) else raw
