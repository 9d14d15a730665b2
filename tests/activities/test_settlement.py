"""The streaming activity: bounded, dense, idempotent, quiet at rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.settlement import SettlementActivities
from domain.events import Event
from domain.ledger import LedgerInvariantError, SequenceGapError
from domain.settlement import HaltRequest, Origin, Settled, SettleRequest, SettleResult
from matching.event_codec import encode_events
from matching.event_decoder import decode_events
from tests.infra.postgres.flows import tick, trading_day


@dataclass(frozen=True)
class Read:
    first_sequence: int
    last_sequence: int
    raw: bytes


class Source:
    """Hands out events in blobs of `blob` commands, then nothing."""

    def __init__(self, events: Sequence[Event], blob: int = 7, patience: float = 0.05) -> None:
        self._events = events
        self._blob = blob
        self._patience = patience
        self.reads = 0
        self.skip = 0

    async def read(self, after: int, max_wait_seconds: float) -> Read | None:
        self.reads += 1
        first = after + 1 + self.skip
        found = [event for event in self._events if first <= event.sequence < first + self._blob]
        if not found:
            await asyncio.sleep(min(max_wait_seconds, self._patience))
            return None
        return Read(first, found[-1].sequence, encode_events(found))


@dataclass
class Prepared:
    """A batch that the ledger settles when it is asked to."""

    ledger: Ledger
    first: int
    last: int
    raw: bytes

    async def settle(self, origin: Origin | None = None) -> Settled:
        return await self.ledger.settle(self)


class Ledger:
    """A cursor that only takes the next commands, like the real one."""

    def __init__(self) -> None:
        self.last = 0
        self.batches: list[tuple[int, int]] = []
        self.events: list[Event] = []
        self.error: Exception | None = None
        self.seconds = 0.0  # that a transaction takes
        self.prepared_meanwhile = 0
        self.watchers: list[tuple[int, Callable[[], None]]] = []
        self._cursor = asyncio.Lock()

    async def cursor(self, shard: int) -> int:
        return self.last

    async def prepare(self, shard: int, first: int, last: int, raw: bytes) -> Prepared:
        await asyncio.sleep(0)  # as a thread would compute
        self.prepared_meanwhile += self._cursor.locked()
        return Prepared(self, first, last, raw)

    async def settle(self, batch: Prepared) -> Settled:
        async with self._cursor:
            if self.error:
                raise self.error
            if batch.first <= self.last:
                return Settled(self.last, 0, "")
            assert batch.first == self.last + 1
            await asyncio.sleep(self.seconds)
            events = decode_events(batch.raw)
            self.batches.append((batch.first, batch.last))
            self.events += events
            self.last = batch.last
        for place, stop in self.watchers:
            if self.last >= place:
                stop()
        trades = sum(type(event).__name__ == "Trade" for event in events)
        return Settled(batch.last, trades, f"hash-{batch.last}")


class Engine:
    """A shard engine with a known end."""

    def __init__(self, durable: int) -> None:
        self.durable = durable
        self.cursors: list[tuple[str, int]] = []
        self.halted: list[str] = []

    async def durable_sequence(self) -> int:
        return self.durable

    async def register_cursor(self, name: str, sequence: int) -> None:
        self.cursors.append((name, sequence))

    async def halt(self, reason: str) -> None:
        self.halted.append(reason)


async def run(
    ledger: Ledger,
    source: Source,
    engine: Engine,
    seconds: float = 0.3,
    most: int = 20,
    until: int = 0,
) -> SettleResult:
    """Run the activity for `seconds`, or until the ledger is at `until` and its worker stops."""
    activities = SettlementActivities(ledger, {0: source}, {0: engine})
    environment = ActivityEnvironment()
    request = SettleRequest(0, 60 if until else seconds, most)
    if until:
        ledger.watchers.append((until, environment.worker_shutdown))
    return await environment.run(activities.settle, request)


async def test_everything_is_settled_once_in_order() -> None:
    """All events arrive, in batches within the limit, and the result adds up."""
    events = trading_day(1, 1, 200, 5)
    ledger, engine = Ledger(), Engine(205)
    result = await run(ledger, Source(events), engine, until=200)
    assert ledger.events == events
    assert (result.from_sequence, result.to_sequence, result.lag) == (0, 200, 5)
    assert result.batches == len(ledger.batches)
    assert result.digest == "hash-200"
    assert engine.cursors[-1] == ("settlement.0", 200)  # one of each second that it took before


async def test_the_engine_hears_of_it_while_it_runs() -> None:
    """A long run tells the engine every second what is settled, not only at its end."""
    engine = Engine(200)
    await run(Ledger(), Source(trading_day(1, 1, 200, 5)), engine, seconds=1.3)
    assert engine.cursors == [("settlement.0", 200)] * 2


async def test_goes_on_at_the_cursor_whatever_was_remembered() -> None:
    """A second run begins where the ledger stands and settles nothing twice."""
    events = trading_day(2, 1, 100, 5)
    ledger = Ledger()
    begin = [event for event in events if event.sequence <= 40]
    await run(ledger, Source(begin), Engine(0), until=40)
    again = await run(ledger, Source(events), Engine(0), until=100)
    assert ledger.events == events
    assert (again.from_sequence, again.to_sequence) == (40, 100)


async def test_two_runs_at_once_settle_once() -> None:
    """A run that was given up and still runs does not disturb its successor."""
    events = trading_day(3, 1, 150, 5)
    ledger = Ledger()
    await asyncio.gather(*(run(ledger, Source(events), Engine(0), until=150) for _ in range(3)))
    assert ledger.events == events


async def test_the_next_batch_is_prepared_while_one_is_written() -> None:
    """Behind, full batches follow each other, one transaction at a time, and the rest after."""
    events = trading_day(6, 1, 200, 5)
    ledger = Ledger()
    ledger.seconds = 0.001
    result = await run(ledger, Source(events, blob=60), Engine(200), most=10, until=200)
    assert ledger.events == events
    assert ledger.prepared_meanwhile > len(ledger.batches) // 2
    assert (result.to_sequence, result.batches) == (200, len(ledger.batches))


async def test_a_broken_batch_lets_the_one_before_be_settled() -> None:
    """What was being written when the next turned out broken is in the ledger, and counted."""
    events = trading_day(6, 1, 200, 5)
    ledger, prepare = Ledger(), Ledger.prepare
    ledger.seconds = 0.02

    async def breaks_later(shard: int, first: int, last: int, raw: bytes) -> Prepared:
        if ledger.prepared_meanwhile == 2:
            raise SequenceGapError("broken")
        return await prepare(ledger, shard, first, last, raw)

    ledger.prepare = breaks_later  # type: ignore[method-assign]
    with pytest.raises(ApplicationError, match="broken"):
        await run(ledger, Source(events, blob=200), Engine(200), most=5)
    assert len(ledger.batches) == 3
    assert ledger.events == [event for event in events if event.sequence <= ledger.last]


async def test_gap_in_the_stream_is_not_retryable() -> None:
    """Missing commands stop settlement at once."""
    source = Source(trading_day(4, 1, 50, 5))
    source.skip = 3
    with pytest.raises(ApplicationError) as raised:
        await run(Ledger(), source, Engine(0))
    assert (raised.value.type, raised.value.non_retryable) == ("SequenceGap", True)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(LedgerInvariantError("below"), "LedgerInvariant"), (SequenceGapError("x"), "SequenceGap")],
)
async def test_broken_rule_is_not_retryable(error: Exception, kind: str) -> None:
    """What repetition cannot heal ends the activity with a type that parks the workflow."""
    ledger = Ledger()
    ledger.error = error
    with pytest.raises(ApplicationError) as raised:
        await run(ledger, Source(trading_day(5, 1, 50, 5)), Engine(0))
    assert (raised.value.type, raised.value.non_retryable) == (kind, True)


async def test_database_failure_is_retryable() -> None:
    """A failure of the infrastructure surfaces as it is, so Temporal tries again."""
    ledger = Ledger()
    ledger.error = ConnectionError("away")
    with pytest.raises(ConnectionError):
        await run(ledger, Source(trading_day(5, 1, 50, 5)), Engine(0))


async def test_idle_run_blocks_and_keeps_to_its_time() -> None:
    """Without events it sleeps in the source as long as it may, and then ends."""
    source = Source([], patience=60)
    started = time.monotonic()
    result = await run(Ledger(), source, Engine(0), seconds=0.4)
    assert 0.35 < time.monotonic() - started < 30
    assert source.reads <= 2
    assert result.batches == 0


async def test_ticks_are_saved_together() -> None:
    """Ten ticks that arrive one by one are few transactions, and the cursor is stored in time."""
    ledger = Ledger()
    await run(ledger, Source([tick(n) for n in range(1, 11)], blob=1), Engine(10), seconds=1.2)
    assert ledger.last >= 5
    assert len(ledger.batches) <= 3


async def test_halt_reaches_the_engine() -> None:
    """The parked shard's engine is told to halt, and why."""
    engine = Engine(0)
    activities = SettlementActivities(Ledger(), {0: Source([])}, {0: engine})
    await ActivityEnvironment().run(activities.halt_shard, HaltRequest(0, "broken"))
    assert engine.halted == ["broken"]
