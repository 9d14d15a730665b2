"""Shared limits in a real Valkey."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from domain.rate_limit import Charge
from infra.redis.rate_limits import RedisLimits

pytestmark = pytest.mark.servers


async def test_two_gateways_share_a_window(redis_url: str) -> None:
    """Of 30 concurrent requests of two gateways exactly the quota passes."""
    clients = [Redis.from_url(redis_url) for _ in range(2)]
    gateways = [RedisLimits(client) for client in clients]
    charge = [Charge("weight", "customer:1", 1, 20)]
    answers = await asyncio.gather(
        *(gateways[number % 2].charge(charge, 3600) for number in range(30))
    )
    assert sum(answer.allowed for answer in answers) == 20
    assert all(answer.shared for answer in answers)
    for client in clients:
        await client.aclose()


async def test_all_buckets_or_none(redis_url: str) -> None:
    """A refused charge costs nothing in any bucket."""
    async with Redis.from_url(redis_url) as client:
        limits = RedisLimits(client)
        both = [Charge("weight", "x", 1, 10), Charge("orders", "x", 5, 4)]
        refused = await limits.charge(both, 3600)
        assert (refused.allowed, refused.remaining) == (False, (10, 4))
        passed = await limits.charge([both[0]], 3600)
        assert (passed.allowed, passed.remaining) == (True, (9,))


async def test_a_flushed_redis_only_forgets(redis_url: str) -> None:
    """The script is loaded again and counting starts afresh."""
    async with Redis.from_url(redis_url) as client:
        limits = RedisLimits(client)
        charge = [Charge("weight", "x", 10, 10)]
        await limits.charge(charge, 3600)
        await client.flushall()
        await client.script_flush()
        assert (await limits.charge(charge, 3600)).allowed


async def test_an_absent_redis_is_a_connection_error() -> None:
    """The limiter then counts by itself."""
    async with Redis.from_url("redis://127.0.0.1:1") as client:
        limits = RedisLimits(client)
        with pytest.raises(ConnectionError):
            await limits.charge([Charge("weight", "x", 1, 1)], 10)
        with pytest.raises(ConnectionError):
            await limits.first_use("x", 10)


async def test_a_name_is_used_once(redis_url: str) -> None:
    """The replay guard."""
    async with Redis.from_url(redis_url) as client:
        limits = RedisLimits(client)
        assert await limits.first_use("signature", 60)
        assert not await limits.first_use("signature", 60)
