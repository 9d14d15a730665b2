"""Halt, cancel-only and resume, as an operator types them, on a real engine without any server."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from domain.commands import CancelOrder
from domain.errors import RejectReason
from domain.events import CommandRejected, Event, OrderAccepted
from infra.engine_grpc import EngineGrpc
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.postgres.order_history_store import OrderHistoryStore
from infra.redis.event_stream import EventReader
from infra.settings import Settings
from tests.chaos.engine_process import EngineProcess, order
from tests.offline import NO_SERVERS, write_environment
from tests.workers.cli.verbs import run_verb, run_verbs
from workers.cli.kill_switch import find_market
from workers.order_history import Follower

pytestmark = pytest.mark.servers

WITHIN_SECONDS = 5.0  # far above what it takes: the promise of a second is measured, not raced


@pytest.fixture
async def engine() -> AsyncIterator[EngineProcess]:
    """Give a running engine process with an open market, in a folder that the verbs know."""
    engine = EngineProcess("os")
    await engine.start()
    await engine.open_market(time.time_ns() // 1000)
    write_environment(engine.folder)
    yield engine
    engine.kill()
    shutil.rmtree(engine.folder)


def verb(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a verb on the engine's folder."""
    return run_verb(*words, "--data", str(folder))


def _reason(events: tuple[Event, ...]) -> RejectReason:
    return events[0].reason if isinstance(events[0], CommandRejected) else RejectReason.NONE


async def test_a_halt_is_in_force_at_once_and_survives_a_kill(engine: EngineProcess) -> None:
    """No order and no cancel after it, also after kill -9, until somebody resumes."""
    client = await engine.client()
    rested = (await client.submit(order(0, 1)))[0]
    assert isinstance(rested, OrderAccepted)
    cancel = CancelOrder(1, 1, rested.order_id)
    halted = verb(engine.folder, "halt", "--reason", "a drill", "--by", "ada", "--json")
    assert halted.returncode == 0, halted.stderr
    (shard,) = json.loads(halted.stdout)["shards"]
    assert 0 < shard["seconds"] < WITHIN_SECONDS
    print(f"halted {shard['seconds'] * 1000:.0f} ms after the verb asked the engine")
    assert _reason(await client.submit(order(0, 2))) is RejectReason.SHARD_HALTED
    assert _reason(await client.submit(cancel)) is RejectReason.SHARD_HALTED
    await client.close()

    engine.kill()
    await engine.start()
    client = await engine.client()
    assert _reason(await client.submit(order(0, 2))) is RejectReason.SHARD_HALTED
    detail = json.loads((engine.folder / "run" / "matching-engine-0.json").read_text())["detail"]
    assert (detail["mode"], detail["reason"], detail["actor"]) == ("halted", "a drill", "ada")
    assert detail["since_sequence"] == shard["sequence"]

    assert verb(engine.folder, "cancel-only", "--reason", "leave").returncode == 0
    assert _reason(await client.submit(order(0, 2))) is RejectReason.SHARD_CANCEL_ONLY
    assert _reason(await client.submit(cancel)) is RejectReason.NONE
    resumed = verb(engine.folder, "resume", "--shard", "0", "--reason", "the drill is over")
    assert (resumed.returncode, "shard 0 is open" in resumed.stdout) == (0, True)
    assert _reason(await client.submit(order(0, 2))) is RejectReason.NONE
    await client.close()


SENSELESS = (
    (("halt",), 2),
    (("halt", "--reason", ""), 2),
    (("halt", "ETH/USDT"), 2),
    (("cancel-only", "--reason", "why", "ETH/USDT"), 2),
    (("halt", "--reason", "x" * 97), 2),
    (("halt", "--reason", "\u20ac"), 2),
    (("halt", "--reason", "why", "--by", "a\nb"), 2),
    (("halt", "--reason", "why", "--shard", "1"), 2),
    (("resume", "--reason", "why", "--shard", "0", "--market", "ETH/USDT"), 2),
    (("halt", "--reason", "why", "--market", "ETH/USDT"), 3),  # nobody can say where it is
)


def test_what_makes_no_sense_changes_nothing(engine: EngineProcess) -> None:
    """Bad words end with 2 before anything is sent."""
    data = ("--data", str(engine.folder))
    found = run_verbs([(*words, *data) for words, _ in SENSELESS])
    for (words, code), (exit_code, _, err) in zip(SENSELESS, found, strict=True):
        assert exit_code == code, (words, err)
        assert words[-1] != "ETH/USDT" or "--market" in words or "write --market ETH/USDT" in err
    detail = json.loads((engine.folder / "run" / "matching-engine-0.json").read_text())["detail"]
    assert detail["mode"] == "normal"
    assert detail["since_sequence"] == 0


@pytest.mark.parametrize("name", ["ETH/USDT", "eth/usdt", "Eth-Usdt"])
async def test_a_market_is_found_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In a hurry nobody should have to think of capitals."""
    listed = {"markets": [{"symbol": "ETH/USDT", "shard": 3, "symbol_id": 7}]}
    monkeypatch.setattr("infra.embedded.temporal.http_json", lambda _url: listed)
    url = {"RIALTO_GATEWAY_PUBLIC_URL": "http://gateway", "RIALTO_DATA_DIR": "/nowhere"}
    settings = Settings.of({**NO_SERVERS, **url})
    assert await find_market(settings, name) == (3, 7)


async def test_the_audit_is_written_when_the_database_is_back(
    engine: EngineProcess, fresh_database: str
) -> None:
    """Nothing but the engine ran while it was halted; its events bring the audit, once."""
    assert verb(engine.folder, "halt", "--reason", "a drill", "--by", "ada").returncode == 0
    assert verb(engine.folder, "resume", "--reason", "over", "--by", "bea").returncode == 0
    database = create(fresh_database)
    reader = EngineGrpc(engine.target, "reader", engine.tokens.of("reader"))
    store = OrderHistoryStore(database)
    for _ in range(2):  # the second follower begins at the stored cursor
        follower = Follower(0, EventReader(None, reader), store)
        await follower.start()
        await follower.step()
        await follower.finish()
    async with database.connect() as conn:
        records = await AuditStore().read(conn, "shard-0")
        assert (await AuditStore().verify(conn))[1] == ""
    told: list[tuple[str, str, Any]] = [
        (record.actor, record.action, record.detail["reason"]) for record in records
    ]
    assert told == [("ada", "halted", "a drill"), ("bea", "normal", "over")]
    status = await reader.status()
    assert records[1].detail["sequence"] == status.status.sequence
    async with database.begin() as conn:
        count = sa.select(sa.func.count()).select_from(tables.audit_log)
        assert await conn.scalar(count) == 3  # the market's listing, too
    await reader.close()
    await database.dispose()
