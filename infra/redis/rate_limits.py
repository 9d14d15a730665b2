"""Rate limit counters in Redis, shared by all gateways: one round trip for all buckets.

Fixed windows. A generic library needs a round trip per bucket to charge and another to learn
what remains; this script charges all or none and answers both questions at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from domain.rate_limit import Charge, Charged
from infra.redis.reaching import reaching

_TIMEOUT_SECONDS = 0.25

_SCRIPT = """
local used = {}
local allowed = 1
for i, key in ipairs(KEYS) do
  used[i] = tonumber(redis.call('GET', key) or '0')
  if used[i] + tonumber(ARGV[2 * i]) > tonumber(ARGV[2 * i + 1]) then allowed = 0 end
end
if allowed == 1 then
  for i, key in ipairs(KEYS) do
    used[i] = redis.call('INCRBY', key, ARGV[2 * i])
    redis.call('EXPIRE', key, ARGV[1])
  end
end
table.insert(used, 1, allowed)
return used
"""


class RedisLimits:
    """Charge buckets in Redis; `ConnectionError` when it is away or slow."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = redis.register_script(_SCRIPT)

    async def charge(self, charges: Sequence[Charge], window_seconds: int) -> Charged:
        """Charge all buckets, or none when one would overflow."""
        now = time.time()
        window = int(now // window_seconds)
        keys = [f"limit:{charge.bucket}:{charge.subject}:{window}" for charge in charges]
        arguments: list[int] = [window_seconds + 1]
        for charge in charges:
            arguments += [charge.cost, charge.quota]
        with reaching():
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                answer: list[Any] = await self._script(keys=keys, args=arguments)
        return Charged(
            allowed=bool(answer[0]),
            remaining=tuple(
                max(0, charge.quota - int(used))
                for charge, used in zip(charges, answer[1:], strict=True)
            ),
            reset_seconds=max(1, round((window + 1) * window_seconds - now)),
        )

    async def first_use(self, name: str, seconds: int) -> bool:
        """Return whether `name` was not seen in the last `seconds`, and remember it."""
        with reaching():
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return bool(await self._redis.set(f"used:{name}", b"1", nx=True, ex=seconds))
