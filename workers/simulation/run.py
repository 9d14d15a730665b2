"""A simulation from its seed to its report; the same seed gives the same digest."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from domain.checker_positions import RUIN
from domain.checker_report import Violation
from domain.money import PPM
from domain.risk_invariants import NUMBERS
from workers.simulation.ledger import JOURNALS
from workers.simulation.market import PERPETUALS, WHOLE, listings
from workers.simulation.prices import STEP_US, Gap, Prices, Weather, forecast
from workers.simulation.risk_service import RiskService
from workers.simulation.shard import PICTURE, REPLAY, SimulatedShard
from workers.simulation.traders import Traders

OTHER_NUMBERS = {
    JOURNALS: 1,
    "assets_sum_to_zero": 1,
    "floors_respected": 4,
    "entries_equal_balances": 11,
    "trades_settled_once": 11,
    "cursor_follows_journal": 11,
    "engine_journal_readable": 11,
    "engine_equals_ledger": 11,
    "positions_equal_engine": 11,
    REPLAY: 11,
    PICTURE: 11,
}
"""The numbers of the rules that are not of the events alone."""

_WARM_UP_STEPS = 34  # until marks are fresh for the first time
_MINUTE_STEPS = 12
_PATH_POINTS = 100
_LEAST_ACTIVE = 12  # accounts that act in a step; of many one in a hundred
_FUND_PPM = 3_000  # what the fund begins with, of all that traders bring


@dataclass(frozen=True, slots=True)
class Plan:
    """What to simulate. `sweep_every` steps the whole state is compared; in between, what moves."""

    seed: int
    steps: int
    accounts: int = 2_000
    engine: str = "core"
    sweep_every: int = 100
    loses_ppm: int = 20_000


@dataclass(slots=True)
class Curve:
    """What a picture is drawn from, a point a step."""

    marks: dict[int, list[int]] = field(default_factory=dict)
    fund_units: list[int] = field(default_factory=list)
    open_units: list[int] = field(default_factory=list)
    liquidations: list[int] = field(default_factory=list)
    pairs: list[int] = field(default_factory=list)
    crashes: list[int] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)


def _drawn(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a story, not a secret


class Simulation:
    """One run: a shard, its weather, its traders, and the risk service."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        chance = _drawn(plan.seed)
        self.weather: Weather = forecast(_drawn(chance.getrandbits(64)), plan.steps)
        self.shard = SimulatedShard(folder, plan.engine)
        self.prices = Prices(_drawn(chance.getrandbits(64)), self.weather)
        self.traders = Traders(_drawn(chance.getrandbits(64)), plan.accounts, self.shard.picture)
        self.service = RiskService(
            self.shard, _drawn(chance.getrandbits(64)), loses_ppm=plan.loses_ppm
        )
        self.curve = Curve(marks={market.symbol_id: [] for market in PERPETUALS})
        self.states: dict[int, set[str]] = {market.symbol_id: set() for market in PERPETUALS}
        self.largest_ppm = 0
        self.first_violation: int | None = None
        self._recent = {market.symbol_id: deque[int](maxlen=13) for market in PERPETUALS}
        self._chance = chance
        self._active = min(plan.accounts, max(_LEAST_ACTIVE, plan.accounts // 100))

    async def run(self, progress: Callable[[int], None]) -> dict[str, Any]:
        """Run all steps and return the report."""
        await self._open()
        for step in range(self.plan.steps):
            await self._step(step)
            if (step + 1) % self.plan.sweep_every == 0 or step + 1 == self.plan.steps:
                self.shard.sweep()
            self._note(step)
            progress(step + 1)
        self.shard.replay()
        self._note(self.plan.steps - 1)
        self.shard.close()
        return self._report()

    async def _open(self) -> None:
        """List the markets, bring the money, and let prices stand until marks are fresh."""
        minutes = max(1, min(30, self.plan.steps // 48))
        shard = self.shard
        shard.run(listings(minutes * 60))
        shard.run(list(self.traders.opening(shard.now_us)))
        brought = sum(trader.cash_units for trader in self.traders.accounts)
        self.service.top_up(max(WHOLE, brought * _FUND_PPM // PPM))
        for _ in range(_WARM_UP_STEPS):
            shard.now_us += STEP_US
            self.prices.move(-1)
            self._say_prices(None)

    def _say_prices(self, gap: Gap | None) -> None:
        """Let sources and makers see the new prices, now these first, now those."""
        shard = self.shard
        said = [self.prices.index(market, shard.now_us, gap) for market in PERPETUALS]
        index = [command for command in said if command is not None]
        quotes = list(self.traders.quotes(self.prices, shard.now_us))
        both = [*quotes, *index] if self._chance.random() < 0.5 else [*index, *quotes]
        shard.run(both)
        if not index:
            shard.tick()

    async def _step(self, step: int) -> None:
        shard, service = self.shard, self.service
        shard.now_us += STEP_US
        if step in self.weather.crashes:
            shard.save()
            self.curve.crashes.append(step)
        if step - _MINUTE_STEPS // 2 in self.weather.crashes:  # some journal behind the snapshot
            shard.crash()
        gap = self.weather.gap(step)
        if gap is not None:
            self.curve.gaps.append(step)
        self.prices.move(step)
        self._say_prices(gap)
        await service.look()
        await service.work()
        orders = self.traders.orders(self.prices, shard.now_us, self._active)
        shard.run(list(orders))
        await service.look()
        left = await service.unanswered()
        sequence = shard.engine.sequence
        text = f"at {sequence}: {left} scopes below their margin are not frozen"
        shard.findings.expect(RUIN, left == 0, text, sequence=sequence)

    def _note(self, step: int) -> None:
        """Remember what the report and the picture show of a step."""
        curve, picture = self.curve, self.shard.picture
        if self.first_violation is None and self.shard.findings.violation_count:
            self.first_violation = step
        if len(curve.fund_units) > step:
            return
        open_units = 0
        for market in PERPETUALS:
            now = picture.markets[market.symbol_id]
            curve.marks[market.symbol_id].append(now.mark_ticks)
            self.states[market.symbol_id].add(now.state.name)
            recent = self._recent[market.symbol_id]
            recent.append(now.mark_ticks)
            for before in recent:
                move = abs(now.mark_ticks - before) * PPM // max(1, before)
                self.largest_ppm = max(self.largest_ppm, move)
            longs = self.shard.invariants.open_lots(market.symbol_id)
            open_units += longs * now.mark_ticks * now.units_per_tick_lot
        curve.open_units.append(open_units)
        curve.fund_units.append(picture.fund_units())
        curve.liquidations.append(self.service.counts["frozen"])
        curve.pairs.append(self.shard.invariants.deleveraged.pairs)

    # ---- the outcome ----------------------------------------------------------------------------

    def _report(self) -> dict[str, Any]:
        shard, plan = self.shard, self.plan
        report = shard.findings.report()
        totals, counts = shard.invariants.deleveraged, self.service.counts
        fund = self.curve.fund_units
        return {
            "seed": plan.seed,
            "steps": plan.steps,
            "accounts": plan.accounts,
            "engine": plan.engine,
            "ok": report.ok,
            "invariants": invariants_of(report.invariants),
            "violations": violations_of(report.violations),
            "first_violation_step": self.first_violation,
            "fund_units": {"start": fund[0], "min": min(fund), "max": max(fund), "end": fund[-1]},
            "fund_path": path_of(fund),
            "haircut_units": totals.haircut_units,
            "shortfall_units": totals.shortfall_units,
            "liquidations": counts["frozen"],
            "liquidations_finished": counts["finished"],
            "liquidations_open": self.service.open_count,
            "slices": shard.counts["LiquidationPlaced"],
            "takeovers": shard.counts["TakenOver"],
            "adl_fills": totals.pairs,
            "shortfalls": counts["shortfalls"],
            "funding_batches": counts["fundings"],
            "unwinds": shard.counts["UnwindPlaced"],
            "answers_lost": counts["answers_lost"],
            "largest_mark_move_ppm_a_minute": self.largest_ppm,
            "markets": self._markets(),
            "crashes": len(self.curve.crashes),
            "steps_with_gaps": len(self.curve.gaps),
            "commands": shard.engine.sequence,
            "trades": shard.counts["PerpetualTrade"] + shard.counts["Trade"],
            "refusals": dict(shard.refusals.most_common(12)),
            "digest": shard.engine.digest().hex(),
        }

    def _markets(self) -> list[dict[str, Any]]:
        found = []
        for market in PERPETUALS:
            now = self.shard.picture.markets[market.symbol_id]
            found.append(
                {
                    "market": f"{market.base.code}-PERP",
                    "state": now.state.name,
                    "states_seen": sorted(self.states[market.symbol_id]),
                    "mark_ticks": now.mark_ticks,
                    "open_lots": self.shard.invariants.open_lots(market.symbol_id),
                    "positions": len(now.positions),
                    "fund_lots": self.shard.picture.fund_lots(market.symbol_id),
                }
            )
        return found


def path_of(values: list[int]) -> list[list[int]]:
    """Return [step, value] at even distances and of the last step, about a hundred of them."""
    stride = max(1, len(values) // _PATH_POINTS)
    last = len(values) - 1
    return [[step, values[step]] for step in sorted({*range(0, last, stride), last})]


def invariants_of(results: Any) -> list[dict[str, Any]]:
    """Return the eleven invariants in order, each with the rules that it was held by."""
    numbers = NUMBERS | OTHER_NUMBERS
    found: dict[int, dict[str, Any]] = {}
    for result in results:
        number = numbers.get(result.name, 11)
        row = found.setdefault(number, {"number": number, "checked": 0, "ok": True, "rules": {}})
        row["checked"] += result.rows
        row["ok"] &= result.ok
        row["rules"][result.name] = result.rows
    return [row for _, row in sorted(found.items())]


def violations_of(found: Iterable[Violation]) -> list[dict[str, Any]]:
    """Return violations for a report."""
    return [
        {"invariant": one.invariant, "sequence": one.sequence, "text": one.text} for one in found
    ]


def simulate(
    plan: Plan, progress: Callable[[int], None] = lambda _: None
) -> tuple[dict[str, Any], Curve]:
    """Simulate in a folder of its own, which is gone afterwards; return report and curve."""
    with tempfile.TemporaryDirectory(prefix="rialto-simulate-") as folder:
        simulation = Simulation(plan, Path(folder))
        report = asyncio.run(simulation.run(progress))
        return report, simulation.curve
