"""Running an exchange in the foreground until a signal, or (once) until the report is written."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

from infra.ending import end
from workers.data_folder import read_json
from workers.exchange import Exchange
from workers.screen import screen

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Progress:
    """Prints one line for each step, with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"[{time.monotonic() - self._started:5.1f} s] {text}", file=sys.stderr, flush=True)


async def run_interactive(
    data_dir: Path, shards: int, folder_named: bool, *, bots: bool, gateways: int = 1
) -> int:
    """Start, print the screen, and wait for Ctrl-C; return the exit code."""
    say = _Progress()
    async with _running(data_dir, shards, gateways, say) as (exchange, signalled):
        if not await _unless(signalled, exchange.start(bots=bots)):
            return 130
        demo = read_json(data_dir / "demo.json")
        link = await exchange.login_link()
        print(screen(demo, data_dir if folder_named else None, link), flush=True)
        await signalled.wait()
        say("stopping; once more Ctrl-C ends everything at once")
    say("stopped; the data stays in " + str(data_dir))
    return 0


async def run_once(
    data_dir: Path,
    shards: int,
    seconds: int,
    report_path: Path | None,
    *,
    prints: bool = False,
    gateways: int = 1,
) -> int:
    """Start, trade, check, stop; return 0 only when everything holds.

    The report goes to `report_path`, and to standard output where there is none or it `prints`.
    """
    from workers.once import OnceRun

    say = _Progress()
    async with _running(data_dir, shards, gateways, say) as (exchange, signalled):
        run = OnceRun(exchange, seconds, say)
        finished = await _unless(signalled, run.run())
        if not finished:
            run.problems.append("stopped by a signal before the end")
        say("stopping")
    run.write(report_path, prints=prints)
    return 1 if run.problems else 0


@asynccontextmanager
async def _running(
    data_dir: Path, shards: int, gateways: int, say: _Progress
) -> AsyncIterator[tuple[Exchange, asyncio.Event]]:
    """Give an exchange that is stopped in any case, and the event that a signal sets."""
    exchange = Exchange(data_dir, shards, say, gateways)
    signalled = asyncio.Event()

    def on_signal() -> None:
        if signalled.is_set():
            exchange.supervisor.kill()
        signalled.set()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield exchange, signalled
    finally:
        await exchange.stop()


async def _unless(signalled: asyncio.Event, work: Awaitable[None]) -> bool:
    """Await `work`, but not beyond a signal; tell whether it was finished."""
    task = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(signalled.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
        return True
    await end(task)
    return False
