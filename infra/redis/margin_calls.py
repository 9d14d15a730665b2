"""Margin calls through Redis: told once to whoever listens now. The record is the row."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict

from redis.asyncio import Redis

from domain.margin_call import MarginCall
from infra.redis.reaching import reaching

CHANNEL = "margin-calls"


class MarginCallFeed:
    """Risk monitors tell, gateways listen."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def tell(self, calls: Sequence[MarginCall]) -> None:
        """Publish calls in order; `ConnectionError` when Redis is away."""
        with reaching():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for call in calls:
                    pipeline.publish(CHANNEL, json.dumps(asdict(call)))
                await pipeline.execute()

    async def messages(self) -> AsyncIterator[MarginCall]:
        """Yield calls from now on; `ConnectionError` when Redis goes away."""
        with reaching():
            async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe(CHANNEL)
                async for message in pubsub.listen():
                    yield MarginCall(**json.loads(message["data"]))
