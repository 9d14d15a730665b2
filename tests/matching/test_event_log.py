"""Events in files: ranges by sequence, and no trust in what is damaged."""

from __future__ import annotations

import random

import pytest

from domain.commands import Tick
from matching.codec import encode_command, view_events
from matching.engine import create_engine
from matching.event_log import EventLog, NotRetainedError
from tests.simulation.disk import SimulatedDisk

_ID = bytes(16)


class Source:
    """Blobs of ticks, and what they should read back as."""

    def __init__(self, disk: SimulatedDisk, file_bytes: int = 4_000) -> None:
        self.disk = disk
        self.engine = create_engine()
        self.log = EventLog(disk, 0, _ID, file_bytes)
        self.raw = b""

    def add(self, commands: int) -> None:
        """Append one blob of `commands` ticks."""
        first = self.engine.sequence + 1
        out = self.engine.apply(
            b"".join(encode_command(Tick(), sequence=first + i, time_us=1) for i in range(commands))
        )
        self.log.append(first, self.engine.sequence, out, self.engine.chain())
        self.raw += out


@pytest.fixture
def source() -> Source:
    """Give 200 commands in blobs of changing size, in several files."""
    chance = random.Random(5)
    source = Source(SimulatedDisk())
    while source.engine.sequence < 200:
        source.add(chance.randint(1, 7))
    return source


@pytest.mark.parametrize("seed", range(25))
def test_any_range_is_whole_and_dense(source: Source, seed: int) -> None:
    """From any cursor, in any portion: the events follow the cursor without gap or repeat."""
    chance = random.Random(seed)
    cursor = start = chance.randint(0, 150)
    up_to = chance.randint(cursor + 1, source.log.last_sequence)
    parts = []
    while (found := source.log.read(cursor, chance.choice([1, 300, 5_000]), up_to)) is not None:
        assert found.first_sequence == cursor + 1
        sequences = view_events(found.data)["sequence"]
        assert sequences[0] == found.first_sequence
        assert sequences[-1] == found.last_sequence <= up_to
        parts.append(found.data)
        cursor = found.last_sequence
    assert cursor == up_to
    assert b"".join(parts) == source.raw[start * 64 : up_to * 64]


def test_it_opens_where_it_ended(source: Source) -> None:
    """A second start reads the same and appends behind."""
    last = source.log.last_sequence
    again = EventLog(source.disk, 0, _ID, 4_000)
    assert (again.last_sequence, again.chain_name) == (last, source.log.chain_name)
    source.log = again
    source.add(3)
    found = again.read(last - 1, 10_000, last + 3)
    assert found is not None
    assert (found.first_sequence, found.last_sequence) == (last, last + 3)


@pytest.mark.parametrize("seed", range(15))
def test_damage_is_cut_off_with_all_that_follows(source: Source, seed: int) -> None:
    """A flipped bit anywhere ends the log before it; the rest is for replay to rebuild."""
    chance = random.Random(seed)
    names = source.disk.names("events")
    name = chance.choice(names)
    source.disk.flip(name, chance.randrange(source.disk.size(name)), chance.randrange(8))
    again = EventLog(source.disk, 0, _ID, 4_000)
    assert again.last_sequence < source.log.last_sequence
    if again.last_sequence:
        found = again.read(0, 1 << 20, 10_000)
        assert found is not None
        assert found.data == source.raw[: again.last_sequence * 64]


def test_events_of_another_journal_are_not_ours(source: Source) -> None:
    """Files of another journal are removed, not read."""
    again = EventLog(source.disk, 0, b"another journal!")
    assert (again.first_sequence, again.last_sequence) == (1, 0)


def test_old_files_can_go(source: Source) -> None:
    """Dropping keeps everything from the sequence on; older reads are refused by name."""
    assert source.log.drop_before(100) > 0
    assert 1 < source.log.first_sequence <= 100
    assert source.log.read(99, 64, 200) is not None
    with pytest.raises(NotRetainedError):
        source.log.read(0, 64, 200)


def test_cutting_after_a_sequence(source: Source) -> None:
    """What the journal lost unsynced is forgotten by whole blobs."""
    source.log.cut_after(90)
    assert 80 <= source.log.last_sequence <= 90
    assert source.log.read(source.log.last_sequence, 64, 200) is None
