"""A shard on real files under a simulated clock, and all that follows its events.

Sequencer, journal and engine are those of the process `matching-engine`. What it says is held
against the invariants at once, posted to a ledger, and followed by the risk monitor's picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from domain.checker_report import Findings
from domain.commands import Command, Started
from domain.errors import RejectReason
from domain.events import CommandRejected, Event
from domain.position import Position
from domain.risk_invariants import RiskInvariants
from domain.risk_picture import FrozenScope, RiskPicture, ScopeKey
from infra.second_engine import record_of
from matching import snapshot
from matching.codec import by_command, decode_events, encode_command
from matching.engine import Engine
from matching.replay import replay_to
from matching.sequencer import Sequencer
from matching.storage import FileStorage
from workers.risk_door import freezes_in
from workers.risk_news import ShardNews
from workers.risk_rebuild import picture_of_engine
from workers.simulation.ledger import SimulatedLedger

START_US = 1_800_000_000_000_000  # a whole number of hours since 1970
REPLAY = "replay_equals_state"
PICTURE = "events_equal_engine"
_JOURNAL_ID = b"rialto simulate."
_BUILD_ID = 1
_EVERYTHING = 1 << 40
_COMMANDS_KEPT = 200_000


class SimulatedShard:
    """One shard. `counts` has how many events of each type there were, `refusals` the reasons.

    Implements the doors of the risk service (`activities.risk_ports`), too.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.now_us = START_US
        self.findings = Findings()
        self.invariants = RiskInvariants(RiskPicture(), self.findings)
        self.ledger = SimulatedLedger(self.findings)
        self.news = ShardNews(self.picture, None, clock=lambda: self.now_us)
        self.counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self._by_sequence: dict[int, tuple[Event, ...]] = {}
        self._folder = folder
        self._storage, self.sequencer = self._started()

    @property
    def picture(self) -> RiskPicture:
        """Return the picture of the shard, as far as its events have been read: all of them."""
        return self.invariants.picture

    @property
    def engine(self) -> Engine:
        """Return the engine."""
        return self.sequencer.engine

    def close(self) -> None:
        """Leave the files alone."""
        self._storage.close()

    # ---- commands -------------------------------------------------------------------------------

    def run(self, commands: Sequence[Command]) -> list[tuple[Event, ...]]:
        """Run commands in one batch; return the events of each."""
        if not commands:
            return []
        return self._read(self._submit(commands))

    def _submit(self, commands: Sequence[Command]) -> bytes:
        batch = b"".join(encode_command(command) for command in commands)
        return self.sequencer.submit(batch).events

    def tick(self) -> None:
        """Let the sequencer say that time passes."""
        self.sequencer.tick()
        self._read_own(self.sequencer)

    def _read(self, data: bytes) -> list[tuple[Event, ...]]:
        answers = []
        for events in by_command(decode_events(data)):
            self.invariants.command(events)
            self.ledger.post(events)
            for event in events:
                self.counts[type(event).__name__] += 1
            if isinstance(events[0], CommandRejected):
                self.refusals[events[0].reason.name] += 1
            self._by_sequence[events[0].sequence] = events
            answers.append(events)
        while len(self._by_sequence) > _COMMANDS_KEPT:
            del self._by_sequence[next(iter(self._by_sequence))]
        return answers

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Run one command of the risk service."""
        (events,) = self.run([command])
        await self.news.tell()
        return events

    async def freeze(self, commands: Sequence[Command]) -> list[FrozenScope | RejectReason]:
        """Run FREEZE commands in one batch; return what each one came to."""
        data = self._submit(commands)
        self._read(data)
        await self.news.tell()
        return freezes_in(data)

    async def events_at(self, sequence: int) -> tuple[Event, ...]:
        """Return the events of one command."""
        return self._by_sequence[sequence]

    async def book(
        self, symbol_id: int, depth: int
    ) -> tuple[int, list[tuple[int, int]], list[tuple[int, int]]]:
        """Return (sequence, bids, asks), best first."""
        return self.engine.sequence, *self.engine.book(symbol_id, depth)

    # ---- the end of a life ----------------------------------------------------------------------

    def _started(self) -> tuple[FileStorage, Sequencer]:
        storage = FileStorage(self._folder)
        assert storage.lock()
        sequencer = Sequencer(
            storage,
            0,
            lambda: self.now_us,
            fresh_journal_id=_JOURNAL_ID,
            build_id=_BUILD_ID,
            kind=self.kind,
            ack_policy="os",
        )
        self._read_own(sequencer)
        return storage, sequencer

    def _read_own(self, sequencer: Sequencer) -> None:
        """Read what the sequencer has written of its own."""
        sequencer.sync()
        found = sequencer.read_events(self.picture.sequence, _EVERYTHING)
        assert found is not None
        self._read(found.data)

    def save(self) -> None:
        """Write a snapshot, as the shadow of a running engine does now and then."""
        self.sequencer.sync()
        snapshot.write(self._storage, self.engine, _JOURNAL_ID)

    def crash(self) -> None:
        """End the process without a word and start it again; 11: it is what it was, byte for byte.

        It comes back from the newest snapshot and the journal behind it, and says `Started`.
        """
        before, sequence = self.engine, self.engine.sequence
        self._storage.close()
        self._replayed(sequence, before.snapshot(), from_genesis=False)
        self._storage, self.sequencer = self._started()
        started = Started(self.sequencer.journal.epoch, _BUILD_ID)
        before.apply(encode_command(started, sequence=sequence + 1, time_us=self.now_us))
        self._same(before.snapshot() == self.engine.snapshot(), "the engine that came back")

    def replay(self) -> None:
        """Rebuild the shard from its first command; 11: it is what it is, byte for byte."""
        self._replayed(self.engine.sequence, self.engine.snapshot(), from_genesis=True)

    def _replayed(self, sequence: int, state: bytes, *, from_genesis: bool) -> None:
        storage = FileStorage(self._folder, read_only=True)
        again = replay_to(storage, 0, sequence, from_genesis=from_genesis, kind=self.kind)
        storage.close()
        self._same(again.snapshot() == state, "a replay")

    def _same(self, is_same: bool, what: str) -> None:
        sequence = self.engine.sequence
        text = f"at {sequence}: {what} has another state"
        self.findings.expect(REPLAY, is_same, text, sequence=sequence)

    # ---- the full sweep -------------------------------------------------------------------------

    def sweep(self) -> None:
        """Hold the whole ledger, and all that is known from events, against the engine's state."""
        self.findings.take(self.ledger.check(record_of(0, self.engine), self.picture))
        known, real = self.picture, picture_of_engine(self.engine)
        for what, ours, theirs in (
            ("cash", _cash(known), _cash(real)),
            ("positions", _positions(known), _positions(real)),
            ("frozen scopes", known.frozen.keys(), real.frozen.keys()),
            ("marks", _marks(known), _marks(real)),
        ):
            self.findings.expect(
                PICTURE,
                ours == theirs,
                f"at {known.sequence}: {what} of the events are not the engine's",
                sequence=known.sequence,
            )
        self.findings.expect(
            PICTURE,
            self.invariants.rounding_units == self.engine.dust(),
            f"at {known.sequence}: dust of the events is not the engine's",
            sequence=known.sequence,
        )


def _cash(picture: RiskPicture) -> dict[ScopeKey, int]:
    return {key: units for key, units in picture.cash.items() if units}


def _positions(picture: RiskPicture) -> dict[int, dict[int, Position]]:
    return {symbol_id: market.positions for symbol_id, market in picture.markets.items()}


def _marks(picture: RiskPicture) -> dict[int, tuple[int, int, int]]:
    return {
        symbol_id: (market.mark_ticks, market.index_ticks, market.state)
        for symbol_id, market in picture.markets.items()
    }
