"""The C++ loop writes what the Python sequencer would have written, byte for byte."""

from __future__ import annotations

import hashlib
import random
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from domain.commands import Opcode
from matching.codec import split_commands, view_events
from matching.core_engine import load_core
from matching.event_log import EventLog, NotRetainedError
from matching.journal_scan import JournalScan
from matching.replay import replay_to
from matching.segments import HEADER_BYTES, JournalError, JournalFault
from matching.sequencer import AckPolicy, Sequencer
from matching.storage import FileStorage
from tests.matching.native_flow import batch, opening, trade
from tests.matching.native_loop import NativeLoop
from tests.matching.shard import JOURNAL_ID


def test_the_hashes_are_those_of_the_standard_library() -> None:
    """BLAKE2b-16 and crc32 at every length around their block sizes."""
    core = load_core()
    assert core is not None
    for size in (*range(300), 1_000, 65_537):
        data = random.Random(size).randbytes(size)
        assert core.blake2b16(data) == hashlib.blake2b(data, digest_size=16).digest()
        assert core.crc32(data, 0) == zlib.crc32(data)
        assert core.crc32(data, 12_345) == zlib.crc32(data, 12_345)


def _rewritten(source: FileStorage, directory: Path, file_bytes: int) -> FileStorage:
    """Let the Python sequencer write the journal in `source` anew, in the same blocks."""
    blocks = list(JournalScan(source, 0).runs(1, 1))
    times = [int.from_bytes(block.payload[8:16], "little") for block in blocks]
    storage = FileStorage(directory)
    clock = iter(times)
    sequencer = Sequencer(
        storage, 0, lambda: next(clock), fresh_journal_id=JOURNAL_ID, build_id=1, kind="reference"
    )
    sequencer.journal.segment_bytes = sequencer.events.file_bytes = file_bytes
    for block in blocks[1:]:
        sequencer.journal.durable_sequence = block.durable_sequence
        if split_commands(block.payload)[0].opcode == Opcode.TICK:
            sequencer.tick()
        else:
            sequencer.submit(block.payload)
    return storage


def test_both_loops_write_the_same_files(tmp_path: Path) -> None:
    """The same groups at the same times: journal and events are equal in every byte."""
    with NativeLoop(tmp_path / "native", file_bytes=32_768) as loop:
        loop.submit(opening())
        trade(loop, random.Random(4), 60)
        loop.submit(batch(random.Random(5), 900))  # events for more than one write and file
        trade(loop, random.Random(6), 5)
    native = FileStorage(tmp_path / "native", read_only=True)
    python = _rewritten(native, tmp_path / "python", 32_768)
    for folder in ("journal", "events"):
        names = native.names(folder)
        assert len(names) >= 3
        assert names == python.names(folder)
        for name in names:
            size = native.size(name)
            assert size == python.size(name)
            assert native.read(name, 0, size) == python.read(name, 0, size), name


@pytest.mark.parametrize("policy", ["os", "fsync"])
def test_recovery_goes_on_where_the_loop_ended(tmp_path: Path, policy: AckPolicy) -> None:
    """Over several lives, each answer is what replay gives, and nothing is torn or left over."""
    chance = random.Random(7)
    answered = b""
    for life in range(3):
        with NativeLoop(tmp_path, ack_policy=policy, file_bytes=65_536) as loop:
            assert loop.sequencer.erased_bytes == 0
            if life == 0:
                answered += loop.submit(opening())
            answered += trade(loop, chance, 25)
        digest = loop.sequencer.engine.digest()
    storage = FileStorage(tmp_path, read_only=True)
    assert not [name for name in storage.names("journal") if name.endswith(".new")]
    replayed = replay_to(storage, 0, None, from_genesis=True)
    assert replayed.epoch == 3
    assert replayed.digest() == digest
    events = EventLog(FileStorage(tmp_path), 0, JOURNAL_ID)
    found = events.read(0, 1 << 30, events.last_sequence)
    assert found is not None
    mine, kept = view_events(answered), view_events(found.data)
    wanted = np.isin(kept["sequence"], mine["sequence"])  # without starts and ticks
    assert mine.tobytes() == kept[wanted].tobytes()


def test_ranges_while_the_loop_appends(tmp_path: Path) -> None:
    """Any range is dense and whole, over file borders, at most as far as asked."""
    chance = random.Random(3)
    with NativeLoop(tmp_path, ack_policy="fsync", file_bytes=16_384) as loop:
        loop.submit(opening())
        for _ in range(40):
            loop.submit(batch(chance, chance.randint(1, 30)))
            end = loop.sequencer.durable_sequence
            cursor = chance.randint(0, end - 1)
            while (found := loop.sequencer.read_events(cursor, chance.choice([1, 5_000]))) and (
                cursor < end
            ):
                sequences = view_events(found.data)["sequence"]
                assert sequences[0] == found.first_sequence == cursor + 1
                assert sequences[-1] == found.last_sequence
                assert set(range(cursor + 1, found.last_sequence + 1)) == set(sequences.tolist())
                cursor = found.last_sequence
            assert cursor >= end
        with pytest.raises(JournalError) as caught:
            loop.sequencer.read_events(10**6, 1)
        assert caught.value.fault is JournalFault.JOURNAL_BEHIND_LEDGER
        assert loop.sequencer.events.drop_before(400) > 0
        with pytest.raises(NotRetainedError):
            loop.sequencer.read_events(3, 1)
        assert loop.sequencer.read_events(400, 1) is not None


def test_what_is_answered_is_kept_when_the_loop_stops(tmp_path: Path) -> None:
    """Events wait while commands come; whoever stops the loop without a drain loses none."""
    loop = NativeLoop(tmp_path)
    loop.server.start()
    for commands in (opening(), batch(random.Random(8), 900)):
        loop.submit(commands)
    answered = loop.sequencer.sequence
    loop.server.stop()
    assert loop.server.last_event == answered
    loop.storage.close()


def test_damaged_events_are_named(tmp_path: Path) -> None:
    """A range over a flipped bit is refused, not delivered."""
    with NativeLoop(tmp_path) as loop:
        loop.submit(opening())
        answered = loop.sequencer.sequence
        while loop.sequencer.durable_sequence < answered:  # answers go before events are kept
            time.sleep(0.001)
        name = tmp_path / loop.storage.names("events")[0]
        data = bytearray(name.read_bytes())
        data[200] ^= 1
        name.write_bytes(data)
        with pytest.raises(JournalError) as caught:
            loop.sequencer.events.read(0, 1 << 20, 5)
        assert caught.value.fault is JournalFault.CORRUPT_SEGMENT


def test_the_old_writer_is_out(tmp_path: Path) -> None:
    """After the hand-over the Python journal refuses to write."""
    storage = FileStorage(tmp_path)
    sequencer = Sequencer(storage, 0, lambda: 1, fresh_journal_id=JOURNAL_ID, build_id=1)
    sequencer.journal.hand_over()
    with pytest.raises(JournalError, match="another writer"):
        sequencer.tick()
    storage.close()


def test_a_segment_without_its_header_is_a_torn_tail(tmp_path: Path) -> None:
    """The loop names a segment before its header is synced: a power loss may keep the name only."""
    with NativeLoop(tmp_path, file_bytes=32_768) as loop:
        loop.submit(opening())
        trade(loop, random.Random(4), 60)
    storage = FileStorage(tmp_path)
    last = storage.names("journal")[-1]
    first = int(last.rsplit("/", 1)[1].split(".")[0])
    storage.write(last, 0, bytes(storage.size(last)))
    storage.close()
    with NativeLoop(tmp_path) as loop:
        assert loop.sequencer.journal.epoch == 2
        assert loop.sequencer.sequence < first + 50
    storage = FileStorage(tmp_path)
    storage.create(last, 2 * HEADER_BYTES)
    storage.write(last, 100, b"x")
    with pytest.raises(JournalError) as caught:
        list(JournalScan(storage, 0).runs(1))
    assert caught.value.fault is JournalFault.CORRUPT_SEGMENT
    storage.close()


def test_service_times_count_frames_only(tmp_path: Path) -> None:
    """What Python submits is no frame: nothing is measured, and a reset is harmless."""
    with NativeLoop(tmp_path) as loop:
        loop.submit(opening())
        loop.sequencer.reset_service_times()
        assert loop.sequencer.service_times().count == 0
