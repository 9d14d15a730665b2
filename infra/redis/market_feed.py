"""Market data through Redis: pub/sub for what happens, plain keys for hot copies.

Nothing here is a record: the market data process writes all of it again after a FLUSHALL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from redis.asyncio import Redis

from infra.redis.reaching import reaching

CHANNEL = "market-feed"
HOT_EXPIRY_SECONDS = 60


def hot_key(kind: str, symbol: str) -> str:
    """Return the key of a hot copy."""
    return f"hot:{kind}:{symbol}"


class MarketFeedPublisher:
    """The market data process' end."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def publish(
        self, messages: Sequence[bytes], hot_copies: Sequence[tuple[str, str, bytes]] = ()
    ) -> None:
        """Publish messages in order and store hot copies (kind, symbol, body), in one go."""
        with reaching():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for message in messages:
                    pipeline.publish(CHANNEL, message)
                for kind, symbol, body in hot_copies:
                    pipeline.set(hot_key(kind, symbol), body, ex=HOT_EXPIRY_SECONDS)
                await pipeline.execute()


class MarketFeedReader:
    """A gateway's end."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield messages from now on; `ConnectionError` when Redis goes away."""
        with reaching():
            async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe(CHANNEL)
                async for message in pubsub.listen():
                    yield message["data"]

    async def hot(self, kind: str, symbol: str) -> bytes | None:
        """Return a hot copy; `ConnectionError` when Redis is away."""
        with reaching():
            body = await self._redis.get(hot_key(kind, symbol))
        return body.encode() if isinstance(body, str) else body
