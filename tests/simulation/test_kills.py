"""A shard that is killed at every failpoint, again and again, on a disk that forgets.

The kill is an exception here, so that hundreds of lives fit into a second; `tests/chaos` sends the
real signal to the real process.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from matching import failpoint, snapshot
from matching.replay import replay_to
from tests.matching.shard import JOURNAL_ID, Shard
from tests.simulation.disk import SimulatedDisk

ROOT = Path(__file__).resolve().parents[2]
FAILPOINTS = (
    "before_write",
    "after_write",
    "after_sync",
    "after_apply",
    "mid_snapshot",
    "before_rename",
)
ELSEWHERE = {"before_ack"}  # between engine and socket: tests/chaos


class KilledError(BaseException):
    """The end of a life."""


@contextmanager
def _killed_at(monkeypatch: pytest.MonkeyPatch, name: str, nth: int) -> Iterator[None]:
    """Let the nth passage of a failpoint end the life."""

    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(failpoint, "_WANTED", f"{name}:{nth}")
        patch.setattr(failpoint, "_hits", 0)
        patch.setattr("matching.failpoint.os.kill", die)
        yield


class Lives:
    """A shard's disk over many lives, and what was promised to readers so far."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.disk = SimulatedDisk()
        self.shard = Shard(self.disk)
        self.shard.sequencer.journal.segment_bytes = 16_384
        self.shard.open_market()
        self.durable = 0
        self.published = b""
        self.cursor = 0

    def work(self) -> None:
        """Take orders, sync, save a cursor, write a snapshot: until something kills it."""
        while True:
            shard, sequencer = self.shard, self.shard.sequencer
            shard.flow(self.chance, self.chance.randint(1, 9))
            if self.chance.random() < 0.7:
                self.durable = max(self.durable, sequencer.sync())
                found = sequencer.read_events(0, 1 << 30)
                assert found is not None
                self.published = found.data
            if self.chance.random() < 0.2:
                sequencer.register_cursor("reader", self.durable)
                sequencer.cursors.save()
                self.cursor = self.durable
            if self.chance.random() < 0.2 and self.durable:
                shadow = replay_to(self.disk, 0, self.durable)
                snapshot.write(self.disk, shadow, JOURNAL_ID)

    def end(self) -> None:
        """Lose what is not synced: all of it, some of it, or (a killed process) nothing."""
        match self.chance.randint(0, 2):
            case 0:
                self.disk.power_cut(self.chance)
            case 1:
                self.disk.power_cut_clean()
            case _:
                pass

    def begin(self) -> None:
        """Start again, and check every promise."""
        new = self.shard.start()
        new.journal.segment_bytes = 16_384
        assert new.sequence > self.durable
        found = new.read_events(0, 1 << 30)
        assert found is not None
        assert found.data.startswith(self.published)
        genesis = replay_to(self.disk, 0, None, from_genesis=True)
        assert genesis.digest() == new.engine.digest()
        newest = replay_to(self.disk, 0, None)
        assert newest.digest() == new.engine.digest()
        assert new.cursors.positions.get("reader", 0) <= self.durable
        assert new.cursors.positions.get("reader", 0) >= self.cursor
        self.durable = new.durable_sequence
        self.published = found.data


@pytest.mark.parametrize("seed", range(8))
def test_promises_outlive_every_kill(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Nothing durable is lost, events never change, state is the journal's, cursors stay behind."""
    lives = Lives(seed)
    points = list(FAILPOINTS)
    lives.chance.shuffle(points)
    for point in points:
        with _killed_at(monkeypatch, point, lives.chance.randint(1, 6)), pytest.raises(KilledError):
            lives.work()
        lives.end()
        lives.begin()


@pytest.mark.parametrize("point", ["before_write", "after_write", "after_sync"])
@pytest.mark.parametrize("seed", range(4))
def test_a_start_may_be_killed_too(monkeypatch: pytest.MonkeyPatch, seed: int, point: str) -> None:
    """Recovery writes as well: dying in it, again and again, costs nothing."""
    lives = Lives(seed)
    with _killed_at(monkeypatch, "after_apply", 9), pytest.raises(KilledError):
        lives.work()
    for _ in range(4):
        lives.end()
        with _killed_at(monkeypatch, point, 1), pytest.raises(KilledError):
            lives.shard.start()
    lives.begin()


def test_every_failpoint_is_known() -> None:
    """A failpoint that no test passes is decoration."""
    sources = [
        path
        for folder in ("matching", "infra")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".cpp", ".hpp")
    ]
    found = {name for path in sources for name in re.findall(r'\bhit\("(\w+)"\)', path.read_text())}
    assert found == {*FAILPOINTS, *ELSEWHERE}
