"""Alarms on a real database: raised once, sent once, kept while their source is silent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from domain.alarm import Alarm, AlarmKind, Condition, Severity
from domain.checker_report import Violation
from domain.order import ShardMode
from domain.trading_status import StatusReason
from infra.engine_grpc import EngineStatus
from infra.postgres.alarm_store import AlarmStore
from infra.postgres.engine import create
from workers.alarm_watch import (
    AlarmWatch,
    Source,
    halt_source,
    lag_source,
    reconciliation_source,
)

pytestmark = pytest.mark.servers


class Box:
    """A sender that keeps what it was given, and may be out of order."""

    name = "box"

    def __init__(self) -> None:
        self.sent: list[Alarm] = []
        self.broken = False

    async def send(self, alarm: Alarm) -> None:
        if self.broken:
            raise OSError("no line")
        self.sent.append(alarm)


class Parked:
    """A source with a list that tests change; None: it does not answer."""

    def __init__(self) -> None:
        self.names: list[str] | None = []

    async def __call__(self) -> list[Condition]:
        if self.names is None:
            raise ConnectionError("away")
        return [
            Condition(AlarmKind.PARKED, name, Severity.WARNING, f"{name} is parked", name)
            for name in self.names
        ]


@pytest.fixture
async def store(fresh_database: str) -> AsyncIterator[AlarmStore]:
    """Give a store whose links go to a Temporal UI."""
    engine = create(fresh_database)
    yield AlarmStore(engine, "http://ui/", "rialto")
    await engine.dispose()


async def test_alarm_is_raised_and_sent_once(store: AlarmStore) -> None:
    """Found in three rounds, by two watches, it is one alarm and one message."""
    box, parked = Box(), Parked()
    watches = [AlarmWatch(store, {AlarmKind.PARKED: parked}, [box]) for _ in range(2)]
    parked.names = ["withdrawal-1", "withdrawal-1"]
    for watch in (*watches, watches[0]):
        await watch.round()
    (alarm,) = await store.open()
    assert (alarm.kind, alarm.subject, alarm.times) == ("parked", "withdrawal-1", 3)
    assert alarm.workflow_url == "http://ui/namespaces/rialto/workflows/withdrawal-1"
    assert alarm.runbook == "docs/runbooks/wallet-parked.md"
    assert [sent.alarm_id for sent in box.sent] == [alarm.alarm_id]


async def test_gone_is_cleared_and_back_is_new(store: AlarmStore) -> None:
    """A condition that ends clears its alarm; when it returns, people hear of it again."""
    box, parked = Box(), Parked()
    watch = AlarmWatch(store, {AlarmKind.PARKED: parked}, [box])
    for names in (["w-1"], [], ["w-1"]):
        parked.names = names
        await watch.round()
    assert [bool(alarm.cleared_at) for alarm in await store.latest()] == [True, False]
    assert len(box.sent) == 2


async def test_silent_source_clears_nothing(store: AlarmStore) -> None:
    """While Temporal is away its parked workflows stay alarms."""
    parked = Parked()
    watch = AlarmWatch(store, {AlarmKind.PARKED: parked}, [])
    parked.names = ["w-1"]
    await watch.round()
    parked.names = None
    await watch.round()
    assert [alarm.subject for alarm in watch.open] == ["w-1"]


async def test_what_could_not_be_sent_is_sent_later(store: AlarmStore) -> None:
    """A sender that was away gets each open alarm once it is back; the other one only once."""
    broken, good, parked = Box(), Box(), Parked()
    broken.broken, good.name = True, "good"
    watch = AlarmWatch(store, {AlarmKind.PARKED: parked}, [broken, good])
    parked.names = ["w-1", "w-2"]
    await watch.round()
    assert (len(broken.sent), len(good.sent)) == (0, 2)
    broken.broken = False
    await watch.round()
    assert (len(broken.sent), len(good.sent)) == (2, 2)


async def test_one_person_looks_after_an_alarm(store: AlarmStore) -> None:
    """The first acknowledgement counts; it does not clear; an unknown number is refused."""
    parked = Parked()
    parked.names = ["w-1"]
    await AlarmWatch(store, {AlarmKind.PARKED: parked}, []).round()
    (alarm,) = await store.open()
    assert await store.acknowledge(alarm.alarm_id, "marta")
    assert not await store.acknowledge(alarm.alarm_id, "piero")
    assert not await store.acknowledge(alarm.alarm_id + 1, "piero")
    (alarm,) = await store.open()
    assert (alarm.acked_by, alarm.cleared_at) == ("marta", "")


def status(mode: ShardMode = ShardMode.NORMAL, durable: int = 0) -> EngineStatus:
    """Return an engine's status, as far as alarms look at it."""
    reason = StatusReason(actor="settlement", reason="books differ")
    return cast("EngineStatus", SimpleNamespace(mode=mode, durable_sequence=durable, status=reason))


async def found(source: Source) -> list[tuple[str, str]]:
    return [(condition.subject, condition.text) for condition in await source()]


async def test_halted_shard_is_found() -> None:
    """A shard that does not trade is an alarm that says who stopped it and why."""

    async def statuses() -> Mapping[int, EngineStatus]:
        return {0: status(), 1: status(ShardMode.HALTED)}

    assert await found(halt_source(statuses)) == [
        ("shard 1", "shard 1 is halted, set by settlement: books differ")
    ]


async def test_lag_is_an_alarm_when_it_lasts() -> None:
    """Ten seconds without settling what was durable; a busy shard that settles is none."""
    now, cursor, durable = [0.0], {0: 100}, {0: status(durable=150)}

    async def cursors() -> Mapping[int, int]:
        return cursor

    async def statuses() -> Mapping[int, EngineStatus]:
        return durable

    source = lag_source(cursors, statuses, lambda: now[0])
    assert await found(source) == []
    now[0] = 9
    assert await found(source) == []
    now[0] = 11
    assert await found(source) == [("shard 0", "shard 0: 50 commands not settled, for 11 s")]
    cursor[0], durable[0], now[0] = 160, status(durable=300), 12
    assert await found(source) == []
    now[0] = 30
    assert await found(source) == [("shard 0", "shard 0: 140 commands not settled, for 18 s")]


async def test_difference_names_account_asset_amount_and_sequence() -> None:
    """What reconciliation found is in the alarm, and where its run can be seen."""
    violation = Violation("engine_equals_ledger", "they differ", "fees.0:USDT", "USDT", -3, 77)

    async def newest() -> Mapping[int, tuple[Sequence[Violation], object]]:
        return {0: ([violation], None), 1: ([], None)}

    (condition,) = await reconciliation_source(newest)()
    assert condition.subject == "shard 0: engine_equals_ledger fees.0:USDT"
    assert condition.workflow_id == "reconciliation-0"
    for part in ("fees.0:USDT", "asset USDT", "amount -3", "first bad sequence 77"):
        assert part in condition.text
