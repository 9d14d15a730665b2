"""Numbers, time and the two gates."""

from __future__ import annotations

import random

import pytest

from domain.commands import CancelOrder, PlaceOrder, Started, Tick
from domain.events import EngineStarted
from domain.order import OrderType, Side, TimeInForce
from matching import snapshot
from matching.codec import decode_events, encode_command, view_events
from matching.engine import EngineKindError, create_engine, restore_engine
from matching.segments import JournalError, JournalFault
from matching.wire import STRIPE
from tests.matching.shard import JOURNAL_ID, Shard
from tests.simulation.disk import SimulatedDisk


def test_each_start_is_a_new_epoch() -> None:
    """`Started` is the first record, durable before anything else, with the next epoch."""
    shard = Shard(SimulatedDisk())
    for epoch in range(1, 4):
        found = shard.sequencer.read_events(epoch - 1, 1 << 20)
        assert found is not None
        (event,) = decode_events(found.data)
        assert isinstance(event, EngineStarted)
        assert (event.epoch, event.build_id) == (epoch, 1)
        assert shard.sequencer.durable_sequence == epoch
        shard.start()


def test_time_never_runs_backward() -> None:
    """A wall clock that jumps back an hour stops engine time, not the engine."""
    shard = Shard(SimulatedDisk())
    shard.sequencer.tick()
    before = shard.sequencer.engine.time_us
    shard.clock.now_us -= 3_600_000_000
    shard.sequencer.tick()
    assert shard.sequencer.engine.time_us == before
    shard.clock.now_us -= 24 * 3_600_000_000
    assert shard.start().engine.time_us == before
    shard.clock.now_us = before + 10
    shard.sequencer.tick()
    assert shard.sequencer.engine.time_us > before


def test_readers_wait_for_the_sync_and_answers_for_the_policy() -> None:
    """Under `os` an answer may go before the sync, under `fsync` not; events never may."""
    for policy in ("os", "fsync"):
        shard = Shard(SimulatedDisk(), ack_policy=policy)
        shard.sequencer.tick()
        sequencer = shard.sequencer
        assert sequencer.acknowledged_sequence == (2 if policy == "os" else 1)
        assert sequencer.read_events(1, 1 << 20) is None
        sequencer.sync()
        assert sequencer.acknowledged_sequence == 2
        found = sequencer.read_events(1, 1 << 20)
        assert found is not None
        assert found.last_sequence == 2


def test_every_command_is_journalled_and_numbered() -> None:
    """Refused commands too: N outcomes for N commands, dense numbers."""
    shard = Shard(SimulatedDisk())
    shard.open_market()
    before = shard.sequencer.sequence
    result = shard.flow(random.Random(1), 50)
    assert (result.first_sequence, result.last_sequence) == (before + 1, before + 50)
    view = view_events(result.events)
    outcomes = view[(view["index"] == 0) & (view["part"] == 0)]
    assert outcomes["sequence"].tolist() == list(range(before + 1, before + 51))


def test_a_large_batch_is_several_blocks() -> None:
    """A batch beyond a block is cut at command borders and answered as one."""
    shard = Shard(SimulatedDisk())
    order = PlaceOrder(
        1, 1, 1, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 1, 1, client_text="text"
    )
    records = (encode_command(order), encode_command(CancelOrder(1, 1, 1)))
    batch = b"".join(records[n % 3 == 0] for n in range(12_000))
    assert len(batch) > 1 << 20
    result = shard.sequencer.submit(batch)
    assert result.last_sequence - result.first_sequence == 11_999
    assert len(result.events) == 12_000 * STRIPE
    shard.sequencer.sync()
    digest = shard.sequencer.engine.digest()
    assert digest != shard.start().engine.digest()  # Started came on top
    assert shard.sequencer.replayed == 12_001


@pytest.mark.parametrize("command", [Tick(), Started(9, 9)])
def test_nobody_else_writes_the_sequencers_records(command: Tick | Started) -> None:
    """Ticks and starts come from the sequencer alone."""
    shard = Shard(SimulatedDisk())
    with pytest.raises(AssertionError):
        shard.sequencer.submit(encode_command(command))


def test_a_reader_with_more_than_the_journal_is_told() -> None:
    """A cursor or a read beyond the journal is JOURNAL_BEHIND_LEDGER."""
    sequencer = Shard(SimulatedDisk()).sequencer
    with pytest.raises(JournalError) as caught:
        sequencer.read_events(5, 1)
    assert caught.value.fault is JournalFault.JOURNAL_BEHIND_LEDGER
    with pytest.raises(JournalError) as caught:
        sequencer.register_cursor("ledger", 5)
    assert caught.value.fault is JournalFault.JOURNAL_BEHIND_LEDGER


def test_failing_disks_stop_before_the_answer() -> None:
    """A write or sync that fails raises, and nothing after it succeeds."""
    disk = SimulatedDisk()
    shard = Shard(disk)
    disk.fail_syncs = True
    shard.sequencer.tick()
    with pytest.raises(JournalError, match="SYNC_FAILED"):
        shard.sequencer.sync()
    disk.fail_syncs = False
    with pytest.raises(JournalError, match="SYNC_FAILED"):
        shard.sequencer.tick()
    disk.power_cut_clean()
    assert shard.start().sequence == 2
    disk.fail_writes = True
    with pytest.raises(JournalError, match="WRITE_FAILED"):
        shard.sequencer.tick()


def test_retention_keeps_what_readers_and_snapshots_need() -> None:
    """Files go only when every cursor and the oldest kept snapshot have passed."""
    disk = SimulatedDisk()
    shard, chance = Shard(disk), random.Random(2)
    shard.sequencer.journal.segment_bytes = 16_384
    shard.sequencer.events.file_bytes = 16_384
    shard.open_market()
    for _ in range(4):
        for _ in range(60):
            shard.flow(chance, 4)
        shard.sequencer.sync()
        snapshot.write(disk, shard.sequencer.engine, JOURNAL_ID)
    assert shard.sequencer.retain(1) == 0  # no reader has registered
    oldest = snapshot.snapshots(disk)[-1].sequence
    shard.sequencer.register_cursor("slow", 100)
    shard.sequencer.register_cursor("fast", oldest)
    dropped = shard.sequencer.retain(1)
    assert dropped == 0 or shard.sequencer.events.first_sequence <= 101
    shard.sequencer.register_cursor("slow", oldest)
    assert shard.sequencer.retain(1) > 0
    assert 1 < shard.sequencer.events.first_sequence <= oldest + 1
    digest = shard.sequencer.engine.digest()
    shard.start()
    assert restore_engine(shard.sequencer.engine.snapshot()).digest() != digest
    found = shard.sequencer.read_events(oldest, 1 << 20)
    assert found is not None


def test_a_missing_core_is_said_and_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for the core gets it or a clear error; who asks for nothing gets the best."""
    assert create_engine().kind == "core"
    with pytest.raises(EngineKindError, match="other"):
        create_engine(kind="other")
    monkeypatch.setattr("matching.engine.load_core", lambda: None)
    assert create_engine().kind == "reference"
    with pytest.raises(EngineKindError, match="C\\+\\+"):
        Shard(SimulatedDisk(), kind="core")
