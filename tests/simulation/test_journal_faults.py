"""Every way in which a journal can be unusable has a name, at the start and in `rialto replay`."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from domain.commands import Tick
from matching.codec import encode_command
from matching.event_log import EventLog
from matching.replay import recover
from matching.segments import (
    HEADER_BYTES,
    JournalError,
    JournalFault,
    SegmentHeader,
    decode_block,
    encode_block,
)
from matching.shadow import take_snapshot
from matching.storage import FileStorage
from tests.matching.shard import JOURNAL_ID, Shard
from workers.__main__ import build

F = JournalFault
_SEGMENT = 8_192
_SEGMENT_FILE = 64 << 10
_VERSION_BYTE = 17  # of a command


def _replay(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(build(), ["replay", str(folder), "--json", *options])


class History:
    """A shard's folder with three segments, events and a reader's cursor; at rest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def write(folder: Path, seed: int, journal_id: bytes = JOURNAL_ID) -> History:
        """Let a shard work in an empty folder, then end it."""
        history = History(folder)
        storage = FileStorage(folder)
        shard, chance = Shard(storage, fresh_journal_id=journal_id), random.Random(seed)
        shard.sequencer.journal.segment_bytes = _SEGMENT
        shard.open_market()
        while len(history.segments) < 3:
            shard.flow(chance, 5)
            shard.sequencer.sync()
        shard.sequencer.register_cursor("ledger", shard.sequencer.durable_sequence)
        shard.sequencer.cursors.save()
        storage.close()
        with history.segments[0].open("r+b") as file:
            file.truncate(_SEGMENT_FILE)  # it was made with room for more
        return history

    @property
    def segments(self) -> list[Path]:
        """Return the journal's segments, oldest first."""
        return sorted((self.folder / "journal").glob("*.seg"))

    def edit(self, path: Path, offset: int, data: bytes) -> None:
        """Overwrite bytes of a file."""
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def flip(self, path: Path, offset: int) -> None:
        """Flip one bit of a file."""
        self.edit(path, offset, bytes([path.read_bytes()[offset] ^ 1]))

    def start(self) -> Shard:
        """Start the shard from what lies there."""
        return Shard(FileStorage(self.folder))

    def take_snapshot(self) -> Path:
        """Write a snapshot of the whole history."""
        return self.folder / take_snapshot(self.folder, self.sequence).name

    @property
    def sequence(self) -> int:
        """Return the last sequence of the whole history."""
        return int(json.loads((self.folder / "cursors" / "cursors.json").read_text())["ledger"])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write three pasts once: one, another with the same journal id, and another journal."""
    folder = tmp_path_factory.mktemp("pasts")
    pasts = {"own": (3, JOURNAL_ID), "past": (4, JOURNAL_ID), "foreign": (4, b"another journal!")}
    for name, (seed, journal_id) in pasts.items():
        History.write(folder / name, seed, journal_id)
    return {name: folder / name for name in pasts}


@pytest.fixture
def history(written: dict[str, Path], tmp_path: Path) -> History:
    """Give a copy of the history, with the two others beside it."""
    for name, folder in written.items():
        shutil.copytree(folder, tmp_path / name)
    return History(tmp_path / "own")


def _beside(history: History, name: str) -> History:
    return History(history.folder.parent / name)


@dataclass(frozen=True)
class Case:
    """What is done to a history, and what the start and the replay say then.

    `replay` is the fault that `rialto replay` names; None: it replays all the same.
    """

    name: str
    spoil: Callable[[History], object]
    fault: JournalFault
    words: str
    replay: JournalFault | None
    options: tuple[str, ...] = ()


def _mix_in_foreign(history: History) -> None:
    shutil.copy(_beside(history, "foreign").segments[1], history.segments[1])


def _block_of_another_past(history: History) -> None:
    """Put a block in the second place that is right in itself and follows another first one."""
    data = history.segments[0].read_bytes()
    first = decode_block(data, HEADER_BYTES)
    assert first is not None
    second = decode_block(data, HEADER_BYTES + first.size)
    assert second is not None
    numbers = (second.first_sequence, second.count, second.epoch, second.durable_sequence)
    block, _ = encode_block(*numbers, b"another past....", second.payload)
    history.edit(history.segments[0], HEADER_BYTES + first.size, block)


def _append_older_epoch(history: History) -> None:
    header = SegmentHeader(0, JOURNAL_ID, 1, 5, bytes(16))
    ticks = [encode_command(Tick(), sequence=n, time_us=n) for n in (1, 2)]
    new, chain = encode_block(1, 1, 5, 0, bytes(16), ticks[0])
    old, _ = encode_block(2, 1, 4, 0, chain, ticks[1])
    first, *others = history.segments
    for path in others:
        path.unlink()
    body = header.encode().ljust(HEADER_BYTES, b"\0") + new + old
    first.write_bytes(body.ljust(_SEGMENT_FILE, b"\0"))


def _append_another_version(history: History) -> None:
    """Put a journal there that is whole, of commands that this build does not know."""
    header = SegmentHeader(0, JOURNAL_ID, 1, 1, bytes(16))
    tick = bytearray(encode_command(Tick(), sequence=1, time_us=1))
    tick[_VERSION_BYTE] -= 1
    block, _ = encode_block(1, 1, 1, 0, bytes(16), bytes(tick))
    first, *others = history.segments
    for path in others:
        path.unlink()
    body = header.encode().ljust(HEADER_BYTES, b"\0") + block
    first.write_bytes(body.ljust(_SEGMENT_FILE, b"\0"))


def _restore_old_copy(history: History) -> None:
    """Put the journal back to its first segment; cursors and snapshots are newer."""
    for path in history.segments[1:]:
        path.unlink()


def _restore_old_copy_beside_a_snapshot(history: History) -> None:
    history.take_snapshot()
    _restore_old_copy(history)


def _keep_a_spoiled_snapshot_alone(history: History) -> None:
    path = history.take_snapshot()
    history.segments[0].unlink()
    history.flip(path, path.stat().st_size // 2)


def _foreign_events(history: History) -> None:
    shutil.rmtree(history.folder / "events")
    shutil.copytree(_beside(history, "past").folder / "events", history.folder / "events")


CASES = [
    Case("a bit in the middle", lambda h: h.flip(h.segments[0], HEADER_BYTES + 80),
         F.CORRUPT_BLOCK, "is damaged, though", F.CORRUPT_BLOCK),
    Case("a header's checksum", lambda h: h.flip(h.segments[1], 20),
         F.CORRUPT_SEGMENT, "header checksum", F.CORRUPT_SEGMENT),
    Case("no header", lambda h: h.edit(h.segments[1], 0, b"something else"),
         F.CORRUPT_SEGMENT, "has no journal header", F.CORRUPT_SEGMENT),
    Case("a renamed file", lambda h: h.segments[2].rename(h.segments[2].with_name(f"{9:020d}.seg")),
         F.CORRUPT_SEGMENT, "begins elsewhere", F.CORRUPT_SEGMENT),
    Case("a file of another journal", _mix_in_foreign,
         F.CORRUPT_SEGMENT, "is of another journal", F.CORRUPT_SEGMENT),
    Case("an older format", lambda h: h.edit(h.segments[0], 8, b"\0"),
         F.UNKNOWN_FORMAT, "format 0, this build reads format 1", F.UNKNOWN_FORMAT),
    Case("commands of another version", _append_another_version,
         F.UNKNOWN_FORMAT, "BAD_VERSION.*`rialto reset`", F.UNKNOWN_FORMAT),
    Case("a block of another past", _block_of_another_past,
         F.BROKEN_CHAIN, "does not follow", F.BROKEN_CHAIN),
    Case("a segment gone from the middle", lambda h: h.segments[1].unlink(),
         F.MISSING_SEGMENT, "ends before it", F.MISSING_SEGMENT),
    Case("the first segment gone", lambda h: h.segments[0].unlink(),
         F.MISSING_SEGMENT, "no good snapshot reaches it", F.MISSING_SEGMENT),
    Case("the first segment gone and the snapshot spoiled",
         _keep_a_spoiled_snapshot_alone,
         F.MISSING_SEGMENT, "no good snapshot reaches it", F.MISSING_SEGMENT),
    Case("an older writer behind a newer one", _append_older_epoch,
         F.EPOCH_WENT_BACK, "epoch 4 after 5", F.EPOCH_WENT_BACK),
    Case("a reader beyond the journal", _restore_old_copy,
         F.JOURNAL_BEHIND_LEDGER, "ledger has read up to", F.JOURNAL_BEHIND_LEDGER),
    Case("a snapshot beyond the journal", _restore_old_copy_beside_a_snapshot,
         F.JOURNAL_BEHIND_LEDGER, "a snapshot has", F.JOURNAL_BEHIND_LEDGER, ("--snapshot",)),
    Case("events that the commands do not lead to", _foreign_events,
         F.DIGEST_MISMATCH, "differs from the recorded events", None),
]  # fmt: skip
ELSEWHERE = {
    F.WRONG_SHARD,  # below: by the number with which the shard starts
    F.WRITE_FAILED,  # below: while it runs
    F.SYNC_FAILED,
    F.LOCKED,
    F.NOT_IN_JOURNAL,
}


def test_every_fault_is_here() -> None:
    """A fault without a test has never been seen to work."""
    assert {case.fault for case in CASES} | ELSEWHERE == set(JournalFault)


def test_every_fault_is_explained() -> None:
    """The document says of each fault what happened and what to do."""
    document = (Path(__file__).resolve().parents[2] / "docs" / "verification.md").read_text()
    assert [fault.name for fault in JournalFault if f"`{fault.name}`" not in document] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_spoiled_histories(history: History, case: Case) -> None:
    """The start stops by name and changes nothing; the replay says the same, exit code 1."""
    case.spoil(history)
    files = {path: path.read_bytes() for path in history.segments}
    with pytest.raises(JournalError, match=case.words) as caught:
        history.start()
    assert caught.value.fault is case.fault
    assert {path: path.read_bytes() for path in history.segments} == files
    done = _replay(history.folder, *case.options)
    if case.replay is None:
        assert done.exit_code == 0
    else:
        assert (done.exit_code, done.output.split(":")[0]) == (1, case.replay.name)


def test_a_torn_tail_is_cut(history: History) -> None:
    """The last block was perhaps never whole: what is before it counts, the start erases it."""
    tail = history.segments[-1]
    used = len(tail.read_bytes().rstrip(b"\0"))
    history.flip(tail, used - 1)
    last = history.sequence
    (history.folder / "cursors" / "cursors.json").unlink()
    replayed = json.loads(_replay(history.folder).output)["sequence"]
    assert replayed < last
    again = history.start()
    assert again.sequencer.erased_bytes > 0
    assert again.sequencer.sequence == replayed + 1


def test_a_spoiled_snapshot_is_passed_over(history: History) -> None:
    """Damaged, of another shard's number or of another journal: an older one or none is taken."""
    digest = json.loads(_replay(history.folder).output)["digest"]
    path = history.take_snapshot()
    whole = path.read_bytes()
    spoiled = [
        whole[:-1],
        whole[: len(whole) // 2] + b"\xff" + whole[len(whole) // 2 + 1 :],
        whole[:12] + b"\x07\0\0\0" + whole[16:],
        whole[:16] + b"another journal!" + whole[32:],
        b"",
    ]
    for data in spoiled:
        path.write_bytes(data)
        assert json.loads(_replay(history.folder, "--snapshot").output)["digest"] == digest
    last = history.sequence
    assert history.start().sequencer.replayed == last


def test_removed_events_are_rebuilt(history: History) -> None:
    """The events folder is derived: without it the same bytes come back at the next start."""
    before = _events(history)
    shutil.rmtree(history.folder / "events")
    assert _replay(history.folder).exit_code == 0
    again = history.start()
    found = again.sequencer.read_events(0, 1 << 30)
    assert found is not None
    assert found.data.startswith(before)


def _events(history: History) -> bytes:
    storage = FileStorage(history.folder)
    found = EventLog(storage, 0, JOURNAL_ID).read(0, 1 << 30, history.sequence)
    storage.close()
    assert found is not None
    return found.data


def test_another_shards_number(history: History) -> None:
    """A folder that was mixed up with another shard's is noticed by the number."""
    with pytest.raises(JournalError, match="is of shard 0, not 1") as caught:
        recover(FileStorage(history.folder), 1, bytes(16))
    assert caught.value.fault is F.WRONG_SHARD


def test_what_is_not_there(history: History, tmp_path: Path) -> None:
    """A sequence beyond the end is a failure; a folder without a journal is not running."""
    done = _replay(history.folder, "--until", str(history.sequence + 1))
    assert (done.exit_code, done.output.split(":")[0]) == (1, "NOT_IN_JOURNAL")
    done = _replay(tmp_path / "nothing")
    assert (done.exit_code, done.output.split(":")[0]) == (3, "NOT_IN_JOURNAL")


@pytest.mark.parametrize("fault", [F.WRITE_FAILED, F.SYNC_FAILED])
def test_a_disk_that_refuses(
    monkeypatch: pytest.MonkeyPatch, history: History, fault: JournalFault
) -> None:
    """A full disk or a failed sync ends the writer for good; what was durable replays."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    again = history.start()
    durable = again.sequencer.durable_sequence

    def work() -> None:
        again.sequencer.tick()
        again.sequencer.sync()

    with monkeypatch.context() as patch:
        patch.setattr(FileStorage, "write" if fault is F.WRITE_FAILED else "sync", refuse)
        with pytest.raises(JournalError, match="No space left on device") as caught:
            work()
        assert caught.value.fault is fault
    with pytest.raises(JournalError, match=fault.name):
        work()
    assert again.sequencer.durable_sequence == durable
    assert json.loads(_replay(history.folder).output)["sequence"] >= durable


def test_two_writers(history: History) -> None:
    """A folder has one writer: the lock says so, and a journal that was handed over too."""
    first, second = FileStorage(history.folder), FileStorage(history.folder)
    assert first.lock()
    assert not second.lock()
    again = history.start()
    again.sequencer.journal.hand_over()
    with pytest.raises(JournalError) as caught:
        again.sequencer.tick()
    assert caught.value.fault is F.LOCKED
    for storage in (first, second):
        storage.close()
