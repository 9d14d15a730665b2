"""How near positions are to being deleveraged: said by the risk monitor, read by gateways.

One hash a market, said again every few seconds; what is not said again is soon forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from infra.redis.reaching import reaching

EXPIRY_SECONDS = 15
_CHUNK = 2_000  # a market may have tens of thousands of positions


class AdlLights:
    """Lights, 1 to 5, by market and account."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def say(self, symbol_id: int, lights: Mapping[int, int]) -> None:
        """Replace a market's lights, all at once; `ConnectionError` when Redis is away."""
        key, fresh = _key(symbol_id), f"{_key(symbol_id)}:new"
        with reaching():
            await self._redis.delete(fresh)
            for chunk in _chunks(lights):
                await self._redis.hset(fresh, mapping=chunk)
            if not lights:
                await self._redis.delete(key)
                return
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.rename(fresh, key)
                pipeline.expire(key, EXPIRY_SECONDS)
                await pipeline.execute()

    async def change(self, symbol_id: int, lights: Mapping[int, int], gone: Sequence[int]) -> bool:
        """Say only what is different; False, and nothing said, where the others are forgotten."""
        key = _key(symbol_id)
        with reaching():
            if not await self._redis.expire(key, EXPIRY_SECONDS):
                return False
            for chunk in _chunks(lights):
                await self._redis.hset(key, mapping=chunk)
            for start in range(0, len(gone), _CHUNK):
                await self._redis.hdel(key, *map(str, gone[start : start + _CHUNK]))
        return True

    async def of(self, account_id: int, symbol_id: int) -> int | None:
        """Return an account's lights; None where nobody says them."""
        try:
            found = await self._redis.hget(_key(symbol_id), str(account_id))
        except (RedisError, OSError):
            return None
        return None if found is None else int(found)


def _chunks(lights: Mapping[int, int]) -> Iterator[dict[Any, Any]]:
    left = iter(lights.items())
    while chunk := {str(account): found for account, found in islice(left, _CHUNK)}:
        yield chunk


def _key(symbol_id: int) -> str:
    return f"adl-lights:{symbol_id}"
