"""How near positions are to being deleveraged: said by the risk monitor, read by gateways.

One hash a market, written whole every few seconds; what is not said again is soon forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

EXPIRY_SECONDS = 15


class AdlLights:
    """Lights, 1 to 5, by market and account."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def say(self, symbol_id: int, lights: Mapping[int, int]) -> None:
        """Replace a market's lights; `ConnectionError` when Redis is away."""
        key = _key(symbol_id)
        try:
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.delete(key)
                if lights:
                    pipeline.hset(key, mapping={str(name): found for name, found in lights.items()})
                    pipeline.expire(key, EXPIRY_SECONDS)
                await pipeline.execute()
        except (RedisError, OSError) as error:
            raise ConnectionError(f"Redis is away: {error}") from error

    async def of(self, account_id: int, symbol_id: int) -> int | None:
        """Return an account's lights; None where nobody says them."""
        try:
            found = await self._redis.hget(_key(symbol_id), str(account_id))
        except (RedisError, OSError):
            return None
        return None if found is None else int(found)


def _key(symbol_id: int) -> str:
    return f"adl-lights:{symbol_id}"
