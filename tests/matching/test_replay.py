"""Start-up is recovery: snapshot, tail and events agree, whatever happened before."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from domain.commands import Tick
from matching import snapshot
from matching.codec import encode_command
from matching.replay import engine_at, replay_to
from matching.segments import HEADER_BYTES, JournalError, JournalFault
from matching.shadow import take_snapshot
from matching.storage import FileStorage
from tests.matching.shard import JOURNAL_ID, Shard
from tests.simulation.disk import SimulatedDisk


def _busy(disk: SimulatedDisk, seed: int = 1, batches: int = 20) -> tuple[Shard, random.Random]:
    shard, chance = Shard(disk), random.Random(seed)
    shard.open_market()
    for _ in range(batches):
        shard.flow(chance, chance.randint(1, 12))
        if chance.random() < 0.5:
            shard.sequencer.sync()
    return shard, chance


def _take_snapshot(shard: Shard) -> int:
    shard.sequencer.sync()
    file = snapshot.write(shard.storage, shard.sequencer.engine, JOURNAL_ID)
    return file.sequence


@pytest.mark.parametrize("seed", range(25))
def test_nothing_synced_is_lost_in_a_power_cut(seed: int) -> None:
    """The restarted engine has at least what was durable, and exactly the state of its journal."""
    disk = SimulatedDisk()
    shard, chance = _busy(disk, seed)
    if chance.random() < 0.5:
        _take_snapshot(shard)
        shard.flow(chance, 9)
    old, durable = shard.sequencer, shard.sequencer.durable_sequence
    published = old.read_events(0, 1 << 30)
    disk.power_cut(chance)
    new = shard.start()
    assert durable < new.sequence <= old.sequence + 1  # one more: Started
    assert new.journal.epoch == old.journal.epoch + 1
    again = new.read_events(0, 1 << 30)
    assert published is not None
    assert again is not None
    assert again.data.startswith(published.data)
    genesis = replay_to(disk, 0, None, from_genesis=True)
    assert genesis.digest() == new.engine.digest()


def test_the_disk_can_lose() -> None:
    """The control: what was never synced is gone after a power cut, so the test above can fail."""
    disk = SimulatedDisk()
    shard, chance = _busy(disk)
    shard.sequencer.sync()
    durable = shard.sequencer.sequence
    shard.flow(chance, 50)
    disk.power_cut_clean()
    assert shard.start().sequence == durable + 1


def test_a_killed_process_loses_nothing_at_all() -> None:
    """With the page cache intact every written command is there again."""
    disk = SimulatedDisk()
    shard, _ = _busy(disk)
    digest, sequence = shard.sequencer.engine.digest(), shard.sequencer.sequence
    assert replay_to(disk, 0, None).digest() == digest
    assert shard.start().sequence == sequence + 1


def test_recovery_starts_from_the_newest_snapshot() -> None:
    """Only the tail behind the snapshot is replayed, and the digest is the same."""
    disk = SimulatedDisk()
    shard, chance = _busy(disk)
    at = _take_snapshot(shard)
    shard.flow(chance, 5)
    shard.sequencer.sync()
    last = shard.sequencer.sequence
    new = shard.start()
    assert new.replayed == last - at
    assert new.engine.digest() == replay_to(disk, 0, None, from_genesis=True).digest()


@pytest.mark.parametrize("damage", ["flip", "cut", "format", "empty"])
def test_a_corrupt_snapshot_falls_back_to_an_older_one(damage: str) -> None:
    """A bad snapshot is passed over; the state is the same, only later."""
    disk = SimulatedDisk()
    shard, chance = _busy(disk)
    older = _take_snapshot(shard)
    shard.flow(chance, 30)
    _take_snapshot(shard)
    newest = snapshot.snapshots(disk)[0].name
    match damage:
        case "flip":
            disk.flip(newest, disk.size(newest) // 2)
        case "cut":
            disk.truncate(newest, disk.size(newest) - 1)
        case "format":
            disk.flip(newest, 8)
        case _:
            disk.truncate(newest, 0)
    last, digest = shard.sequencer.sequence, shard.sequencer.engine.digest()
    assert replay_to(disk, 0, last).digest() == digest
    assert shard.start().replayed == last - older


def test_only_the_newest_snapshots_are_kept() -> None:
    """Three are kept; a crash in the middle of writing leaves the old ones."""
    disk = SimulatedDisk()
    shard, chance = _busy(disk)
    taken = []
    for _ in range(5):
        shard.flow(chance, 3)
        taken.append(_take_snapshot(shard))
    assert [file.sequence for file in snapshot.snapshots(disk)] == taken[:1:-1]


def test_events_are_rebuilt_from_the_journal() -> None:
    """Without the events folder the same bytes come back."""
    disk = SimulatedDisk()
    shard, _ = _busy(disk)
    _take_snapshot(shard)
    shard.sequencer.sync()
    before = shard.sequencer.read_events(0, 1 << 30)
    for name in disk.names("events"):
        disk.remove(name)
    after = shard.start().read_events(0, 1 << 30)
    assert before is not None
    assert after is not None
    assert after.data.startswith(before.data)


def test_a_replay_that_differs_from_the_events_stops() -> None:
    """Another build that computes other events never goes on quietly."""
    disk = SimulatedDisk()
    shard, _ = _busy(disk)
    shard.sequencer.sync()
    events = shard.sequencer.events
    events.append(events.last_sequence + 1, events.last_sequence + 1, bytes(64), bytes(64))
    shard.sequencer.journal.append(
        encode_command(Tick(), sequence=shard.sequencer.sequence + 1, time_us=2**60),
        shard.sequencer.sequence + 1,
        1,
    )
    with pytest.raises(JournalError) as caught:
        shard.start()
    assert caught.value.fault is JournalFault.DIGEST_MISMATCH


def test_a_cursor_beyond_the_journal_stops_the_start() -> None:
    """A ledger that knows more than the journal means the journal is an old copy."""
    disk = SimulatedDisk()
    shard, chance = _busy(disk)
    copy = {name: disk.read(name, 0, 1 << 30) for name in disk.names("journal")}
    shard.flow(chance, 30)
    shard.sequencer.sync()
    shard.sequencer.register_cursor("ledger", shard.sequencer.sequence)
    shard.sequencer.cursors.save()
    for name, data in copy.items():
        disk.write(name, 0, data)
    with pytest.raises(JournalError, match="ledger") as caught:
        shard.start()
    assert caught.value.fault is JournalFault.JOURNAL_BEHIND_LEDGER


def test_a_snapshot_beyond_the_journal_stops_the_start() -> None:
    """The same for a snapshot: it was taken of durable commands only."""
    disk = SimulatedDisk()
    shard, chance = _busy(disk)
    name = disk.names("journal")[0]
    copy = disk.read(name, 0, 1 << 30)
    shard.flow(chance, 30)
    _take_snapshot(shard)
    disk.write(name, 0, copy)
    with pytest.raises(JournalError) as caught:
        shard.start()
    assert caught.value.fault is JournalFault.JOURNAL_BEHIND_LEDGER


@pytest.mark.parametrize("with_snapshot", [False, True])
def test_a_second_engine_at_any_sequence(tmp_path: Path, *, with_snapshot: bool) -> None:
    """Beside a running writer `engine_at` gives exactly the state after that command."""
    storage = FileStorage(tmp_path)
    shard, chance = Shard(storage), random.Random(3)
    shard.open_market()
    seen = {}
    for number in range(12):
        shard.flow(chance, 4)
        shard.sequencer.sync()
        seen[shard.sequencer.sequence] = (
            shard.sequencer.engine.digest(),
            shard.sequencer.engine.balances(),
        )
        if with_snapshot and number == 6:
            take_snapshot(tmp_path, shard.sequencer.durable_sequence)
    for sequence, (digest, balances) in seen.items():
        engine = engine_at(tmp_path, sequence)
        assert (engine.sequence, engine.digest()) == (sequence, digest)
        assert engine.balances() == balances
    inside = engine_at(tmp_path, max(seen) - 2)  # in the middle of a block
    assert inside.sequence == max(seen) - 2
    assert engine_at(tmp_path).sequence == max(seen)
    with pytest.raises(JournalError) as caught:
        engine_at(tmp_path, max(seen) + 1)
    assert caught.value.fault is JournalFault.NOT_IN_JOURNAL
    storage.close()


def test_an_empty_folder_has_no_engine(tmp_path: Path) -> None:
    """Asking for a state where there is no journal is answered by name."""
    with pytest.raises(JournalError) as caught:
        engine_at(tmp_path, 1)
    assert caught.value.fault is JournalFault.NOT_IN_JOURNAL


def test_damage_in_the_middle_is_named_to_readers_too() -> None:
    """A second engine does not take damaged history for the end."""
    disk = SimulatedDisk()
    shard, chance = _busy(disk)
    for _ in range(3):
        shard.flow(chance, 2)
        shard.sequencer.sync()
    disk.flip(disk.names("journal")[0], HEADER_BYTES + 70)
    with pytest.raises(JournalError) as caught:
        replay_to(disk, 0, shard.sequencer.sequence)
    assert caught.value.fault is JournalFault.CORRUPT_BLOCK
