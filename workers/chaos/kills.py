"""Kill -9 of anything at random moments under load, Redis emptied, and the books afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from workers.chaos.drill import Drill, Say, drill, figures

FLUSH = "flushall"  # not a process: Redis loses everything that it has
VICTIMS = (
    "temporal-worker",
    "postgres",
    "temporal",
    "matching-engine-0",
    "valkey",
    "order-history",
    "gateway",
    FLUSH,
)
_WARM_SECONDS = 5.0
_TWO_AT_ONCE = 0.25
_PAUSE_SECONDS = (0.5, 4.0)
_RESUME_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Kill:
    """One moment: who died, and how long until what was traded after it was in the ledger."""

    at_seconds: float
    victims: str
    resumed_seconds: float | None


async def run(
    folder: Path, rate: int, seconds: float, seed: int, victims: Sequence[str], say: Say
) -> dict[str, Any]:
    """Return the figures; `problems` is empty when settlement came back each time, books whole."""
    chance = random.Random(seed)  # noqa: S311 - which process dies when is no secret
    async with drill(folder, rate, say) as found:
        await asyncio.sleep(_WARM_SECONDS)
        began = time.monotonic()
        found.load.begin_phase()
        kills = []
        while (passed := time.monotonic() - began) < seconds:
            await asyncio.sleep(chance.uniform(*_PAUSE_SECONDS))
            count = 2 if len(victims) > 1 and chance.random() < _TWO_AT_ONCE else 1
            chosen = chance.sample(list(victims), count)
            kills.append(await _kill(found, chosen, passed))
        report: dict[str, Any] = {"seed": seed, "rate": rate}
        phase = found.load.begin_phase()
        report |= figures(phase, "load", time.monotonic() - began)
        report |= _summary(kills) | await found.close_books()
    late = [kill.victims for kill in kills if kill.resumed_seconds is None]
    problems = [f"settlement did not come back after {name}" for name in late]
    if not phase.trades:
        problems.append("nothing was traded")
    return report | {"problems": [*report["problems"], *problems]}


async def _kill(found: Drill, victims: Sequence[str], passed: float) -> Kill:
    """Kill, and wait until the ledger has trades of a quarter of a second later."""
    durable = await _durable(found)
    pids = found.exchange.supervisor.pids()
    began = time.monotonic()
    for name in victims:
        if name == FLUSH:
            await _flush(found.settings.redis_url)
        elif pids[name]:
            kill_9(pids[name])
    resumed = await found.until_settled(durable + found.load.per_second // 4, _RESUME_SECONDS)
    kill = Kill(round(passed, 1), "+".join(victims), resumed)
    found.say(f"{kill.at_seconds:6.1f} s {kill.victims}: settled on after {resumed} s")
    await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - began)))
    return kill


async def _durable(found: Drill) -> int:
    """Return the engine's durable sequence, waiting for an engine that is being started."""
    while True:
        try:
            return (await found.status()).durable_sequence
        except Exception:  # noqa: BLE001 - it was killed a moment ago
            await asyncio.sleep(0.05)


def kill_9(pid: int) -> None:
    """Kill a process that may have died already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


async def _flush(url: str) -> None:
    redis = Redis.from_url(url)
    try:
        await redis.flushall()
    except RedisError:  # it is dead, and so has lost everything anyway
        pass
    finally:
        await redis.aclose()


def _summary(kills: Sequence[Kill]) -> dict[str, Any]:
    """Return how often each died alone and the longest way back, and all moments."""
    alone: dict[str, list[float]] = {}
    for kill in kills:
        if kill.resumed_seconds is not None and "+" not in kill.victims:
            alone.setdefault(kill.victims, []).append(kill.resumed_seconds)
    return {
        "kills": len(kills),
        "resumed_seconds_most": {name: max(times) for name, times in sorted(alone.items())},
        "moments": [asdict(kill) for kill in kills],
    }
