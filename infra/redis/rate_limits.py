"""Rate limit counters in Redis, shared by all gateways: one round trip for all buckets.

Charges that wait for the answer of others go together, in one call of one script: a busy gateway
asks as often as Redis answers and not once a request. Fixed windows. A generic library needs a
round trip per bucket to charge and another to learn what remains; this script charges all or none
of a request and answers both questions at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from domain.rate_limit import Charge, Charged
from infra.redis.reaching import reaching

_TIMEOUT_SECONDS = 0.25
_LARGEST_BATCH = 200  # requests of one call: Redis does nothing else meanwhile

# KEYS are the buckets of all requests, one behind the other. ARGV has for each request: how many
# buckets, for how many seconds they are kept, then cost and quota of each. The answer is one text:
# for each request whether it is allowed, then what is used of each of its buckets.
_SCRIPT = """
local answer, key, arg = {}, 0, 1
while arg <= #ARGV do
  local count, seconds = tonumber(ARGV[arg]), ARGV[arg + 1]
  local allowed, used = 1, {}
  for i = 1, count do
    local cost = ARGV[arg + 2 * i]
    used[i] = redis.call('INCRBY', KEYS[key + i], cost)
    if used[i] == tonumber(cost) then redis.call('EXPIRE', KEYS[key + i], seconds) end
    if used[i] > tonumber(ARGV[arg + 2 * i + 1]) then allowed = 0 end
  end
  if allowed == 0 then
    for i = 1, count do
      used[i] = redis.call('DECRBY', KEYS[key + i], ARGV[arg + 2 * i])
    end
  end
  answer[#answer + 1] = allowed
  for i = 1, count do answer[#answer + 1] = used[i] end
  key, arg = key + count, arg + 2 + 2 * count
end
return table.concat(answer, ' ')
"""
_SCRIPT_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A charge on its way: its buckets' keys, its arguments, and who waits for its answer."""

    keys: list[str]
    arguments: list[int]
    answer: asyncio.Future[list[int]]


class RedisLimits:
    """Charge buckets in Redis; `ConnectionError` when it is away or slow."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[_Waiting] = []
        self._sending: asyncio.Task[None] | None = None

    async def charge(self, charges: Sequence[Charge], window_seconds: int) -> Charged:
        """Charge all buckets, or none when one would overflow."""
        now = time.time()
        window = int(now // window_seconds)
        keys = [f"limit:{charge.bucket}:{charge.subject}:{window}" for charge in charges]
        arguments = [len(charges), window_seconds + 1]
        for charge in charges:
            arguments += (charge.cost, charge.quota)
        waiting = _Waiting(keys, arguments, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        allowed, *used = await waiting.answer
        return Charged(
            allowed=bool(allowed),
            remaining=tuple(
                max(0, charge.quota - spent) for charge, spent in zip(charges, used, strict=True)
            ),
            reset_seconds=max(1, round((window + 1) * window_seconds - now)),
        )

    async def _send(self) -> None:
        """Send what waits, and what has come meanwhile, until nothing does."""
        try:
            while self._waiting:
                batch = self._waiting[:_LARGEST_BATCH]
                del self._waiting[:_LARGEST_BATCH]
                try:
                    answers = await self._ask(batch)
                except ConnectionError as error:
                    for one in batch:
                        if not one.answer.done():
                            one.answer.set_exception(ConnectionError(str(error)))
                    continue
                at = 0
                for one in batch:
                    start, at = at, at + 1 + len(one.keys)
                    if not one.answer.done():
                        one.answer.set_result(answers[start:at])
        finally:
            self._sending = None

    async def _ask(self, batch: Sequence[_Waiting]) -> list[int]:
        """Run the script for all; one that Redis does not know any more is loaded again."""
        with reaching():
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                try:
                    return await self._run(batch)
                except NoScriptError:
                    await self._redis.script_load(_SCRIPT)
                    return await self._run(batch)

    async def _run(self, batch: Sequence[_Waiting]) -> list[int]:
        keys = [key for one in batch for key in one.keys]
        values = [str(value) for one in batch for value in one.arguments]
        answer = await self._redis.evalsha(_SCRIPT_SHA, len(keys), *keys, *values)
        return [int(word) for word in answer.split()]

    async def first_use(self, name: str, seconds: int) -> bool:
        """Return whether `name` was not seen in the last `seconds`, and remember it."""
        with reaching():
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return bool(await self._redis.set(f"used:{name}", b"1", nx=True, ex=seconds))
