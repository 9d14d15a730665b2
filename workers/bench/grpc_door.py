"""`rialto bench engine --door grpc`: batches of orders over the bidirectional stream."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio

from infra.engine_pb import engine_pb2 as pb
from infra.engine_pb import engine_pb2_grpc as rpc
from workers.bench.engine import NOT_SETTLED, MeasurementFailedError, compare, descriptions
from workers.bench.machine import machine
from workers.bench.native import native
from workers.bench.rig import EngineRig

_PATIENCE_SECONDS = 20.0
_MAX_MESSAGE = 64 << 20


@dataclass(frozen=True, slots=True)
class GrpcLoad:
    """How the door is loaded: `streams` of batches, each with so many batches in flight."""

    scenarios: tuple[str, ...]
    policy: str
    seconds: float
    batch: int
    in_flight: int
    seed: int


@dataclass(slots=True)
class _Batch:
    sent_at: float
    orders: int
    answer_bytes: int


def measure(load: GrpcLoad, folder: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the scenarios one after another and return the report; the slowest is the worst."""
    texts = descriptions()
    rows = []
    for name in load.scenarios:
        say(f"{name}: {texts[name]}")
        with tempfile.TemporaryDirectory(prefix="rialto-bench-", dir=folder) as place:
            before = machine(Path(place))
            rows.append({"scenario": name, **asyncio.run(_scenario(load, name, Path(place)))})
    worst = min(rows, key=lambda row: float(row["achieved_rate"]))
    return {
        "benchmark": "engine",
        "door": "grpc",
        "client": "Python, generated stubs, one stream",
        "load": "closed loop",
        "offered_rate": "max",
        "latency_of": "a batch, from its sending to its answer",
        "control": "none: an echo of gRPC would measure gRPC",
        "policy": load.policy,
        "seconds": load.seconds,
        "batch": load.batch,
        "batches_in_flight": load.in_flight,
        "seed": load.seed,
        "settlement": NOT_SETTLED,
        "machine": before,
        "worst": worst["scenario"],
        **{name: worst[name] for name in ("achieved_rate", "p50_us", "p99_us", "p999_us")},
        "scenarios": rows,
    }


async def _scenario(load: GrpcLoad, name: str, folder: Path) -> dict[str, Any]:
    flow = native().LoadFlow(name, load.seed, 1)
    async with EngineRig(folder, load.policy) as rig:
        stream = _Stream(load, flow)
        cpu = rig.cpu_seconds()
        await stream.run(rig)
        cpu = rig.cpu_seconds() - cpu
        status = await rig.status()
        rig.stop_engine()
        sent = {
            "sent": flow.commands,
            "acknowledged": stream.answered,
            "trades": flow.trades,
            "resting": flow.resting,
        }
        checks = await asyncio.to_thread(
            compare, rig.shard, status.sequence, status.digest_hex, sent
        )
    waits = sorted(stream.batch_seconds)
    return {
        "achieved_rate": round(stream.measured / stream.busy_seconds),
        "commands": stream.measured,
        "p50_us": round(waits[len(waits) // 2] * 1e6, 1),
        "p99_us": round(waits[len(waits) * 99 // 100] * 1e6, 1),
        "p999_us": round(waits[len(waits) * 999 // 1000] * 1e6, 1),
        "engine_cpu_seconds": round(cpu, 1),
        "engine_kind": status.engine,
        "engine_loop": status.loop,
        "checks": checks,
    }


class _Stream:
    """One stream of batches, a bounded number of them without an answer."""

    def __init__(self, load: GrpcLoad, flow: Any) -> None:
        self._load = load
        self._flow = flow
        self._waiting: deque[_Batch] = deque()
        self._room = asyncio.Semaphore(load.in_flight)
        self.answered = 0
        self.measured = 0
        self.busy_seconds = 0.0
        self.batch_seconds: list[float] = []

    async def run(self, rig: EngineRig) -> None:
        """Send the opening quotes, then measure for the load's seconds."""
        metadata = (("rialto-role", "gateway"), ("rialto-token", rig.tokens.of("gateway")))
        options = [("grpc.max_receive_message_length", _MAX_MESSAGE)]
        async with grpc.aio.insecure_channel(rig.target, options=options) as channel:
            stub = rpc.EngineStub(channel)  # type: ignore[no-untyped-call]
            await self._take(stub.Orders(self._opening(), metadata=metadata))
            begun, opened = time.perf_counter(), self.answered
            self.batch_seconds.clear()
            await self._take(
                stub.Orders(self._until(begun + self._load.seconds), metadata=metadata)
            )
            self.busy_seconds = time.perf_counter() - begun
            self.measured = self.answered - opened

    async def _opening(self) -> AsyncIterator[pb.CommandBatch]:
        while (left := self._flow.opening_quotes - self._flow.commands) > 0:
            yield await self._next(min(left, self._load.batch))

    async def _until(self, end: float) -> AsyncIterator[pb.CommandBatch]:
        while time.perf_counter() < end:
            yield await self._next(self._load.batch)

    async def _next(self, orders: int) -> pb.CommandBatch:
        await self._room.acquire()
        commands, answer_bytes = self._flow.take(orders)
        self._waiting.append(_Batch(time.perf_counter(), orders, answer_bytes))
        return pb.CommandBatch(commands=commands, correlation=self._flow.commands)

    async def _take(self, call: Any) -> None:
        """Read and check the answers to the end; a wrong or missing one voids the run."""
        answers = aiter(call)
        try:
            while True:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    self._check(await anext(answers))
        except StopAsyncIteration:
            pass
        except (TimeoutError, grpc.aio.AioRpcError) as error:
            raise MeasurementFailedError(f"the stream ended: {error!r}") from error
        if self._waiting:
            raise MeasurementFailedError(f"{len(self._waiting)} batches were not answered")

    def _check(self, answer: pb.EventBatch) -> None:
        batch = self._waiting.popleft()
        self.answered += batch.orders
        if (answer.correlation, len(answer.events)) != (self.answered, batch.answer_bytes):
            raise MeasurementFailedError(
                f"batch {answer.correlation} came with {len(answer.events)} bytes of events, "
                f"{self.answered} with {batch.answer_bytes} was expected"
            )
        self.batch_seconds.append(time.perf_counter() - batch.sent_at)
        self._room.release()
