"""Rate limit counters in Redis, shared by all gateways: one round trip for all buckets.

Charges that wait for the answer of others go together, so a busy gateway asks as often as Redis
answers and not once a request. Fixed windows. A generic library needs a round trip per bucket to
charge and another to learn what remains; this script charges all or none and answers both
questions at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

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


_SCRIPT_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A charge on its way: the script's keys and arguments, and who waits for its answer."""

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
        arguments: list[int] = [window_seconds + 1]
        for charge in charges:
            arguments += [charge.cost, charge.quota]
        waiting = _Waiting(keys, arguments, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        answer = await waiting.answer
        return Charged(
            allowed=bool(answer[0]),
            remaining=tuple(
                max(0, charge.quota - int(used))
                for charge, used in zip(charges, answer[1:], strict=True)
            ),
            reset_seconds=max(1, round((window + 1) * window_seconds - now)),
        )

    async def _send(self) -> None:
        """Send what waits, and what has come meanwhile, until nothing does."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    answers = await self._ask(batch)
                except ConnectionError as error:
                    for one in batch:
                        if not one.answer.done():
                            one.answer.set_exception(ConnectionError(str(error)))
                    continue
                for one, answer in zip(batch, answers, strict=True):
                    if not one.answer.done():
                        one.answer.set_result(answer)
        finally:
            self._sending = None

    async def _ask(self, batch: Sequence[_Waiting]) -> list[list[int]]:
        """Run the script for each; one that Redis does not know any more is loaded again."""
        with reaching():
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                try:
                    return await self._run(batch)
                except NoScriptError:
                    await self._redis.script_load(_SCRIPT)
                    return await self._run(batch)

    async def _run(self, batch: Sequence[_Waiting]) -> list[list[int]]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for one in batch:
                values: list[Any] = [*one.keys, *one.arguments]
                pipeline.evalsha(_SCRIPT_SHA, len(one.keys), *values)
            answers: list[list[int]] = await pipeline.execute()
            return answers

    async def first_use(self, name: str, seconds: int) -> bool:
        """Return whether `name` was not seen in the last `seconds`, and remember it."""
        with reaching():
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return bool(await self._redis.set(f"used:{name}", b"1", nx=True, ex=seconds))
