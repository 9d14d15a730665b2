"""What all drills share: an exchange in a folder that goes, its load, its books at the end."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ledger import settlement_stream
from infra.engine_errors import EngineError
from infra.engine_grpc import EngineGrpc, EngineStatus
from infra.postgres import tables
from infra.postgres.engine import create
from infra.settings import Settings
from workers import engine_admin
from workers.chaos.load import Phase, TradeLoad, fund
from workers.cli.verify import verify
from workers.data_folder import make_folders, scatter_ports
from workers.exchange import Exchange
from workers.stack import preferred_ports

Say = Callable[[str], None]
LOOK_SECONDS = 0.25
_SETTLE_SECONDS = 120.0
_CURSOR = sa.select(tables.cursor.c.last_sequence).where(
    tables.cursor.c.stream == settlement_stream(0)
)


@dataclass(slots=True)
class Drill:
    """A running exchange under load."""

    exchange: Exchange
    settings: Settings
    load: TradeLoad
    say: Say
    database: AsyncEngine
    queries: EngineGrpc

    async def status(self) -> EngineStatus:
        """Return where the engine is."""
        return await self.queries.status()

    async def lag(self) -> int | None:
        """Return how many durable commands are not settled; None while one side is away."""
        settled = await self.settled()
        try:
            return None if settled is None else (await self.status()).durable_sequence - settled
        except EngineError:
            return None

    async def settled(self) -> int | None:
        """Return the ledger's cursor; None while the database is away."""
        try:
            async with asyncio.timeout(5), self.database.connect() as conn:
                return int(await conn.scalar(_CURSOR) or 0)
        except (OSError, TimeoutError, SQLAlchemyError):
            return None

    async def until_settled(self, sequence: int, seconds: float) -> float | None:
        """Return the seconds until the ledger has `sequence`; None: not in time."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if (await self.settled() or 0) >= sequence:
                return round(time.monotonic() - began, 2)
            await asyncio.sleep(LOOK_SECONDS)
        return None

    async def until_lag(self, most: int, seconds: float) -> float | None:
        """Return the seconds until at most `most` commands are behind; None: not in time."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            lag = await self.lag()
            if lag is not None and lag <= most:
                return round(time.monotonic() - began, 2)
            await asyncio.sleep(LOOK_SECONDS)
        return None

    async def close_books(self) -> dict[str, Any]:
        """Stop the load, let settlement end, and ask the checker; `problems` says what is wrong."""
        await self.load.stop()
        status = await self.status()
        settled = await self.until_settled(status.durable_sequence, _SETTLE_SECONDS)
        trade = tables.trade_event.c
        async with self.database.connect() as conn:
            found = await conn.execute(
                sa.select(sa.func.count(), sa.func.count(trade.trade_id.distinct()))
            )
            rows, different = found.one()
        self.say("checking the books")
        checked = await verify(self.settings)
        problems = [f"violation: {violation}" for violation in checked["violations"]]
        if settled is None:
            problems.append(f"settlement is behind by {await self.lag()} commands")
        if rows != different:
            problems.append(f"{rows} settled trades have {different} ids")
        return {
            "settled_trades": rows,
            "mode": (await self.status()).mode.name.lower(),  # as it is left: it may have lifted
            "invariants": len(checked["invariants"]),
            "violations": checked["violations"],
            "problems": problems,
        }


@asynccontextmanager
async def drill(
    folder: Path, rate: int, say: Say, *, gateways: int = 1, bots: bool = False
) -> AsyncIterator[Drill]:
    """Give an exchange in `folder` that trades at `rate` a second; all of it ends with the block.

    The demo is there; without its bots the load alone decides how much is traded.
    """
    make_folders(folder)
    scatter_ports(folder, preferred_ports(gateways))
    exchange = Exchange(folder, 1, say, gateways)
    try:
        await exchange.start(bots=bots)
        settings = exchange.settings
        await fund(settings)
        load, database = TradeLoad(settings, rate), create(settings.database_url, pool_size=2)
        queries = engine_admin.connect(settings, "reader")
        await load.start()
        try:
            yield Drill(exchange, settings, load, say, database, queries)
        finally:
            await load.stop()
            await queries.close()
            await database.dispose()
    finally:
        await exchange.stop()


@contextmanager
def scratch(variables: Mapping[str, str]) -> Iterator[Path]:
    """Give a folder that goes, with `RIALTO_...` only as in `variables` for what starts in it."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("RIALTO_")}
    own = {"RIALTO_CACHE", "RIALTO_ANVIL"}
    for name in kept.keys() - own:
        del os.environ[name]
    os.environ.update(variables)
    try:
        with tempfile.TemporaryDirectory(prefix="rialto-chaos-") as folder:
            Path(folder).chmod(0o755)  # PostgreSQL may run as another user
            yield Path(folder)
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(kept)


def figures(phase: Phase, name: str, seconds: float) -> dict[str, Any]:
    """Return a phase's figures; the answers' times are those of a whole slot of commands."""
    ordered = sorted(phase.answers_ms)
    found: dict[str, Any] = {
        f"{name}_seconds": round(seconds, 1),
        f"{name}_trades": phase.trades,
        f"{name}_trades_per_second": round(phase.trades / seconds),
        f"{name}_refused": dict(phase.refused),
        f"{name}_unanswered": phase.unknown,
    }
    if ordered:
        found |= {
            f"{name}_answer_p50_ms": round(statistics.median(ordered), 1),
            f"{name}_answer_p99_ms": round(ordered[int(len(ordered) * 0.99)], 1),
        }
    return found
