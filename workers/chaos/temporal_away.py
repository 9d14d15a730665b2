"""Temporal is away for minutes while trading goes on; then settlement catches up."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from infra.embedded.ports import reserved
from workers.chaos.drill import Drill, Say, drill, figures

_WARM_SECONDS = 5.0
_TELL_SECONDS = 30.0


async def run(
    folder: Path, rate: int, away_seconds: float, within: float, say: Say
) -> dict[str, Any]:
    """Return the figures; `problems` is empty when trading went on and settlement caught up.

    Caught up means: at most one second's load is not settled, while the load goes on.
    """
    async with drill(folder, rate, say) as found:
        await asyncio.sleep(_WARM_SECONDS)
        report: dict[str, Any] = {"rate": rate, "lag_bound": found.settings.settlement_lag_bound}
        before = found.load.begin_phase()
        report |= figures(before, "before", time.monotonic() - before.began)
        report["lag_before"] = await found.lag()
        report |= await _away(found, away_seconds)
        report |= await _back(found, rate, within)
        report |= await found.close_books()
    report["restarts"] = found.exchange.supervisor.restarts()
    return report | {"problems": [*report["problems"], *_problems(report, within)]}


async def _away(found: Drill, seconds: float) -> dict[str, Any]:
    """Stop Temporal's server, and look at the lag meanwhile."""
    server = found.exchange.stack.temporal
    assert server is not None, "the drill has a server of its own"
    found.say(f"stopping Temporal for {seconds:.0f} s")
    await found.exchange.supervisor.stop_child(server.name)
    found.load.begin_phase()
    began = told = time.monotonic()
    most = 0
    with reserved(server.port):
        while (passed := time.monotonic() - began) < seconds:
            most = max(most, await found.lag() or 0)
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                trades = found.load.phase.trades
                found.say(f"away for {passed:.0f} s, {trades:,} trades, lag {most:,}")
            await asyncio.sleep(min(1.0, seconds / 10))
    away = found.load.begin_phase()
    return figures(away, "away", time.monotonic() - began) | {"lag_most": most}


async def _back(found: Drill, rate: int, within: float) -> dict[str, Any]:
    """Start the server again and wait until settlement has caught up."""
    server = found.exchange.stack.temporal
    assert server is not None
    found.say("starting Temporal")
    began = time.monotonic()
    await found.exchange.supervisor.start(server, stage=0)
    started = time.monotonic() - began
    caught_up = await found.until_lag(max(rate, 10), 3 * within)
    found.say(f"caught up after {caught_up} s" if caught_up else "not caught up")
    back = found.load.begin_phase()
    return figures(back, "back", time.monotonic() - began) | {
        "temporal_start_seconds": round(started, 2),
        "caught_up_seconds": caught_up,
    }


def _problems(report: dict[str, Any], within: float) -> list[str]:
    problems = [
        f"{phase}: refused {report[f'{phase}_refused']}"
        for phase in ("before", "away", "back")
        if report[f"{phase}_refused"]
    ]
    if report["caught_up_seconds"] is None or report["caught_up_seconds"] > within:
        problems.append(f"not caught up within {within:.0f} s")
    return problems
