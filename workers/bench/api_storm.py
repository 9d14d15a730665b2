"""`rialto bench api --only storm`: what a gateway is like for others while it is stormed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from infra.ending import end
from workers.bench.api_storm_load import STORMS

if TYPE_CHECKING:
    from workers.bench.api_load import Plan
    from workers.bench.api_rig import ApiRig

_CONNECTS = {"few": 5_000, "many": 5_000, "slow": 300, "floods": 300, "silent": 4_000}
_SECONDS = 20.0
_CALM_SECONDS = 15.0
_ORDERS_PER_SECOND = 50.0
_LOOK_SECONDS = 0.1
_MORE_FILES = 50  # than before, once it is over: the ends of the last connections


class _Peak:
    """The most memory and files that the gateway had."""

    def __init__(self, rig: ApiRig) -> None:
        self._rig = rig
        self.bytes = 0
        self.files = 0

    async def look(self) -> None:
        """Look again and again until cancelled."""
        while True:
            self.bytes = max(self.bytes, self._rig.gateway_memory_bytes())
            self.files = max(self.files, self._rig.gateway_file_count())
            await asyncio.sleep(_LOOK_SECONDS)


async def storm(
    rig: ApiRig,
    plan: Plan,
    load: Callable[[Plan], Awaitable[dict[str, Any]]],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Return for each storm what became of it, what orders waited beside it, and what it took."""
    calm = await load(replace(plan, part="rest", rate=_ORDERS_PER_SECOND, links=8))
    before_bytes, before_files = rig.gateway_memory_bytes(), rig.gateway_file_count()
    found: dict[str, Any] = {}
    refused = 0
    for kind, words in STORMS.items():
        say(f"{_CONNECTS[kind]:,} {words}, and orders beside them")
        peak = _Peak(rig)
        looking = asyncio.create_task(peak.look())
        orders = replace(plan, part="rest", rate=_ORDERS_PER_SECOND, links=64, seconds=_SECONDS)
        raging = replace(
            plan, part="storm", kind=kind, count=_CONNECTS[kind], seconds=_SECONDS - 2.0
        )
        beside, report = await asyncio.gather(load(orders), load(raging))
        await end(looking)
        refused += sum(beside["refused"].values())
        found[kind] = report | {
            "orders_p50_ms": beside["p50_ms"],
            "orders_p99_ms": beside["p99_ms"],
            "peak_mb": round(peak.bytes / 1e6),
            "peak_files": peak.files,
        }
        await asyncio.sleep(_CALM_SECONDS)
    files = rig.gateway_file_count()
    return {
        "storm_calm_p50_ms": calm["p50_ms"],
        "storm_calm_p99_ms": calm["p99_ms"],
        "storm": found,
        "storm_refused": refused,
        "storm_files_left": max(0, files - before_files - _MORE_FILES),
        "storm_mb": [round(before_bytes / 1e6), round(rig.gateway_memory_bytes() / 1e6)],
    }
