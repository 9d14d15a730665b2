"""The journal on a disk that loses, tears, flips and refuses."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from domain.commands import Tick
from matching import journal_scan
from matching.codec import encode_command
from matching.journal import Journal
from matching.journal_scan import JournalScan
from matching.segments import (
    BLOCK_HEAD_BYTES,
    HEADER_BYTES,
    JournalError,
    JournalFault,
    segment_name,
)
from matching.storage import FileStorage
from tests.simulation.disk import SimulatedDisk

_SMALL = HEADER_BYTES + 8 * (BLOCK_HEAD_BYTES + 2 * 64)
FIRST = segment_name(1)


@pytest.fixture(params=["native", "python"], autouse=True)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read with the C++ module and without it: what is wrong has the same name."""
    if request.param == "python":
        monkeypatch.setattr(journal_scan, "load_core", lambda: None)


def _payload(first: int, count: int) -> bytes:
    return b"".join(
        encode_command(Tick(), sequence=number, time_us=number)
        for number in range(first, first + count)
    )


def _append(journal: Journal, blocks: int, count: int = 2) -> None:
    for _ in range(blocks):
        first = journal.last_sequence + 1
        journal.append(_payload(first, count), first, count)


def _reopened(disk: SimulatedDisk) -> tuple[JournalScan, list[int]]:
    scan = JournalScan(disk, 0)
    found = [block.last_sequence for block in scan.runs(1, 1)]
    scan.judge_tail()
    return scan, found


def _begin(disk: SimulatedDisk, segment_bytes: int = _SMALL) -> Journal:
    return Journal.begin(disk, 0, bytes(16), segment_bytes)


def test_blocks_come_back_over_segments() -> None:
    """What is appended is read in order, over segment borders, from any sequence."""
    disk = SimulatedDisk()
    journal = _begin(disk)
    _append(journal, 40)
    journal.sync()
    scan = JournalScan(disk, 0)
    assert [block.last_sequence for block in scan.runs(1, 1)] == list(range(2, 82, 2))
    assert len(scan.segments) == 5
    later = [block.first_sequence for block in JournalScan(disk, 0).runs(50, 1)]
    assert later[0] == 49
    assert later[-1] == 79
    assert scan.end().last_sequence == 80


def test_sync_tells_what_is_durable() -> None:
    """The durable sequence follows syncs, not appends; each segment touched is synced."""
    disk = SimulatedDisk()
    journal = _begin(disk)
    _append(journal, 3)
    assert (journal.last_sequence, journal.durable_sequence) == (6, 0)
    assert journal.sync() == 6
    _append(journal, 20)
    assert journal.sync() == 46
    disk.power_cut_clean()
    assert _reopened(disk)[1][-1] == 46


@pytest.mark.parametrize("seed", range(40))
def test_power_cuts_never_lose_what_was_synced(seed: int) -> None:
    """After any cut the synced blocks are there, and what follows is a prefix of what was sent."""
    chance = random.Random(seed)
    disk = SimulatedDisk()
    journal = _begin(disk)
    durable = 0
    for _ in range(6):
        _append(journal, chance.randint(1, 6), chance.randint(1, 2))
        if chance.random() < 0.6:
            durable = journal.sync()
    disk.power_cut(chance)
    scan, found = _reopened(disk)
    end = found[-1] if found else 0
    assert durable <= end <= journal.last_sequence
    scan.cut_tail()
    again, _ = _reopened(disk)
    assert again.cut_tail() == 0
    journal = Journal(disk, 0, again.end(), _SMALL)
    _append(journal, 9)
    journal.sync()
    assert _reopened(disk)[1][-1] == end + 18


@pytest.mark.parametrize("seed", range(30))
def test_damage_to_synced_blocks_stops(seed: int) -> None:
    """A flipped bit in a block that later blocks know as durable stops with its name."""
    chance = random.Random(seed)
    disk = SimulatedDisk()
    journal = _begin(disk, 1 << 16)
    for _ in range(10):
        _append(journal, 1)
        journal.sync()
    block = BLOCK_HEAD_BYTES + 2 * 64
    offset = HEADER_BYTES + chance.randint(0, 8) * block + chance.randrange(block)
    disk.flip(FIRST, offset, chance.randrange(8))
    with pytest.raises(JournalError) as caught:
        _reopened(disk)
    assert caught.value.fault is JournalFault.CORRUPT_BLOCK


def test_damage_to_the_last_block_is_a_torn_tail() -> None:
    """Nothing proves that the last block was ever whole: it is cut, all of it."""
    disk = SimulatedDisk()
    journal = _begin(disk, 1 << 16)
    _append(journal, 2)
    journal.sync()
    disk.flip(FIRST, HEADER_BYTES + 192 + 70)
    scan, found = _reopened(disk)
    assert found == [2]
    assert scan.cut_tail() > 0
    assert not any(disk.read(FIRST, HEADER_BYTES + 192, 1 << 16))


def test_a_lost_middle_of_a_segment_chain_stops() -> None:
    """A segment that vanished between others is missed by name."""
    disk = SimulatedDisk()
    journal = _begin(disk)
    for _ in range(30):
        _append(journal, 1)
        journal.sync()
    disk.remove(JournalScan(disk, 0).segments[1])
    with pytest.raises(JournalError, match="ends before it") as caught:
        _reopened(disk)
    assert caught.value.fault is JournalFault.MISSING_SEGMENT
    disk.remove(FIRST)
    with pytest.raises(JournalError) as caught:
        _reopened(disk)
    assert caught.value.fault is JournalFault.MISSING_SEGMENT


def test_a_replaced_block_breaks_the_chain() -> None:
    """A block of another history has a right checksum and a wrong chain."""
    disks = [SimulatedDisk(), SimulatedDisk()]
    for number, disk in enumerate(disks):
        journal = _begin(disk, 1 << 16)
        journal.append(_payload(1, 1 + number), 1, 1 + number)
        _append(journal, 1, 2 - number)
        _append(journal, 3)
        journal.sync()
    size = BLOCK_HEAD_BYTES + 64
    tail = disks[1].read(FIRST, HEADER_BYTES + BLOCK_HEAD_BYTES + 128, size)
    disks[0].write(FIRST, HEADER_BYTES + size, tail)
    with pytest.raises(JournalError) as caught:
        _reopened(disks[0])
    assert caught.value.fault is JournalFault.BROKEN_CHAIN


def test_an_older_epoch_is_refused() -> None:
    """A writer that was replaced cannot go on behind its successor."""
    disk = SimulatedDisk()
    journal = _begin(disk)
    journal.epoch = 2
    _append(journal, 1)
    journal.epoch = 1
    _append(journal, 1)
    with pytest.raises(JournalError) as caught:
        _reopened(disk)
    assert caught.value.fault is JournalFault.EPOCH_WENT_BACK


@pytest.mark.parametrize(
    ("offset", "fault"),
    [
        (0, JournalFault.CORRUPT_SEGMENT),
        (8, JournalFault.UNKNOWN_FORMAT),
        (20, JournalFault.CORRUPT_SEGMENT),
    ],
)
def test_headers_are_checked(offset: int, fault: JournalFault) -> None:
    """Another kind of file, another format and a damaged header are told apart."""
    disk = SimulatedDisk()
    _begin(disk)
    disk.flip(FIRST, offset, 1)
    with pytest.raises(JournalError, match=fault.name) as caught:
        _reopened(disk)
    assert caught.value.fault is fault


def test_another_shards_journal_is_refused() -> None:
    """Folders that were mixed up are noticed."""
    disk = SimulatedDisk()
    Journal.begin(disk, 1, bytes(16), _SMALL)
    with pytest.raises(JournalError) as caught:
        _reopened(disk)
    assert caught.value.fault is JournalFault.WRONG_SHARD


def test_a_failed_sync_is_never_retried_as_success() -> None:
    """After one failed sync the journal refuses to sync and to append, for ever."""
    disk = SimulatedDisk()
    journal = _begin(disk)
    _append(journal, 1)
    disk.fail_syncs = True
    with pytest.raises(JournalError) as caught:
        journal.sync()
    assert caught.value.fault is JournalFault.SYNC_FAILED
    disk.fail_syncs = False
    for again in (journal.sync, lambda: _append(journal, 1)):
        with pytest.raises(JournalError, match="SYNC_FAILED"):
            again()
    assert journal.durable_sequence == 0


def test_a_full_disk_stops_the_journal() -> None:
    """A write that fails is the end; what was durable stays readable."""
    disk = SimulatedDisk()
    journal = _begin(disk)
    _append(journal, 1)
    journal.sync()
    disk.fail_writes = True
    with pytest.raises(JournalError) as caught:
        _append(journal, 1)
    assert caught.value.fault is JournalFault.WRITE_FAILED
    disk.power_cut_clean()
    assert _reopened(disk)[1] == [2]


def test_unsure_blocks_are_written_again() -> None:
    """A sync that failed may leave pages clean: after a restart the tail is written anew."""
    disk = SimulatedDisk()
    journal = _begin(disk)
    _append(journal, 1)
    journal.sync()
    _append(journal, 2)
    disk.fail_syncs = True
    with pytest.raises(JournalError):
        journal.sync()  # the disk has forgotten blocks 2 and 3, the process still reads them
    disk.fail_syncs = False
    scan, found = _reopened(disk)
    assert found == [2, 4, 6]
    scan.harden_tail()
    disk.power_cut_clean()
    assert _reopened(disk)[1] == [2, 4, 6]


def test_the_next_segment_is_made_ahead() -> None:
    """A half full segment has its successor ready; making it fail is an end by name."""
    disk = SimulatedDisk()
    journal = _begin(disk, 16_384)
    journal.prepare_segment()
    assert "journal/spare.new" not in disk.names("journal")
    _append(journal, 30)
    journal.prepare_segment()
    journal.prepare_segment()
    assert "journal/spare.new" in disk.names("journal")
    _append(journal, 40)
    assert "journal/spare.new" not in disk.names("journal")
    journal.sync()
    assert _reopened(disk)[1][-1] == 140
    _append(journal, 30)
    disk.fail_writes = True
    with pytest.raises(JournalError, match="WRITE_FAILED"):
        journal.prepare_segment()


@pytest.mark.parametrize("most_bytes", [1, 300, 64 << 10])
def test_runs_are_whole_blocks_and_dense(most_bytes: int) -> None:
    """However long a run, its commands are those of its blocks, and none is left out."""
    disk = SimulatedDisk()
    journal = _begin(disk, 64 << 10)
    for count in (1, 7, 2, 30, 3, 3, 1, 12):
        _append(journal, 1, count)
    journal.sync()
    runs = list(JournalScan(disk, 0).runs(1, most_bytes))
    assert sum(run.blocks for run in runs) == 8
    assert b"".join(run.payload for run in runs) == _payload(1, 59)
    assert [run.first_sequence for run in runs][1:] == [run.last_sequence + 1 for run in runs][:-1]
    assert max(run.blocks for run in runs) in (1, {1: 1, 300: 2, 64 << 10: 8}[most_bytes])


def test_a_reader_follows_a_running_writer(tmp_path: Path) -> None:
    """On real files: a scan sees whole blocks only, and more of them later."""
    storage = FileStorage(tmp_path)
    journal = Journal.begin(storage, 0, bytes(16), _SMALL)
    reader = FileStorage(tmp_path, read_only=True)
    for expected in (2, 20, 60):
        while journal.last_sequence < expected:
            _append(journal, 1)
            journal.sync()
        scan = JournalScan(reader, 0)
        assert [block.last_sequence for block in scan.runs(1, 1)][-1] == expected
        scan.judge_tail()
    storage.close()
    reader.close()
