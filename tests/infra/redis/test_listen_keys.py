"""Listen keys on a real Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from infra.redis.listen_keys import LIFE_SECONDS, RedisListenKeys

pytestmark = pytest.mark.servers


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """Give a connection."""
    made = Redis.from_url(redis_url)
    yield made
    await made.aclose()


async def test_a_listen_key_is_found_until_it_ends(redis: Redis) -> None:
    """By its token and by its API key, for an hour from when it was last extended."""
    keys = RedisListenKeys(redis)
    made = await keys.issue("rk:1", "spot")
    assert await keys.find(made.token) == made
    assert await keys.of("rk:1", "spot") == made
    assert await keys.of("rk:1", "futures") is None
    await redis.expire(f"listen-key:{made.token}", 5)
    assert await keys.extend(made)
    assert await redis.ttl(f"listen-key:{made.token}") > LIFE_SECONDS - 60
    await keys.end(made)
    assert await keys.find(made.token) is None
    assert await keys.of("rk:1", "spot") is None
    assert not await keys.extend(made)


async def test_what_redis_forgets_is_gone(redis: Redis) -> None:
    """A key whose token is forgotten is not extended; who is away says so."""
    keys = RedisListenKeys(redis)
    made = await keys.issue("rk_2", "futures")
    await redis.delete(f"listen-key:{made.token}")
    assert not await keys.extend(made)
    gone = RedisListenKeys(Redis.from_url("redis://127.0.0.1:1"))
    with pytest.raises(ConnectionError):
        await gone.find(made.token)
