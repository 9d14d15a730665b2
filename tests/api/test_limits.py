"""Rate limits: charged once at the edge, shared when they can be, local when not."""

from __future__ import annotations

import pytest

from api.errors import Problem
from api.limits import RATE_CLASSES, WINDOW_SECONDS, Limiter, LocalLimits, RateClass
from domain.rate_limit import Charge
from tests.api.exchange import Exchange
from tests.api.memory import Memory

SMALL = RateClass(weight=10, orders=3)


async def test_the_headers_tell_what_remains() -> None:
    """Policy and remainder of each bucket, in the form of the RateLimit draft."""
    allowance = await Limiter(Memory()).charge("customer:1", SMALL, 4, 1)
    assert allowance.headers == {
        "RateLimit-Policy": '"weight";q=10;w=10, "orders";q=3;w=10',
        "RateLimit": '"weight";r=6;t=10, "orders";r=2;t=10',
    }


async def test_a_used_up_window_is_429_with_retry_after() -> None:
    """The refusal says when to come back, and charges nothing."""
    limiter = Limiter(Memory())
    await limiter.charge("customer:1", SMALL, 8)
    with pytest.raises(Problem) as caught:
        await limiter.charge("customer:1", SMALL, 4)
    assert caught.value.code == "rate_limited"
    assert caught.value.headers["Retry-After"] == "10"
    assert (await limiter.charge("customer:1", SMALL, 2)).headers[
        "RateLimit"
    ] == '"weight";r=0;t=10'


async def test_who_has_used_all_up_is_refused_without_a_question() -> None:
    """As long as his window lasts for certain; then the shared store is asked again."""
    now = 100.0
    memory = Memory()
    limiter = Limiter(memory, clock=lambda: now)
    await limiter.charge("customer:1", SMALL, 10)
    memory.redis_away = True  # asking it would pass the local count
    with pytest.raises(Problem) as caught:
        await limiter.charge("customer:1", SMALL, 1, 1)
    assert caught.value.headers["RateLimit"] == '"weight";r=0;t=10'
    assert caught.value.headers["Retry-After"] == "10"
    now += WINDOW_SECONDS - 0.9
    assert (
        (await limiter.charge("customer:1", SMALL, 1)).headers["RateLimit"].startswith('"weight"')
    )


async def test_customers_do_not_share_a_bucket() -> None:
    """One customer's flood leaves the others alone."""
    limiter = Limiter(Memory())
    await limiter.charge("customer:1", SMALL, 10)
    assert (await limiter.charge("customer:2", SMALL, 10)).shared


async def test_the_orders_bucket_refuses_before_the_weight_does() -> None:
    """Both buckets must have room; neither is charged when one has not."""
    limiter = Limiter(Memory())
    await limiter.charge("customer:1", SMALL, 1, 3)
    with pytest.raises(Problem):
        await limiter.charge("customer:1", SMALL, 1, 1)
    allowance = await limiter.charge("customer:1", SMALL, 1)
    assert allowance.headers["RateLimit"] == '"weight";r=8;t=10'


async def test_without_redis_a_gateway_counts_alone() -> None:
    """Requests go on under a local limiter, which says that it is one."""
    memory = Memory(redis_away=True)
    limiter = Limiter(memory)
    assert not (await limiter.charge("customer:1", SMALL, 10)).shared
    with pytest.raises(Problem):
        await limiter.charge("customer:1", SMALL, 1)


async def test_redis_is_asked_again_after_a_second() -> None:
    """While it is away each request would otherwise wait for its timeout."""
    now = 100.0
    memory = Memory(redis_away=True)
    limiter = Limiter(memory, clock=lambda: now)
    assert not (await limiter.charge("customer:1", SMALL, 1)).shared
    memory.redis_away = False
    assert not (await limiter.charge("customer:1", SMALL, 1)).shared
    now += 1.1
    assert (await limiter.charge("customer:1", SMALL, 1)).shared


def test_a_local_window_starts_afresh() -> None:
    """Fixed windows: after the window everything may be used again."""
    now = 0.0
    limits = LocalLimits(clock=lambda: now)
    charge = [Charge("weight", "x", 10, 10)]
    assert limits.charge(charge, WINDOW_SECONDS).allowed
    assert not limits.charge(charge, WINDOW_SECONDS).allowed
    now = float(WINDOW_SECONDS)
    assert limits.charge(charge, WINDOW_SECONDS).allowed


def test_a_local_use_is_remembered_for_its_time() -> None:
    """The replay guard without Redis."""
    now = 0.0
    limits = LocalLimits(clock=lambda: now)
    assert limits.first_use("a", 60)
    assert not limits.first_use("a", 60)
    now = 61.0
    assert limits.first_use("a", 60)


async def test_a_batch_is_charged_by_its_length(exchange: Exchange) -> None:
    """Twenty operations cost twenty orders of the bucket, and one request's weight."""
    operation = {"op": "cancel", "symbol": "ETH/USDT", "client_order_id": "none"}
    answer = await exchange.call("POST", "/v1/orders/batch", {"operations": [operation] * 20})
    left = RATE_CLASSES["standard"].orders - 20
    assert f'"orders";r={left}' in answer.headers["ratelimit"]


async def test_failed_signatures_are_charged_to_the_address(exchange: Exchange) -> None:
    """Guessing is limited too, before any customer is known."""
    await exchange.http.get("/v1/orders")
    assert [key for key in exchange.memory.used if key[1].startswith("address:")]


async def test_a_flood_is_answered_with_429_problems(exchange: Exchange) -> None:
    """Beyond the window: 429, problem+json, Retry-After."""
    exchange.memory.used["weight", "customer:1"] = RATE_CLASSES["standard"].weight
    answer = await exchange.call("GET", "/v1/orders")
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) > 0
