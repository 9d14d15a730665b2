"""The processes that a liquidation needs, as in production: engine, Valkey, Temporal, monitor.

PostgreSQL takes the records. Settlement does not run: its cursor is set far ahead, so that no
liquidation waits for a ledger that this does not measure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from domain.commands import Command
from domain.events import CommandRejected, Event, EventType
from domain.ledger import settlement_stream
from infra.postgres import tables
from infra.postgres.engine import create
from infra.wallet.officers import create_officers
from matching.codec import decode_events, decode_only, encode_command, view_events
from workers import bench_servers
from workers.bench import risk_market as m
from workers.bench.rig import EngineRig, Process
from workers.risk_news import wall_us

_BATCH = 1_000
_FAR = 1 << 60
_FEED_SECONDS = 1.0


class RiskRig(EngineRig):
    """An engine with two perpetual markets, whose index is said once a second, and its monitor."""

    def __init__(self, folder: Path, database_url: str, temporal: str, policy: str) -> None:
        self.database_url = database_url
        self._temporal = temporal
        super().__init__(folder, policy)
        self.monitor = Process("risk-monitor-0", "workers.risk_monitor", folder, self.settings())
        self.middle = dict.fromkeys(m.MARKETS, m.OPENING)
        self._quote_number = 0

    def settings(self) -> dict[str, str]:
        """Return the environment of its processes."""
        return super().settings() | {
            "RIALTO_DATABASE_URL": self.database_url,
            "RIALTO_TEMPORAL_ADDRESS": self._temporal,
        }

    async def open_market(self) -> None:
        """List the markets and say their index from now on."""
        self._risk, self._treasury = self.connect("risk"), self.connect("treasury")
        self._gateway = self.connect("gateway")
        admin = self.connect("admin")
        for command in m.listings():
            refused(await admin.submit(command))
        await self.say_index()
        feeding = asyncio.create_task(self._feed())
        self._stack.callback(feeding.cancel)

    async def _feed(self) -> None:
        while True:
            await asyncio.sleep(_FEED_SECONDS)
            with suppress(Exception):  # the engine is stopped before this is
                await self.say_index()

    async def say_index(self) -> list[int]:
        """Say every market's index as it is; return the sequences."""
        now_us = wall_us()
        said = [m.index(symbol_id, self.middle[symbol_id], now_us) for symbol_id in m.MARKETS]
        return [(await self._risk.submit(command))[0].sequence for command in said]

    async def quote(self, symbol_id: int, middle: int) -> None:
        """Move the maker's quotes; the index follows with `say_index`."""
        self._quote_number += 1
        await self.orders(m.quotes(symbol_id, middle, self._quote_number))
        self.middle[symbol_id] = middle

    async def move(self, symbol_id: int, middle: int) -> int:
        """Move quotes and index; return the sequence of the market's index."""
        await self.quote(symbol_id, middle)
        return (await self.say_index())[m.MARKETS.index(symbol_id)]

    async def orders(self, commands: Iterable[Command]) -> None:
        """Run customers' commands in batches; one that is refused is a mistake of ours."""
        await self._many(self._gateway, commands)

    async def pay(self, commands: Iterable[Command]) -> None:
        """Run the treasury's commands in batches."""
        await self._many(self._treasury, commands)

    async def _many(self, door: Any, commands: Iterable[Command]) -> None:
        batch: list[bytes] = []
        for command in commands:
            batch.append(encode_command(command))
            if len(batch) == _BATCH:
                _none_refused(await door.submit_bytes(b"".join(batch)))
                batch = []
        if batch:
            _none_refused(await door.submit_bytes(b"".join(batch)))

    async def submit_risk(self, command: Command) -> tuple[Event, ...]:
        """Run a command of the risk service."""
        return await self._risk.submit(command)

    async def start_monitor(self) -> None:
        """Start the risk monitor and wait until it has heard of everything."""
        self._stack.callback(self.monitor.stop)
        await asyncio.to_thread(self.monitor.start)
        wanted = (await self.queries.status()).durable_sequence
        async with asyncio.timeout(120):
            while int(self.monitor.beat().get("sequence") or 0) < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            while self._has_concerns():  # noqa: ASYNC110 - until Temporal answers
                await asyncio.sleep(0.1)

    def _has_concerns(self) -> bool:
        return bool(self.monitor.beat()["detail"]["attention"])

    async def until_fresh(self) -> None:
        """Wait until the marks may be acted on: a whole window after the start."""
        async with asyncio.timeout(400):
            while True:
                _, found = await self.queries.perpetuals()
                if all(market.mark_is_fresh for market in found):
                    return
                await asyncio.sleep(1)

    async def events(self, after: int, kinds: Sequence[EventType]) -> list[Event]:
        """Return the events of these types after a sequence, up to what is durable."""
        found: list[Event] = []
        last = (await self.queries.status()).durable_sequence
        while after < last:
            async for part in self.queries.events(after, 4 << 20):
                found += decode_only(part.data, kinds)
                after = part.last_sequence
        return found


def refused(events: Sequence[Event]) -> None:
    """Fail where a command was refused."""
    if isinstance(events[0], CommandRejected):
        raise TypeError(f"the engine refuses the measurement: {events[0]}")


def _none_refused(raw: bytes) -> None:
    stripes = view_events(raw)
    bad = stripes[(stripes["index"] == 0) & (stripes["type"] == EventType.COMMAND_REJECTED)]
    if len(bad):
        raise TypeError(f"the engine refuses: {decode_events(bad[:1].tobytes())[0]}")


async def prepare(folder: Path, database_url: str) -> None:
    """Set settlement's cursor far ahead, and make the officers."""
    database = create(database_url)
    async with database.begin() as conn:
        row = {"stream": settlement_stream(0), "last_sequence": _FAR}
        await conn.execute(sa.insert(tables.cursor).values(row))
    await database.dispose()
    create_officers(folder)


@asynccontextmanager
async def risk_rig(policy: str) -> AsyncIterator[RiskRig]:
    """Give a rig with servers of its own; all of it ends with the block."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(bench_servers.scratch_folder())
        url = stack.enter_context(bench_servers.postgres(folder))
        address = stack.enter_context(bench_servers.temporal(folder))
        await prepare(folder, url)
        yield await stack.enter_async_context(RiskRig(folder, url, address, policy))
