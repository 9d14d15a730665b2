"""Keys and sessions that have ended, told through Redis to whoever listens now.

It makes them end at once; what is not told ends when a gateway looks it up again, within seconds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from redis.asyncio import Redis

from infra.redis.reaching import reaching

CHANNEL = "ended-keys"


class RedisEndedKeys:
    """Gateways tell, and gateways listen."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def tell(self, key_id: str) -> None:
        """Tell all gateways; `ConnectionError` when Redis is away."""
        with reaching():
            await self._redis.publish(CHANNEL, key_id)

    async def messages(self) -> AsyncIterator[str]:
        """Yield ids from now on; `ConnectionError` when Redis goes away."""
        with reaching():
            async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe(CHANNEL)
                async for message in pubsub.listen():
                    found = message["data"]
                    yield found.decode() if isinstance(found, bytes) else str(found)
