"""The lights of positions in a real Valkey."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from infra.redis.adl_lights import EXPIRY_SECONDS, AdlLights

pytestmark = pytest.mark.servers


async def test_lights_are_replaced_whole_and_forgotten(redis_url: str) -> None:
    """Who has left a market has none, and what is not said again expires."""
    async with Redis.from_url(redis_url) as client:
        lights = AdlLights(client)
        assert await lights.of(1, 7) is None
        await lights.say(7, {1: 5, 2: 1})
        assert [await lights.of(account, 7) for account in (1, 2, 3)] == [5, 1, None]
        assert 0 < await client.ttl("adl-lights:7") <= EXPIRY_SECONDS
        await lights.say(7, {2: 3})
        assert [await lights.of(account, 7) for account in (1, 2)] == [None, 3]
        await lights.say(7, {})
        assert await lights.of(2, 7) is None


async def test_without_redis_nobody_says_them() -> None:
    """A gateway answers without them; who says them hears that it could not."""
    async with Redis.from_url("redis://127.0.0.1:1/0") as client:
        lights = AdlLights(client)
        assert await lights.of(1, 7) is None
        with pytest.raises(ConnectionError):
            await lights.say(7, {1: 5})


async def test_only_what_is_different_is_said(redis_url: str) -> None:
    """Changed, new and gone ones; where the others were forgotten, nothing is said by half."""
    async with Redis.from_url(redis_url) as client:
        lights = AdlLights(client)
        await client.delete("adl-lights:8")
        assert not await lights.change(8, {1: 5}, [])
        assert await lights.of(1, 8) is None
        await lights.say(8, dict.fromkeys(range(1, 5001), 3))
        assert await lights.change(8, {1: 5, 9_001: 2}, [2, 3])
        assert [await lights.of(account, 8) for account in (1, 2, 4, 9_001)] == [5, None, 3, 2]
        assert await client.hlen("adl-lights:8") == 4_999
        assert 0 < await client.ttl("adl-lights:8") <= EXPIRY_SECONDS
