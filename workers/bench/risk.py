"""`rialto bench risk`: what a risk service takes, part by part.

`scan` needs no servers; the other parts run on one exchange of their own: an engine with all its
accounts, Valkey, Temporal, PostgreSQL and the real risk monitor, each in its own process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from domain.commands import CancelOrder
from domain.events import (
    Deleveraged,
    EventType,
    FundingSettled,
    IndexSet,
    LiquidationPlaced,
    ScopeFrozen,
    ScopeUnfrozen,
    TakenOver,
)
from domain.liquidation_plan import command_key
from domain.risk_commands import SettleFunding
from infra.engine_client import EngineClient
from workers.bench import risk_market as m
from workers.bench.machine import machine
from workers.bench.risk_rig import RiskRig, risk_rig
from workers.bench.risk_scan import measure as measure_scan
from workers.risk_news import wall_us

Say = Callable[[str], None]
PARTS = {
    "scan_ms": "scan",
    "funding_pause_ms": "funding",
    "tick_to_order_p99_ms": "tick",
    "freeze_all_ms": "freeze",
    "mass_seconds": "mass",
    "mass_final": "mass",
    "waiting_cost": "mass",
}
"""Which part measures a field."""

_LADDER_TOP, _LADDER_STEP = 98_500, 50
_MASS_SAFE, _MASS_LOST, _MASS_MARK = 95_000, 95_500, 94_500
_LOST_PPM = 50_000  # of the many, who have less than nothing at once
_FUND_PPM = 400_000  # of those, how many the fund can take
_WALK_TICKS = 9  # a basis point, a second
_PROBE_SECONDS = 0.001
_SAY_SECONDS = 5.0
_MOST_FREEZE_SECONDS = 60
_MOST_TICK_SECONDS = 60
_KINDS = (
    EventType.INDEX_SET,
    EventType.SCOPE_FROZEN,
    EventType.SCOPE_UNFROZEN,
    EventType.LIQUIDATION_PLACED,
    EventType.TAKEN_OVER,
    EventType.DELEVERAGED,
)


@dataclass(frozen=True, slots=True)
class Load:
    """How many accounts, how many at once, how many marks of how many scopes."""

    accounts: int = 100_000
    many: int = 10_000
    marks: int = 40
    a_mark: int = 10
    seed: int = 1
    policy: str = "os"
    most_seconds: float = 900.0

    @property
    def refusal(self) -> str:
        """Return why there is no room for all of them, "" when there is."""
        longs = min(self.accounts // 2, m.MOST_IN_A_MARKET // 2)
        wanted = self.marks * self.a_mark + self.many
        if wanted > longs:
            return f"{self.accounts} accounts give {longs} longs in a market, not {wanted}"
        return ""

    @property
    def ladder(self) -> list[m.Victim]:
        """Return who is liquidated mark by mark."""
        return [
            m.Victim(number + 1, _LADDER_TOP - _LADDER_STEP * (number // self.a_mark))
            for number in range(self.marks * self.a_mark)
        ]

    @property
    def crowd(self) -> list[m.Victim]:
        """Return who is liquidated at one mark; every twentieth is worth less than nothing then."""
        first = self.marks * self.a_mark + 1
        lost = self.many * _LOST_PPM // 1_000_000
        return [
            m.Victim(first + number, _MASS_LOST if number < lost else _MASS_SAFE)
            for number in range(self.many)
        ]


def measure(load: Load, only: str, say: Say) -> dict[str, Any]:
    """Return the report; `only` names a field, or "" for all of them."""
    report: dict[str, Any] = {"benchmark": "risk", "accounts": load.accounts}
    wanted = {PARTS[only]} if only else set(PARTS.values())
    if "scan" in wanted:
        report |= measure_scan(load.accounts, 2, 51, load.seed, say)
    if wanted - {"scan"}:
        report |= asyncio.run(_on_a_rig(load, wanted, say))
    return report | {"machine": machine(Path())}


async def _on_a_rig(load: Load, wanted: set[str], say: Say) -> dict[str, Any]:
    say("starting PostgreSQL, Temporal, Valkey and an engine")
    found: dict[str, Any] = {"policy": load.policy}
    if "tick" not in wanted:
        load = replace(load, marks=0)  # nobody on the ladder would fall with the many
    async with risk_rig(load.policy) as rig:
        await _open(rig, load, say)
        if "funding" in wanted:
            found |= await _funding(rig, load, say)
        if wanted & {"tick", "freeze", "mass"}:
            say("starting the risk monitor, waiting for fresh marks (a whole basis window)")
            await rig.start_monitor()
            await rig.until_fresh()
        if "tick" in wanted:
            found |= await _ticks(rig, load, say)
        if wanted & {"freeze", "mass"}:
            story = await _fall(rig, load, say)
            found |= _frozen(rig, story)
            if "mass" in wanted:
                found |= await _final(rig, load, story, say)
    return found


async def _open(rig: RiskRig, load: Load, say: Say) -> None:
    victims = [*load.ladder, *load.crowd]
    say(f"opening {load.accounts:,} positions")
    fund = len(load.crowd) * _LOST_PPM // 1_000_000 * _FUND_PPM // 1_000_000 * m.NOTIONAL
    now_us = wall_us()
    await rig.pay([*m.deposits(victims, load.accounts, now_us), m.top_up(fund + 1, now_us)])
    for symbol_id in m.MARKETS:
        await rig.quote(symbol_id, m.OPENING)
    for pairs in _chunks(list(m.openings(victims, load.accounts)), 300):
        await rig.orders(command for pair in pairs for command in pair)


def _chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


async def _funding(rig: RiskRig, load: Load, say: Say) -> dict[str, Any]:
    """Fund every market while a customer asks, one question after the other, how long it takes."""
    say(f"funding {load.accounts:,} positions under questions")
    client = await EngineClient.connect(rig.socket, "gateway", rig.tokens.of("gateway"))
    asking = _Asking(client)
    task = asyncio.create_task(asking.run())
    await asyncio.sleep(2)
    quiet, asking.answers = asking.answers, []
    interval_us = m.TERMS.funding_interval_seconds * 1_000_000
    instant, entries, pauses = wall_us() // interval_us * interval_us, 0, []
    for symbol_id in m.MARKETS:
        key = command_key("bench", symbol_id, instant)
        header = (await rig.submit_risk(SettleFunding(key, symbol_id, instant)))[0]
        if not isinstance(header, FundingSettled):
            raise TypeError(f"the engine refuses to fund: {header}")
        entries += header.entries
        await asyncio.sleep(0.5)
        pauses.append(max(asking.answers))
        asking.answers = []
    task.cancel()
    await client.close()
    return {
        "funding_entries": entries,
        "funding_pause_ms": round(sum(pauses) * 1_000, 2),
        "funding_pause_ms_a_market": [round(pause * 1_000, 2) for pause in pauses],
        "question_ms_without": _percentiles(quiet, 1_000),
    }


class _Asking:
    """A customer who cancels what he does not have, and measures the answers' seconds."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self.answers: list[float] = []

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            began = time.perf_counter()
            await self._client.submit(CancelOrder(m.MAKER, 0, 1))
            self.answers.append(time.perf_counter() - began)
            await asyncio.sleep(_PROBE_SECONDS)


async def _ticks(rig: RiskRig, load: Load, say: Say) -> dict[str, Any]:
    """Let the mark fall step by step, under ten scopes at a time; engine time to engine time."""
    say(f"{load.marks} marks, {load.a_mark} scopes below their margin at each")
    before = (await rig.queries.status()).durable_sequence
    symbol_id, ladder = m.MARKETS[0], load.ladder
    await rig.move(symbol_id, _LADDER_TOP + _LADDER_STEP)
    marks: dict[int, int] = {}
    for safe_ticks in sorted({victim.safe_ticks for victim in ladder}, reverse=True):
        sequence = await rig.move(symbol_id, safe_ticks - 1)
        here = {one.account_id for one in ladder if one.safe_ticks == safe_ticks}
        marks |= dict.fromkeys(here, sequence)
        await _until_released(rig, here, sequence)
    told: dict[int, int] = {}
    placed: dict[int, int] = {}
    frozen: dict[int, int] = {}
    for event in await rig.events(before, _KINDS):
        match event:
            case IndexSet():
                told[event.sequence] = event.time_us
            case ScopeFrozen():
                frozen.setdefault(event.account_id, event.time_us)
            case LiquidationPlaced():
                placed.setdefault(event.account_id, event.time_us)
    to_order = [placed[account] - told[sequence] for account, sequence in marks.items()]
    to_freeze = [frozen[account] - told[sequence] for account, sequence in marks.items()]
    return {
        "tick_to_order_p50_ms": _percentiles(to_order, 0.001)["p50"],
        "tick_to_order_p99_ms": _percentiles(to_order, 0.001)["p99"],
        "tick_to_order_most_ms": _percentiles(to_order, 0.001)["most"],
        "tick_to_freeze_ms": _percentiles(to_freeze, 0.001),
        "tick_scopes": len(marks),
        "tick_marks": load.marks,
    }


async def _until_released(rig: RiskRig, accounts: set[int], after: int) -> None:
    """Wait until every one of these has been liquidated."""
    left = set(accounts)
    async with asyncio.timeout(_MOST_TICK_SECONDS):
        while left:
            await asyncio.sleep(0.05)
            for event in await rig.events(after, [EventType.SCOPE_UNFROZEN]):
                assert isinstance(event, ScopeUnfrozen)
                left.discard(event.account_id)


async def _fall(rig: RiskRig, load: Load, say: Say) -> _Story:
    """Put many below their margin at one mark, and wait until the log says that all are frozen."""
    symbol_id, crowd = m.MARKETS[0], {one.account_id: one for one in load.crowd}
    before = (await rig.queries.status()).durable_sequence
    counted = rig.monitor.beat()["detail"]["frozen_since_start"]
    say(f"{len(crowd):,} scopes below their margin at once")
    story = _Story(crowd, symbol_id, before, await rig.move(symbol_id, _MASS_MARK))
    async with asyncio.timeout(_MOST_FREEZE_SECONDS):
        while len(story.frozen) < len(crowd):
            await asyncio.sleep(0.2)
            await story.follow(rig)
        wanted = counted + len(crowd)
        while rig.monitor.beat()["detail"]["frozen_since_start"] < wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.2)  # it says so once a second
    return story


def _frozen(rig: RiskRig, story: _Story) -> dict[str, Any]:
    """Return how long freezing took the monitor, and by the engine's clock since the mark."""
    beat = rig.monitor.beat()["detail"]
    return {
        "freeze_all_ms": beat["largest_freeze_ms"],
        "freeze_all_scopes": beat["largest_freeze"],
        "mark_to_all_frozen_ms": story.mark_to_all_frozen_ms,
    }


async def _final(rig: RiskRig, load: Load, story: _Story, say: Say) -> dict[str, Any]:
    """Wait until every one of the many is final, or for as long as it may take; marks walk on."""
    drawn, began = np.random.default_rng(load.seed), time.monotonic()
    said, middle = 0.0, _MASS_MARK
    while (passed := time.monotonic() - began) < load.most_seconds:
        await asyncio.sleep(1)
        await story.follow(rig)
        if story.is_over or passed - said >= _SAY_SECONDS:
            said = passed
            done, of = len(story.released), len(story.frozen)
            say(f"{passed:5.0f} s: {done:,} of {of:,} final, {done / max(passed, 1):.0f} a second")
        if story.is_over:
            break
        middle += int(drawn.integers(-_WALK_TICKS, _WALK_TICKS + 1))
        await rig.move(m.MARKETS[0], middle)
    return story.report()


class _Story:
    """What the log says of the many: when each was frozen, first closed and released."""

    def __init__(self, crowd: dict[int, m.Victim], symbol_id: int, after: int, moved: int) -> None:
        self._crowd = crowd
        self._symbol_id = symbol_id
        self._after = after
        self._moved = moved
        self._moved_us = 0
        self._mark = 0
        self.frozen: dict[int, int] = {}
        self.released: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._at_freeze = 0
        self._at_step = 0
        self._steps = {"book": 0, "fund": 0, "deleveraged": 0}

    @property
    def is_over(self) -> bool:
        """Return whether every one is final."""
        return len(self.released) == len(self._crowd)

    @property
    def mark_to_all_frozen_ms(self) -> float:
        """Return the time from the mark to the last freeze, by the engine's clock."""
        return round((max(self.frozen.values(), default=0) - self._moved_us) / 1e3, 1)

    async def follow(self, rig: RiskRig) -> None:
        """Take what is new in the log."""
        found = await rig.events(self._after, _KINDS)
        self._after = found[-1].sequence if found else self._after
        for event in found:
            self._take(event)

    def _take(self, event: object) -> None:
        match event:
            case IndexSet(symbol_id=self._symbol_id):
                self._mark = event.mark_ticks
                if event.sequence == self._moved:
                    self._moved_us = event.time_us
            case ScopeFrozen() if event.account_id in self._crowd:
                self.frozen[event.account_id] = event.time_us
                self._at_freeze += self._crowd[event.account_id].shortfall_units(self._mark)
            case ScopeUnfrozen() if event.account_id in self._crowd:
                self.released[event.account_id] = event.time_us
            case LiquidationPlaced():
                self._step("book", event.account_id, event.time_us)
            case TakenOver():
                self._step("fund", event.account_id, event.time_us)
            case Deleveraged():
                self._step("deleveraged", event.account_id, event.time_us)

    def _step(self, how: str, account_id: int, time_us: int) -> None:
        if account_id not in self._crowd:
            return
        self._steps[how] += 1
        if account_id not in self._first:
            self._first[account_id] = time_us
            self._at_step += self._crowd[account_id].shortfall_units(self._mark)

    def report(self) -> dict[str, Any]:
        """Return what it came to; `waiting_cost` is what waiting added to what was missing."""
        ends = [self.released[one] - self._moved_us for one in self.released]
        waits = [self._first[one] - self.frozen[one] for one in self._first]
        notional = max(1, len(self._crowd) * self._mark * m.VALUE_PER_TICK)
        cost = self._at_step - self._at_freeze
        return {
            "mass_scopes": len(self._crowd),
            "mass_final": self.is_over,
            "mass_not_final": len(self._crowd) - len(self.released),
            "mass_seconds": round(max(ends, default=0) / 1e6, 1),
            "mass_scopes_a_second": round(len(ends) / max(1e-9, max(ends, default=1) / 1e6), 1),
            "mass_wait_seconds": _percentiles(waits, 1e-6),
            "mass_steps": self._steps,
            "waiting_cost": {
                "units": cost,
                "ppm_of_notional": round(cost * 1_000_000 / notional, 2),
                "missing_units_at_once": self._at_freeze,
                "missing_units_after_waiting": self._at_step,
            },
        }


def _percentiles(values: Sequence[float], scale: float) -> dict[str, float]:
    if not values:
        return {"p50": 0.0, "p99": 0.0, "most": 0.0}
    p50, p99 = np.percentile(np.array(values, np.float64) * scale, [50, 99])
    return {
        "p50": round(float(p50), 2),
        "p99": round(float(p99), 2),
        "most": round(max(values) * scale, 2),
    }
