"""Measures settlement: a real engine's journal through Temporal into PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.client import Client

from activities.settlement import SettlementActivities
from domain.ledger import JournalRequest, Posting, capital, transit
from domain.settlement import OperatorRequest, Origin, Settled
from domain.transfer import TO_TRADING, NewTransfer
from infra.postgres import tables
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore, Posted
from infra.postgres.settlement_store import SettlementBatch, SettlementStore
from infra.temporal.data_converter import data_converter
from infra.temporal.entities import ensure_entity
from infra.temporal.payload_keys import PAYLOAD_KEYS_FILE, PayloadKeys, ensure_payload_keys
from matching.batches import split_by_trades
from workers.settlement_flow import (
    ACCOUNTS,
    ETH,
    RICH,
    SYMBOL,
    USDT,
    Flow,
    JournalSource,
    transfer_number,
)
from workers.temporal_worker import settlement_entity, worker_of
from workers.wiring import Wiring
from workflows import task_queues
from workflows.settlement import SettlementWorkflow, settlement_workflow_id

_ACTIVITY_SECONDS = 5.5
_SIZES = sa.text(
    "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n"
    " ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND (n.nspname = 'partition'"
    " OR (n.nspname = 'public' AND c.relname IN ('journal', 'ledger_account', 'cursor')))"
)


class QuietEngine:
    """An engine that has made its events already."""

    def __init__(self, source: JournalSource) -> None:
        self._source = source

    async def durable_sequence(self) -> int:
        """Return the last released command."""
        return self._source.released()

    async def register_cursor(self, name: str, sequence: int) -> None:
        """Keep everything."""

    async def halt(self, reason: str) -> None:
        """Fail the measurement."""
        raise RuntimeError(reason)


class TimedLedger(SettlementStore):
    """The ledger, and when each sequence was committed."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.commits: list[tuple[float, int]] = []
        self._news = asyncio.Condition()

    async def until(self, last: int) -> None:
        """Return once the command `last` is settled."""
        async with self._news:
            await self._news.wait_for(lambda: self.commits and self.commits[-1][1] >= last)

    async def settle_batch(self, batch: SettlementBatch, origin: Origin | None = None) -> Settled:
        """Settle and note the time."""
        settled = await super().settle_batch(batch, origin)
        async with self._news:
            self.commits.append((time.monotonic(), settled.last_sequence))
            self._news.notify_all()
        return settled


_TERMS = {
    "chain": "ETH",
    "confirmations": 3,
    "deposit_minimum": 1,
    "withdrawal_minimum": 1,
    "withdrawal_fee": 1,
    "approval_above": 10**12,
}
_ASSETS = (
    {"asset_id": USDT, "code": "USDT", "chain_decimals": 6, "engine_decimals": 6, **_TERMS},
    {"asset_id": ETH, "code": "ETH", "chain_decimals": 18, "engine_decimals": 9, **_TERMS},
)
_INSTRUMENT = {
    "symbol_id": SYMBOL,
    "symbol": "ETH/USDT",
    "base_asset_id": ETH,
    "quote_asset_id": USDT,
    "tick_size": "0.01",
    "lot_size": "0.0001",
    "listing_price": "1000",
    "max_order": "100",
    "maker_fee_ppm": 1000,
    "taker_fee_ppm": 2000,
    "max_taker_fee_ppm": 2000,
    "band_ppm": 100000,
    "max_open_orders": 200,
}


async def prepare(engine: AsyncEngine, flow: Flow) -> None:
    """List the market and settle the credits that fund the accounts."""
    async with engine.begin() as conn:
        await conn.execute(sa.insert(tables.asset), list(_ASSETS))
        await conn.execute(sa.insert(tables.instrument), _INSTRUMENT)
        customers = [
            {"customer_id": n, "name": f"customer-{n}", "deposit_index": n}
            for n in range(1, ACCOUNTS + 1)
        ]
        await conn.execute(sa.insert(tables.customer), customers)
        await _open_transfers(conn)
    await _settle_credits(SettlementStore(engine), flow)


async def _open_transfers(conn: AsyncConnection) -> None:
    rows, postings = [], []
    for asset_id, code, scale in ((USDT, "USDT", 1), (ETH, "ETH", 10**9)):
        amount = RICH * scale
        for account in range(1, ACCOUNTS + 1):
            name = UUID(int=transfer_number(account, asset_id))
            transfer = NewTransfer(name, account, asset_id, 0, TO_TRADING, amount, "bench")
            rows.append(transfer.row())
        postings.append(Posting(capital(code), transit(0, code), code, amount * ACCOUNTS))
    await conn.execute(sa.insert(tables.transfer), rows)
    request = JournalRequest("wallet", "bench-funds", "seed", tuple(postings))
    assert isinstance(await LedgerStore().post(conn, request), Posted)


async def _settle_credits(store: SettlementStore, flow: Flow) -> None:
    after = 0
    while after < flow.funded:
        found = flow.read(after, flow.funded)
        assert found is not None
        await store.settle(0, found.first_sequence, found.last_sequence, found.data)
        after = found.last_sequence


async def through_temporal(
    engine: AsyncEngine, client: Client, source: JournalSource, last: int
) -> tuple[float, TimedLedger, int]:
    """Settle everything by the workflow; return (seconds, ledger, events of the history)."""
    ledger = TimedLedger(engine)
    activities = SettlementActivities(ledger, {0: source}, {0: QuietEngine(source)})
    wiring = Wiring(
        task_queue=task_queues.SETTLEMENT,
        workflows=(SettlementWorkflow,),
        activities=(activities.settle, activities.halt_shard),
    )
    async with worker_of(client, wiring):
        source.begin()
        begun = time.monotonic()
        await ensure_entity(client, settlement_entity(0))
        await ledger.until(last)
        took = ledger.commits[-1][0] - begun
        handle = client.get_workflow_handle(settlement_workflow_id(0))
        events = (await handle.describe()).history_length
        await handle.execute_update("pause", OperatorRequest("measured"))
        await asyncio.sleep(_ACTIVITY_SECONDS)  # the running activity ends by itself
        await handle.terminate("measured")
    return took, ledger, events


async def row_by_row(engine: AsyncEngine, flow: Flow, trades: int) -> float:
    """Return the trades a second when each command is a transaction of its own."""
    store, done = SettlementStore(engine), 0
    found = flow.read(flow.funded, flow.last)
    assert found is not None
    begun = time.monotonic()
    for part in split_by_trades(found.data, 1):
        settled = await store.settle(0, part.first_sequence, part.last_sequence, part.raw)
        done += settled.trades
        if done >= trades:
            break
    return done / (time.monotonic() - begun)


def lags_ms(
    source: JournalSource, sequences: npt.NDArray[np.int64], commits: list[tuple[float, int]]
) -> npt.NDArray[np.float64]:
    """Return how long after its release each trade was in the ledger, in milliseconds."""
    times = np.array([moment for moment, _ in commits])
    lasts = np.array([last for _, last in commits])
    committed = times[np.searchsorted(lasts, sequences, side="left")]
    lags: npt.NDArray[np.float64] = (committed - source.release_times()) * 1000
    return lags


async def size_of_books(engine: AsyncEngine) -> int:
    """Return the bytes of the ledger's tables, indexes included."""
    async with engine.connect() as conn:
        return int(await conn.scalar(_SIZES) or 0)


async def connect(address: str, folder: Path) -> Client:
    """Return a client of the measurement's Temporal; payloads are sealed as in the product."""
    path = folder / PAYLOAD_KEYS_FILE
    ensure_payload_keys(path)
    converter = data_converter(PayloadKeys(path))
    return await Client.connect(address, namespace="rialto", data_converter=converter)


async def measure_rate(url: str, address: str, flow: Flow) -> dict[str, Any]:
    """Return the rate at which the whole flow is settled, and what it left in the books."""
    engine = create(url)
    try:
        await prepare(engine, flow)
        before = await size_of_books(engine)
        source = JournalSource(flow, flow.sequences)
        client = await connect(address, flow.folder)
        took, _, events = await through_temporal(engine, client, source, flow.last)
        size = await size_of_books(engine) - before
        async with engine.connect() as conn:
            rows = await conn.scalar(sa.select(sa.func.count()).select_from(tables.trade_event))
            mode = await conn.scalar(sa.text("SHOW synchronous_commit"))
    finally:
        await engine.dispose()
    assert rows == flow.trades, f"{rows} event rows of {flow.trades} trades"
    return {
        "trades": flow.trades,
        "seconds": round(took, 2),
        "trades_per_second": round(flow.trades / took),
        "history_events": events,
        "bytes_per_trade": round(size / flow.trades),
        "synchronous_commit": mode,
    }


async def measure_lag(url: str, address: str, flow: Flow, rate: float) -> dict[str, Any]:
    """Return how long trades take into the ledger when they come at `rate` a second."""
    engine = create(url)
    try:
        await prepare(engine, flow)
        source = JournalSource(flow, flow.sequences, rate)
        client = await connect(address, flow.folder)
        _, ledger, _ = await through_temporal(engine, client, source, flow.last)
        lags = lags_ms(source, flow.sequences, ledger.commits)
    finally:
        await engine.dispose()
    p50, p99 = np.percentile(lags, [50, 99])
    return {
        "lag_trades_per_second": round(rate),
        "lag_p50_ms": round(float(p50), 1),
        "lag_p99_ms": round(float(p99), 1),
        "lag_max_ms": round(float(lags.max()), 1),
    }


async def measure_row_by_row(url: str, flow: Flow, trades: int) -> dict[str, Any]:
    """Return the rate of a writer that commits each command by itself."""
    engine = create(url)
    try:
        await prepare(engine, flow)
        return {"row_by_row_trades_per_second": round(await row_by_row(engine, flow, trades))}
    finally:
        await engine.dispose()
