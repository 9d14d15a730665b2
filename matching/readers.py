"""What a shard gives its readers: durable ranges, registered cursors, retention.

The same for both writers, `matching/sequencer.py` and the C++ loop behind `matching/native.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from matching import snapshot
from matching.cursors import Cursors
from matching.engine import Engine
from matching.event_log import EventRange
from matching.segments import JournalError, JournalFault, segments_before
from matching.storage import Storage


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """Frame read to answer written, since the last reset; upper bounds within a thousandth."""

    count: int = 0
    p50_ns: int = 0
    p99_ns: int = 0
    p999_ns: int = 0
    max_ns: int = 0


@dataclass(frozen=True, slots=True)
class Stall:
    """Pieces of one kind of the loop's work that took 50 us or more, since the last reset."""

    work: str
    count: int
    total_ns: int
    longest_ns: int


@dataclass(frozen=True, slots=True)
class LoopTimes:
    """What holds the loop's thread up; empty where the loop does not measure itself.

    `queued_ns` is how long it was ready to run while others had the processors, `pushed_aside` how
    often it was stopped in the middle of its work; these two and `page_faults` since it began.
    """

    stalls: tuple[Stall, ...] = ()
    priority: str = ""
    queued_ns: int = 0
    pushed_aside: int = 0
    page_faults: int = 0


class KeptEvents(Protocol):
    """The events family, whoever writes it."""

    @property
    def first_sequence(self) -> int:
        """Return the oldest sequence that can be read."""

    def read(self, after: int, limit_bytes: int, up_to: int) -> EventRange | None:
        """Return events after `after`, whole commands, at most `up_to`; None if none yet."""

    def drop_before(self, sequence: int) -> int:
        """Remove the files that hold only sequences below `sequence`; return how many."""


class WrittenJournal(Protocol):
    """The journal, whoever writes it."""

    journal_id: bytes
    epoch: int


class Readers:
    """The reading half of a shard. `storage` is that of its folder."""

    engine: Engine
    journal: WrittenJournal
    events: KeptEvents

    def __init__(self, storage: Storage, cursors: Cursors) -> None:
        self.storage = storage
        self.cursors = cursors

    @property
    def sequence(self) -> int:
        """Return the number of the last command applied."""
        return self.engine.sequence

    @property
    def durable_sequence(self) -> int:
        """Return the number up to which readers may read."""
        raise NotImplementedError

    def service_times(self) -> ServiceTimes:
        """Return how long frames stayed inside; none where the loop does not measure itself."""
        return ServiceTimes()

    def loop_times(self) -> LoopTimes:
        """Return what held the loop up; nothing where it does not measure itself."""
        return LoopTimes()

    def reset_service_times(self) -> None:
        """Forget the times and stalls so far."""

    def read_events(self, after: int, limit_bytes: int) -> EventRange | None:
        """Return durable events after `after`, whole commands; None when there are none yet.

        A reader beyond the journal has read another journal: JOURNAL_BEHIND_LEDGER.
        """
        if after > self.sequence:
            raise JournalError(
                JournalFault.JOURNAL_BEHIND_LEDGER,
                f"events after {after} are wanted, the journal ends at {self.sequence}",
            )
        return self.events.read(after, limit_bytes, self.durable_sequence)

    def register_cursor(self, name: str, sequence: int) -> None:
        """Note a reader's cursor for retention; one beyond the journal is refused."""
        if sequence > self.durable_sequence:
            raise JournalError(
                JournalFault.JOURNAL_BEHIND_LEDGER,
                f"{name} is at {sequence}, the journal ends at {self.durable_sequence}",
            )
        self.cursors.register(name, sequence)

    def retain(self, keep_segments: int) -> int:
        """Drop events and journal that every reader and the oldest kept snapshot have passed.

        The newest `keep_segments` segments stay in any case. Return how many files went.
        """
        kept = snapshot.snapshots(self.storage)
        if not kept:
            return 0
        passed = min(kept[-1].sequence, self.cursors.lowest(0))
        names = [name for name in self.storage.names("journal") if name.endswith(".seg")]
        old = segments_before(names, passed + 1)
        droppable = old[: max(0, len(names) - keep_segments)]
        for name in droppable:
            self.storage.remove(name)
        dropped = len(droppable)
        if droppable:
            dropped += self.events.drop_before(passed + 1)
        return dropped
