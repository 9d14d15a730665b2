"""The load's process: `python -m workers.bench.api_load`; a plan comes in, a report goes out.

It does nothing else, and as little as it can: the machine is shared with what is measured.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from infra.embedded.ports import LOOPBACK
from workers.bench.api_fanout import follow_feed, sit_idle
from workers.bench.api_refusals import send_refused
from workers.bench.api_storm_load import rage
from workers.bench.api_wire import HttpLink, SocketLink, login, post

_LEVELS = 100  # prices on either side, so that books stay small
_MOST_REST_PER_SECOND = 8_000  # signed before the clock runs
_PATIENCE_SECONDS = 30.0
_MOST_SECONDS = 90.0  # beyond the measured ones: signing, opening, the last answers
_WARM_UP = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do against which port. `rate` 0 is a closed loop, with `links` times `window`."""

    part: str  # rest, bare, socket, fanout, idle, refusals, storm
    port: int
    keys: list[tuple[str, str]]
    symbol: str
    seconds: float
    rate: float = 0.0
    links: int = 16
    window: int = 1
    batch: int = 1
    seed: int = 1
    redis_port: int = 0
    kind: str = ""  # of refusals or storm, and how many
    count: int = 0

    def text(self) -> str:
        """Return the plan for another process."""
        return json.dumps(asdict(self))


class Drawn:
    """Orders that rest at some hundred prices; one in ten takes what the others left."""

    def __init__(self, plan: Plan, name: str) -> None:
        self._random = random.Random(f"{plan.seed}{name}")  # noqa: S311 - a flow, no secret
        self._symbol = plan.symbol
        self._name = f"{name}{time.time_ns() % 10**12}"
        self._number = 0

    def order(self) -> str:
        """Return the members of the next order, without braces."""
        self._number += 1
        number = self._random.randrange(20 * _LEVELS)
        side, level = ("buy", "sell")[number & 1], 1 + (number >> 1) % _LEVELS
        takes = number < 2 * _LEVELS
        away = -level if (side == "buy") != takes else level
        kind = '"time_in_force":"ioc",' if takes else ""
        return (
            f'"symbol":"{self._symbol}","side":"{side}","price":"{2500 + away}",{kind}'
            f'"quantity":"0.0{1 + number % 9}","client_order_id":"{self._name}-{self._number}"'
        )


class Load:
    """Sends requests over links, open or closed loop, and notes what comes back."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.answers = 0
        self.refused: dict[int, int] = {}
        self.waits: list[float] = []
        self.is_over = False

    def answered(self, began: float, accepted: int, status: int, wanted: int) -> None:
        """Note an answer to so many orders, `accepted` of them taken."""
        self.answers += accepted
        self.waits.append(time.perf_counter() - began)
        if accepted < wanted:
            self.refused[status] = self.refused.get(status, 0) + wanted - accepted

    def report(self, seconds: float) -> dict[str, Any]:
        """Return rates and latencies; the first answers are warming up."""
        waits = sorted(self.waits[_WARM_UP:] if len(self.waits) > 2 * _WARM_UP else self.waits)
        return {
            "per_second": round(self.answers / seconds),
            "answers": len(self.waits),
            "refused": {str(status): count for status, count in self.refused.items()},
            "p50_ms": _percentile(waits, 50),
            "p99_ms": _percentile(waits, 99),
            "p999_ms": _percentile(waits, 99.9),
            "most_ms": _percentile(waits, 100),
        }


def _percentile(waits: list[float], percent: float) -> float:
    if not waits:
        return 0.0
    return round(waits[min(len(waits) - 1, int(len(waits) * percent / 100))] * 1_000, 3)


async def rest(plan: Plan) -> dict[str, Any]:
    """Sign orders, then send them: one in flight on each link, or at a rate over all of them."""
    load, loop = Load(plan), asyncio.get_running_loop()
    count = int(plan.seconds * (plan.rate or _MOST_REST_PER_SECOND)) + 1
    drawn = Drawn(plan, "r")
    requests = [
        post("/v1/orders", f"{{{drawn.order()}}}", *plan.keys[number % len(plan.keys)])
        for number in range(count)
    ]
    idle: list[HttpLink] = []
    late: deque[float] = deque()
    requests.reverse()

    def answered(link: HttpLink, status: int) -> None:
        load.answered(link.sent_at, int(status == 201), status, 1)
        if plan.rate and late:
            send(link, late.popleft())
        elif plan.rate or load.is_over or not requests:
            idle.append(link)
        else:
            send(link, time.perf_counter())

    def send(link: HttpLink, began: float) -> None:
        link.sent_at = began
        link.send(requests.pop())

    for _ in range(plan.links):
        _, made = await loop.create_connection(lambda: HttpLink(answered), LOOPBACK, plan.port)
        idle.append(made)
    began = time.perf_counter()
    if plan.rate:
        await _at_rate(
            plan, count, lambda due: send(idle.pop(0), due) if idle else late.append(due)
        )
    else:
        for link in idle[:]:
            idle.remove(link)
            send(link, time.perf_counter())
        await asyncio.sleep(plan.seconds)
    load.is_over = True
    passed = time.perf_counter() - began
    report = load.report(passed)
    await _until(lambda: len(idle) == plan.links)
    return report


async def socket(plan: Plan) -> dict[str, Any]:
    """Send batches over sockets: so many in flight on each, or at a rate over all of them."""
    load, loop = Load(plan), asyncio.get_running_loop()
    began_at: dict[int, float] = {}
    waiting = dict[SocketLink, int]()
    drawn = Drawn(plan, "w")
    numbers = iter(range(1, 1 << 40))

    def heard(link: SocketLink, message: bytes) -> None:
        if b'"op":"result"' not in message[:40]:
            if b'"op":"error"' in message[:40]:
                raise RuntimeError(message[:400].decode())
            return
        at = message.index(b'"id":') + 5
        number = int(message[at : message.index(b",", at)])
        accepted = message.count(b'"status":201')
        wanted = plan.batch
        load.answered(began_at.pop(number), min(accepted, wanted), 0, wanted)
        waiting[link] -= 1
        if not plan.rate and not load.is_over:
            send(link, time.perf_counter())

    def send(link: SocketLink, began: float) -> None:
        number = next(numbers)
        began_at[number] = began
        waiting[link] += 1
        if plan.batch == 1:
            link.send(f'{{"op":"place","id":{number},"params":{{{drawn.order()}}}}}')
            return
        orders = ",".join(f'{{"op":"place",{drawn.order()}}}' for _ in range(plan.batch))
        link.send(f'{{"op":"batch","id":{number},"params":{{"operations":[{orders}]}}}}')

    links = []
    for number in range(plan.links):
        _, made = await loop.create_connection(lambda: SocketLink(heard), LOOPBACK, plan.port)
        await made.opened
        made.send(login(*plan.keys[number % len(plan.keys)]))
        waiting[made] = 0
        links.append(made)
    await asyncio.sleep(0.5)
    began = time.perf_counter()
    if plan.rate:
        turns = iter(range(1 << 40))
        count = int(plan.seconds * plan.rate / plan.batch)
        await _at_rate(plan, count, lambda due: send(links[next(turns) % len(links)], due))
    else:
        for link in links:
            for _ in range(plan.window):
                send(link, time.perf_counter())
        await asyncio.sleep(plan.seconds)
    load.is_over = True
    passed = time.perf_counter() - began
    report = load.report(passed)
    await _until(lambda: not any(waiting.values()))
    return report


async def _at_rate(plan: Plan, count: int, send: Any) -> None:
    """Call `send` with the time at which each was due, evenly over the seconds."""
    every = plan.seconds / count
    start = time.perf_counter() + 0.1
    for number in range(count):
        due = start + number * every
        while (left := due - time.perf_counter()) > 0:  # noqa: ASYNC110 - it is the clock
            await asyncio.sleep(left)
        send(due)


async def _until(holds: Any) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 - callbacks count
            await asyncio.sleep(0.01)


async def run(plan: Plan) -> dict[str, Any]:
    """Do what the plan says."""
    async with asyncio.timeout(plan.seconds + _MOST_SECONDS if plan.part != "idle" else None):
        return await _run(plan)


async def _run(plan: Plan) -> dict[str, Any]:
    if plan.part in ("rest", "bare"):
        return await rest(plan)
    if plan.part == "socket":
        return await socket(plan)
    if plan.part == "refusals":
        return await send_refused(plan.port, plan.keys, plan.symbol, plan.kind, plan.count)
    if plan.part == "storm":
        symbols = (plan.symbol, "BTC/USDT")
        return await rage(plan.port, symbols, plan.kind, plan.count, plan.seconds)
    if plan.part == "idle":
        return await sit_idle(plan.port, plan.links)
    return await follow_feed(
        plan.port,
        plan.symbol,
        plan.links,
        plan.seconds,
        redis_port=plan.redis_port,
        window=plan.window,
    )


def main() -> None:
    """Read the plan from standard input, print what came out."""
    import uvloop

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    plan = Plan(**json.loads(sys.stdin.readline()))
    print(json.dumps(uvloop.run(run(plan))))


if __name__ == "__main__":
    main()
