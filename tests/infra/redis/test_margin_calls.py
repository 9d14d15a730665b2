"""Margin calls through a real Valkey."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from domain.margin_call import MarginCall
from infra.redis.margin_calls import CHANNEL, MarginCallFeed

pytestmark = pytest.mark.servers


async def test_calls_are_told_to_whoever_listens(redis_url: str) -> None:
    """In order, number for number."""
    calls = [MarginCall(0, 5, symbol_id, 9, 1_000, 1_100, 1_000) for symbol_id in (0, 7)]
    async with Redis.from_url(redis_url) as client, Redis.from_url(redis_url) as listener:
        heard: list[MarginCall] = []

        async def listen() -> None:
            async for call in MarginCallFeed(listener).messages():
                heard.append(call)
                if len(heard) == len(calls):
                    return

        listening = asyncio.create_task(listen())
        async with asyncio.timeout(30):
            while (await client.pubsub_numsub(CHANNEL))[0][1] == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await MarginCallFeed(client).tell(calls)
            await listening
    assert heard == calls


async def test_without_redis_the_teller_hears_of_it() -> None:
    """The row is the record; who tells may try again or not."""
    async with Redis.from_url("redis://127.0.0.1:1/0") as client:
        with pytest.raises(ConnectionError):
            await MarginCallFeed(client).tell([MarginCall(0, 5, 0, 9, 1_000, 1_100, 1_000)])
