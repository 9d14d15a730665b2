"""Liquidations by the real monitor, engine and Temporal: killed anywhere, PostgreSQL stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.client import Client

from domain.events import Deleveraged, EventType, LiquidationPlaced, ScopeUnfrozen, TakenOver
from domain.order import Side
from domain.risk_commands import SetLeverage
from infra.settings import Settings
from infra.temporal.client import connect
from workers import bench_servers
from workers.bench import risk_market as m
from workers.bench.rig import Process
from workers.bench.risk_rig import RiskRig, prepare
from workers.risk_news import wall_us

pytestmark = pytest.mark.servers

MARKET = m.MARKETS[0]
SHORT = 900_000
MARK = 97_800
SAFE = {  # the last two have less than nothing at the mark
    "book": 98_500,
    "fund": 98_900,
    "other side": 98_900,  # where the fund has nothing
}
STEPS = [EventType.LIQUIDATION_PLACED, EventType.TAKEN_OVER, EventType.DELEVERAGED]


@dataclass
class Stage:
    """A rig on which one account after the other is liquidated, each with the same numbers."""

    rig: RiskRig
    client: Client
    database: ExitStack
    victims: int = 0

    async def liquidate(self, kind: str, dies: str = "") -> tuple[int, dict[str, Any]]:
        """Let a new account fall below its margin; return it and how it ended.

        With `dies` the monitor that sees it kills itself there, and another one comes after.
        """
        self.victims += 1
        account = self.victims
        await self.rig.move(MARKET, m.OPENING)
        victim, now_us = m.Victim(account, SAFE[kind]), wall_us()
        await self.rig.pay([m.credit(account, victim.cash_units, now_us)])
        await self.rig.orders(
            [
                SetLeverage(account, MARKET, m.TERMS.max_leverage),
                m.limit(SHORT, MARKET, Side.SELL, m.OPENING, m.LOTS, f"s{account}"),
                m.limit(account, MARKET, Side.BUY, m.OPENING, m.LOTS, f"b{account}"),
            ]
        )
        after = (await self.rig.queries.status()).durable_sequence
        if dies:
            await self._die(f"{account} {dies}")
        await self.rig.move(MARKET, MARK)
        if dies:
            await self._dead()
            await asyncio.to_thread(self.rig.monitor.start)
        async with asyncio.timeout(90):
            while not await self._released(account, after):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return account, await self._ending(account, after)

    async def _die(self, where: str) -> None:
        """Put a monitor in the place of the one that runs, which will kill itself."""
        await asyncio.to_thread(self.rig.monitor.stop)
        settings = self.rig.settings() | {"RIALTO_TEST_DIES": where}
        name = "tests.workflows.dying_monitor"
        self.dying = Process("risk-monitor-0", name, self.rig.folder, settings)
        await asyncio.to_thread(self.dying.start)

    async def _dead(self) -> None:
        async with asyncio.timeout(30):
            while self.dying.process is not None and self.dying.process.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def _released(self, account: int, after: int) -> bool:
        found = await self.rig.events(after, [EventType.SCOPE_UNFROZEN])
        return any(isinstance(one, ScopeUnfrozen) and one.account_id == account for one in found)

    async def _ending(self, account: int, after: int) -> dict[str, Any]:
        """Return what is left of the account, and how much was closed by what."""
        closed = {"book": 0, "fund": 0, "other side": 0}
        for event in await self.rig.events(after, STEPS):
            match event:
                case LiquidationPlaced(account_id=found) if found == account:
                    closed["book"] += event.lots
                case TakenOver(account_id=found) if found == account:
                    closed["fund"] += abs(event.delta_lots)
                case Deleveraged(account_id=found) if found == account:
                    closed["other side"] += abs(event.delta_lots)
        _, held = await self.rig.queries.holdings(account)
        lots = sum(one.lots for one in held.positions)
        return {"cash": held.scopes[0].cash_units, "lots": lots, **closed}


@pytest.fixture
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Give a rig with fresh marks, a running monitor and, unless told otherwise, a rich fund."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(bench_servers.scratch_folder())
        database = stack.enter_context(ExitStack())
        url = database.enter_context(bench_servers.postgres(folder))
        temporal = stack.enter_context(bench_servers.temporal(folder))
        await prepare(folder, url)
        rig = await stack.enter_async_context(RiskRig(folder, url, temporal, "os"))
        now_us = wall_us()
        await rig.pay([m.credit(m.MAKER, 10**15, now_us), m.credit(SHORT, 10**15, now_us)])
        if getattr(request, "param", "rich") == "rich":
            await rig.pay([m.top_up(20 * m.NOTIONAL, now_us)])
        await rig.move(MARKET, m.OPENING)
        await rig.quote(m.MARKETS[1], m.OPENING)
        await rig.start_monitor()
        await rig.until_fresh()
        yield Stage(rig, await connect(Settings.of(rig.settings())), database)


@pytest.mark.long
async def test_a_monitor_killed_after_a_sale_changes_nothing(stage: Stage) -> None:
    """The sale is in the log and nobody has heard of it: the next monitor finds it there."""
    _, wanted = await stage.liquidate("book")
    assert (wanted["lots"], wanted["book"]) == (0, m.LOTS)
    _, found = await stage.liquidate("book", dies="after 2")
    assert found == wanted


@pytest.mark.long
async def test_a_liquidation_ends_while_postgresql_is_stopped(stage: Stage) -> None:
    """Frozen, sold and released without a database; only the record waits."""
    stage.database.close()
    account, found = await stage.liquidate("book")
    assert (found["lots"], found["book"]) == (0, m.LOTS)
    handle = stage.client.get_workflow_handle(f"liquidation-0-{account}")
    async with asyncio.timeout(30):
        while (await handle.describe()).search_attributes.get("Stage") != ["record"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await handle.terminate("the test is over")


@pytest.mark.long
@pytest.mark.parametrize(
    ("stage", "kind", "commands"),
    [("rich", "book", 3), ("rich", "fund", 3), ("poor", "other side", 4)],
    indirect=["stage"],
)
async def test_killed_at_every_boundary(stage: Stage, kind: str, commands: int) -> None:
    """Before and after the freeze, each step and the release: the same ending as without.

    The fund is asked first where the other side has to close, and refuses.
    """
    _, wanted = await stage.liquidate(kind)
    assert wanted["lots"] == 0
    assert wanted[kind] == m.LOTS
    for number in range(1, commands + 1):
        for side in ("before", "after"):
            _, found = await stage.liquidate(kind, dies=f"{side} {number}")
            assert found == wanted, (side, number)
