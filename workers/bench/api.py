"""`rialto bench api`: what one gateway takes, over HTTP and over WebSockets, and what it tells.

One exchange of its own: gateway, engine, market data, Valkey and PostgreSQL, each its own process,
and the load in another. Nobody settles.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workers.bench.api_load import Plan
from workers.bench.api_refusals import KINDS, SENDERS
from workers.bench.api_rig import MARKET, QUIET, ApiRig, api_rig
from workers.bench.api_storm import storm
from workers.bench.machine import machine
from workers.bench.rig import ROOT

Say = Callable[[str], None]
PARTS = ("rest", "ws", "fanout", "idle", "refusals", "storm")
REST_RATE = 200.0
CUSTOMERS = 8
_REFUSALS = 2_000  # of each kind; more than a customer of the usual class may ask in ten seconds
_FEED_ORDERS = 40.0  # a second, while the followers listen to a market that lives
_LINES = 1 << 20
_MOST_SECONDS = 120.0  # that a load may take beyond what it measures


@dataclass(frozen=True, slots=True)
class Load:
    """How long each part takes, and how many take part."""

    seconds: float = 8.0
    policy: str = "os"
    batch: int = 20
    batch_rate: float = 5_000.0  # orders a second in the open loop of batches
    subscribers: int = 1_000
    idle: int = 2_000
    seed: int = 1


class LoadFailedError(RuntimeError):
    """The load's process said why it gave up."""


def measure(load: Load, only: str, say: Say) -> dict[str, Any]:
    """Return the report; `only` names a part, or "" for all of them."""
    wanted = {only} if only else set(PARTS)
    report = asyncio.run(_on_a_rig(load, wanted, say))
    return {"benchmark": "api", "policy": load.policy, **report, "machine": machine(Path())}


async def _on_a_rig(load: Load, wanted: set[str], say: Say) -> dict[str, Any]:
    say("starting PostgreSQL, Valkey, an engine, market data and a gateway")
    found: dict[str, Any] = {}
    async with api_rig(load.policy, CUSTOMERS) as rig:
        every = [(key.api_key, key.api_secret) for key in rig.keys]
        keys = every[:CUSTOMERS]
        plan = Plan("", rig.port, keys, MARKET.symbol, load.seconds, seed=load.seed)
        if "rest" in wanted:
            found |= await _rest(rig, plan, say)
        if "ws" in wanted:
            found |= await _socket(rig, plan, load, say)
        if "fanout" in wanted:
            found |= await _fanout(rig, plan, load, say)
        if "idle" in wanted:
            found |= await _idle(rig, plan, load, say)
        if "refusals" in wanted:
            found |= await _refusals(rig, replace(plan, keys=every), say)
        if "storm" in wanted:
            found |= await storm(rig, plan, _load, say)
    return found


async def _rest(rig: ApiRig, plan: Plan, say: Say) -> dict[str, Any]:
    say(f"signed orders over HTTP: {REST_RATE:g} a second, then as many as there can be")
    steady = await _load(replace(plan, part="rest", rate=REST_RATE, links=32))
    cpu = rig.gateway_cpu_seconds()
    most = await _load(replace(plan, part="rest", links=16))
    cpu = rig.gateway_cpu_seconds() - cpu
    await rig.start_echo()
    bare = await _load(replace(plan, part="bare", port=rig.echo.port, links=16))
    return {
        "rest_p50_ms": steady["p50_ms"],
        "rest_p99_ms": steady["p99_ms"],
        "rest_max_per_second": most["per_second"],
        "rest_max_p99_ms": most["p99_ms"],
        "rest_gateway_cpu_us": round(cpu * 1e6 / max(1, most["answers"])),
        "rest_refused": _refused(steady, most),
        "bare_rest_max_per_second": bare["per_second"],
        "rest_ratio_to_bare": round(most["per_second"] / max(1, bare["per_second"]), 3),
    }


async def _socket(rig: ApiRig, plan: Plan, load: Load, say: Say) -> dict[str, Any]:
    say(f"orders over WebSockets: {REST_RATE:g} a second, batches at a rate, then all there can be")
    steady = await _load(replace(plan, part="socket", rate=REST_RATE, links=4))
    paced = replace(plan, part="socket", rate=load.batch_rate, links=4, batch=load.batch)
    batched = await _load(paced)
    cpu = rig.gateway_cpu_seconds()
    most = await _load(replace(plan, part="socket", links=4, window=2, batch=load.batch))
    cpu = rig.gateway_cpu_seconds() - cpu
    return {
        "ws_p50_ms": steady["p50_ms"],
        "ws_p99_ms": steady["p99_ms"],
        "ws_batch": load.batch,
        "ws_batched_rate": batched["per_second"],
        "ws_batched_p50_ms": batched["p50_ms"],
        "ws_batched_p99_ms": batched["p99_ms"],
        "ws_max_per_second": most["per_second"],
        "ws_max_p99_ms": most["p99_ms"],
        "ws_gateway_cpu_us": round(cpu * 1e6 / max(1, most["answers"] * load.batch)),
        "ws_refused": _refused(steady, batched, most),
    }


async def _fanout(rig: ApiRig, plan: Plan, load: Load, say: Say) -> dict[str, Any]:
    say(f"{load.subscribers:,} subscribers of a book: as it lives, then as many updates as can be")
    following = replace(plan, part="fanout", links=load.subscribers)
    async with _loading(following) as ready:
        trading = replace(plan, part="rest", rate=_FEED_ORDERS, links=4)
        await _load(trading)
        lived = await ready.result()
    redis_port = int(urlsplit(rig.redis_url).port or 0)
    cpu = rig.gateway_cpu_seconds()
    most = await _load(replace(following, symbol=QUIET.symbol, redis_port=redis_port, window=2))
    cpu = rig.gateway_cpu_seconds() - cpu
    return {
        "fanout_subscribers": load.subscribers,
        "fanout_live_messages_per_second": lived["per_second"],
        "fanout_p50_ms": lived["p50_ms"],
        "fanout_p99_ms": lived["p99_ms"],
        "fanout_messages_per_second": most["per_second"],
        "fanout_max_p99_ms": most["p99_ms"],
        "fanout_message_bytes": most["message_bytes"],
        "fanout_gateway_cpu_us": round(cpu * 1e6 / max(1, most["messages"]), 2),
        "fanout_closed": lived["closed"] + most["closed"],
    }


async def _idle(rig: ApiRig, plan: Plan, load: Load, say: Say) -> dict[str, Any]:
    say(f"{load.idle:,} idle sockets, and orders beside them")
    before = rig.gateway_memory_bytes()
    async with _loading(replace(plan, part="idle", links=load.idle)) as sitting:
        cpu = rig.gateway_cpu_seconds()
        await asyncio.sleep(load.seconds)
        cpu = rig.gateway_cpu_seconds() - cpu
        memory = rig.gateway_memory_bytes() - before
        beside = await _load(replace(plan, part="rest", rate=REST_RATE, links=32))
        sitting.let_go()
        found = await sitting.result()
    return {
        "idle_connections": load.idle,
        "idle_open_seconds": found["open_seconds"],
        "idle_closed": found["closed"],
        "idle_bytes_per_connection": memory // max(1, load.idle),
        "idle_cpu_share": round(cpu / load.seconds, 3),
        "idle_rest_p50_ms": beside["p50_ms"],
        "idle_rest_p99_ms": beside["p99_ms"],
    }


async def _refusals(rig: ApiRig, plan: Plan, say: Say) -> dict[str, Any]:
    say("requests that are refused in every way, and orders sent likewise")

    async def cost(one: Plan) -> tuple[dict[str, Any], float]:
        before = rig.gateway_cpu_seconds()
        report = await _load(one)
        return report, (rig.gateway_cpu_seconds() - before) * 1e6

    orders, spent = await cost(
        replace(plan, part="rest", links=SENDERS, keys=plan.keys[:CUSTOMERS])
    )
    costs = {"order": round(spent / orders["answers"])}
    statuses: dict[str, dict[str, int]] = {}
    for kind in KINDS:
        one = replace(plan, part="refusals", kind=kind, count=_REFUSALS)
        if kind == "over_limit":
            await _load(one)  # until nothing is left of it
        report, spent = await cost(one)
        costs[kind], statuses[kind] = round(spent / _REFUSALS), report["statuses"]
    return {
        "refusal_cpu_us": costs,
        "refusal_statuses": statuses,
        "refusals_accepted": sum(
            found.get("201", 0) for kind, found in statuses.items() if kind != "over_limit"
        ),
        "refusals_dearer_than_an_order": [kind for kind in KINDS if costs[kind] > costs["order"]],
    }


def _refused(*reports: dict[str, Any]) -> int:
    return sum(count for one in reports for count in one["refused"].values())


class _Running:
    """A load's process that is ready."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ready(self) -> None:
        """Wait until it says that all its sockets are open; `LoadFailedError` if it fails."""
        assert self._process.stderr is not None
        if await self._process.stderr.readline() != b"ready\n":
            await self.result()

    def kill(self) -> None:
        """End it, if it has not ended."""
        if self._process.returncode is None:
            self._process.kill()

    def let_go(self) -> None:
        """Tell it to end, where it waits for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def result(self) -> dict[str, Any]:
        """Return its report; `LoadFailedError` with what it said instead."""
        out, error = await self._process.communicate()
        if self._process.returncode:
            raise LoadFailedError(error.decode(errors="replace")[-2_000:])
        found: dict[str, Any] = json.loads(out)
        return found


async def _start(plan: Plan) -> _Running:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers.bench.api_load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        limit=_LINES,
    )
    assert process.stdin is not None
    process.stdin.write(plan.text().encode() + b"\n")
    await process.stdin.drain()
    return _Running(process)


@asynccontextmanager
async def _loading(plan: Plan) -> AsyncIterator[_Running]:
    """Give a load's process that has opened all its sockets."""
    running = await _start(plan)
    try:
        async with asyncio.timeout(_MOST_SECONDS):
            await running.ready()
        yield running
    except TimeoutError:
        raise LoadFailedError(f"the load {plan.part!r} did not begin or end in time") from None
    finally:
        running.kill()


async def _load(plan: Plan) -> dict[str, Any]:
    running = await _start(plan)
    try:
        async with asyncio.timeout(plan.seconds + _MOST_SECONDS):
            return await running.result()
    except TimeoutError:
        raise LoadFailedError(f"the load {plan.part!r} did not end in time") from None
    finally:
        running.kill()
