"""The run of `./rialto up --once`: trade, move money in and out, stop, and check everything."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from api.client.http import AsyncClient
from domain.deposit import FINAL_STATES as FINAL_DEPOSITS
from domain.deposit import DepositState
from domain.events import EventType
from domain.ledger import settlement_stream
from domain.withdrawal import FINAL_STATES as FINAL_WITHDRAWALS
from domain.withdrawal import WithdrawalState
from infra.postgres import tables
from infra.postgres.engine import create
from infra.postgres.order_history_store import order_history_stream
from workers import demo_listings as listings
from workers import engine_admin
from workers.cli.verify import verify
from workers.demo_money import withdraw
from workers.exchange import Exchange
from workers.once_perpetuals import counted, problems_of, until_nobody_is_liquidated
from workers.staff import Staff
from workers.versions import versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from workers.demo import Demo

_FINISH_SECONDS = 90.0
_CURSOR_SECONDS = 30.0
_POLL_SECONDS = 0.25
_OF_SHARDS = ("orders", "trades", "settled_trades")
# Made while the bots trade: one that needs no signature, one that needs an officer's.
_SMALL = ("alice", "USDT", "250")
_LARGE = ("bob", "USDT", "20000")
_DEPOSIT = ("alice", "ETH", "1.5")


@dataclass
class OnceRun:
    """One run. `problems` says in words what does not hold; empty is success."""

    exchange: Exchange
    seconds: int
    say: Callable[[str], None]
    problems: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)

    async def run(self) -> None:
        """Do it all; what fails becomes a problem, not an exception."""
        await self.exchange.start(bots=False)
        settings = self.exchange.settings
        began, first = await engine_admin.status_of(settings), await self._sequences()
        await self.exchange.start_bots()
        self.report["healthy_seconds"] = self.exchange.healthy_seconds
        self.report |= {"engine": began.engine, "loop": began.loop}
        self.say(f"healthy after {self.exchange.healthy_seconds} s; trading for {self.seconds} s")
        database = create(settings.database_url)
        try:
            async with self.exchange.demo() as demo:
                await self._trade(demo)
                await self.exchange.supervisor.stop_child("bots")
                await self._finish_transfers(demo, database)
            self.say("waiting until nobody is being liquidated")
            self.problems += await until_nobody_is_liquidated(settings, first[0])
            last = await self._sequences()
            for shard, sequence in last.items():
                await self._wait_for_cursor(database, settlement_stream(shard), sequence)
            await self._wait_for_history(database, last)
            await self._count(database, first, last)
        finally:
            await database.dispose()
        self.say("checking the books")
        await self._check()

    def write(self, path: Path | None, *, prints: bool = False) -> None:
        """Write the report, and say what failed."""
        self.report["versions"] = versions()
        self.report["restarts"] = self.exchange.supervisor.restarts()
        self.report["ok"] = not self.problems
        self.report["problems"] = self.problems
        text = json.dumps(self.report, indent=1)
        if path is not None:
            path.write_text(text + "\n")
        if path is None or prints:
            print(text)
        for problem in self.problems:
            self.say(f"FAILED: {problem}")
        if not self.problems:
            self.say("everything holds")

    async def _trade(self, demo: Demo) -> None:
        """Let the bots trade, and move money in and out meanwhile."""
        until = time.monotonic() + self.seconds
        url = self.exchange.stack.page_url
        async with AsyncClient(url, patience_seconds=_FINISH_SECONDS) as client:
            accounts = {account.name: account for account in demo.accounts}
            await demo.deposit(*_DEPOSIT)
            target = await demo.outside_address()
            for owner, code, amount in (_SMALL, _LARGE):
                key = f"once-{uuid.uuid4()}"
                await withdraw(client, accounts[owner], code, amount, target, key=key)
        await asyncio.sleep(max(0.0, until - time.monotonic()))

    async def _finish_transfers(self, demo: Demo, database: AsyncEngine) -> None:
        """Approve what waits, refill and retry what is parked, until all transfers are final."""
        self.say("finishing deposits and withdrawals")
        await demo.refill(*listings.REFILL)
        staff = Staff(self.exchange.settings, database)
        deadline = time.monotonic() + _FINISH_SECONDS
        while True:
            unfinished = await _unfinished(database)
            if not unfinished:
                break
            if time.monotonic() > deadline:
                self.problems += [f"{name} is still {state}" for name, state in unfinished]
                break
            await staff.move_on()
            await asyncio.sleep(_POLL_SECONDS)
        self.report["approved_by_officer"] = staff.approved
        if not staff.approved:
            self.problems.append("no withdrawal was approved by an officer's signed statement")

    async def _sequences(self) -> dict[int, int]:
        """Return where each shard's engine is."""
        settings = self.exchange.settings
        return {
            shard: (await engine_admin.status_of(settings, shard)).durable_sequence
            for shard in range(self.exchange.shards)
        }

    async def _wait_for_history(self, database: AsyncEngine, last: dict[int, int]) -> None:
        """Report how many commands the order history is behind the engines: none, in the end."""
        self.report["order_history_behind"] = sum(
            [
                await self._wait_for_cursor(database, order_history_stream(shard), sequence)
                for shard, sequence in last.items()
            ]
        )

    async def _wait_for_cursor(self, database: AsyncEngine, stream: str, last: int) -> int:
        """Wait until a follower has reached `last`; return how far behind it stays (0: it has)."""
        deadline = time.monotonic() + _CURSOR_SECONDS
        query = sa.select(tables.cursor.c.last_sequence).where(tables.cursor.c.stream == stream)
        while True:
            async with database.connect() as connection:
                reached = (await connection.execute(query)).scalar_one_or_none() or 0
            if reached >= last:
                return 0
            if time.monotonic() > deadline:
                text = f"{stream} is at sequence {reached}, its engine at {last}"
                self.problems.append(text)
                return last - int(reached)
            await asyncio.sleep(_POLL_SECONDS)

    async def _count(
        self, database: AsyncEngine, first: dict[int, int], last: dict[int, int]
    ) -> None:
        """Compare what the engines say they did with what the books say."""
        shards = [
            await self._count_shard(database, shard, first[shard], last[shard]) for shard in last
        ]
        deposit, withdrawal = tables.deposit, tables.withdrawal
        count = sa.func.count()
        async with database.connect() as connection:
            deposits = await connection.scalar(
                sa.select(count).where(deposit.c.state == DepositState.CREDITED)
            )
            withdrawals = await connection.scalar(
                sa.select(count).where(withdrawal.c.state == WithdrawalState.SETTLED)
            )
        self.report |= {
            "first_sequence": first[0],
            "last_sequence": last[0],
            "shards": shards,
            **{name: sum(shard[name] for shard in shards) for name in _OF_SHARDS},
            "deposits_credited": deposits,
            "withdrawals_settled": withdrawals,
        }
        for name in ("deposits_credited", "withdrawals_settled"):
            if not self.report[name]:
                self.problems.append(f"there were no {name}")

    async def _count_shard(
        self, database: AsyncEngine, shard: int, first: int, last: int
    ) -> dict[str, int]:
        """Return what one shard did in the commands after `first` up to `last`."""
        events = await engine_admin.count_events(self.exchange.settings, shard, first, last)
        if shard == 0:
            perpetuals = await counted(database, events, first, last)
            self.report |= perpetuals
            self.problems += problems_of(perpetuals, self.seconds)
        trade = tables.trade_event.c
        query = sa.select(sa.func.count()).where(
            trade.shard == shard, trade.sequence > first, trade.sequence <= last
        )
        async with database.connect() as connection:
            settled = int(await connection.scalar(query) or 0)
        orders = events[EventType.ORDER_ACCEPTED]
        trades = events[EventType.TRADE] + events[EventType.PERPETUAL_TRADE]
        if settled != trades:
            self.problems.append(f"shard {shard} made {trades} trades, {settled} are settled")
        if not orders or not trades:
            self.problems.append(f"shard {shard} had {orders} orders and {trades} trades")
        return {"shard": shard, "orders": orders, "trades": trades, "settled_trades": settled}

    async def _check(self) -> None:
        """Run the checker of `rialto verify`."""
        checked = await verify(self.exchange.settings)
        self.report["invariants"] = checked["invariants"]
        self.report["violations"] = checked["violations"]
        self.report["checked_at_sequence"] = checked["sequence"]
        self.problems += [f"violation: {violation}" for violation in checked["violations"]]
        for invariant in checked["invariants"]:
            if not invariant["ok"]:
                self.problems.append(f"invariant {invariant['name']} does not hold")
            if not invariant["rows"]:
                self.problems.append(f"invariant {invariant['name']} looked at no rows")


async def _unfinished(database: AsyncEngine) -> list[tuple[str, str]]:
    """Return (id, state) of the deposits and withdrawals that are not final."""
    deposit, withdrawal = tables.deposit, tables.withdrawal
    async with database.connect() as connection:
        rows = [
            *await connection.execute(
                sa.select(deposit.c.deposit_id, deposit.c.state).where(
                    deposit.c.state.not_in([str(state) for state in FINAL_DEPOSITS])
                )
            ),
            *await connection.execute(
                sa.select(withdrawal.c.withdrawal_id, withdrawal.c.state).where(
                    withdrawal.c.state.not_in([str(state) for state in FINAL_WITHDRAWALS])
                )
            ),
        ]
    return [(str(name), str(state)) for name, state in rows]
