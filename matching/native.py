"""The C++ loop's sequencer (`matching/server/`) with the face of `matching/sequencer.py`.

Recovery is Python's; what it found is handed over once, and from then on the loop's thread alone
numbers, journals and applies. No asyncio here: `infra/native_host.py` listens to `bell`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matching.core_engine import CoreEngine, load_core
from matching.event_log import EventRange, NotRetainedError
from matching.journal_scan import JournalEnd
from matching.readers import LoopTimes, Readers, ServiceTimes, Stall
from matching.segments import JournalError, JournalFault
from matching.sequencer import AckPolicy, Sequencer
from matching.wire import SCHEMA_VERSION

_WORKS = ("receive", "questions", "journal", "apply", "answer", "events")  # server::Work


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """What the loop's doors admit, and how much of it."""

    roles: list[tuple[int, str, list[int]]]  # role, token, opcodes
    handshake_ns: int
    hurried_handshake_ns: int
    max_in_flight: int
    max_unsent_bytes: int
    max_connections: int
    commands_per_group: int
    busy_poll_ns: int
    hurry: bool  # real time for the loop's thread, or what comes next to it


class EngineLoopError(RuntimeError):
    """The loop stopped for another reason than the journal."""


class _Journal:
    """The journal that the loop writes."""

    def __init__(self, end: JournalEnd) -> None:
        self.journal_id = end.journal_id
        self.epoch = end.epoch


class _Events:
    """The events family that the loop writes; reading beside it is safe."""

    def __init__(self, server: Any, module: Any) -> None:
        self._server = server
        self._not_retained = module.NotRetained
        self._fault = module.EngineFault

    @property
    def first_sequence(self) -> int:
        """Return the oldest sequence that can be read."""
        return int(self._server.first_event)

    def read(self, after: int, limit_bytes: int, up_to: int) -> EventRange | None:
        """Return events after `after`, as `EventLog.read`; the interpreter is free meanwhile."""
        try:
            found = self._server.read_events(after, limit_bytes, up_to)
        except self._not_retained as error:
            raise NotRetainedError(str(error)) from error
        except self._fault as error:
            raise JournalError(JournalFault(error.args[0]), error.args[1]) from error
        return None if found is None else EventRange(*found)

    def drop_before(self, sequence: int) -> int:
        """Remove the files that hold only sequences below `sequence`; return how many."""
        return int(self._server.drop_events_before(sequence))


class NativeSequencer(Readers):
    """Number, time, journal, apply, in the loop's own thread."""

    def __init__(self, sequencer: Sequencer, directory: Path, settings: LoopSettings) -> None:
        """Take over from a recovered sequencer with the C++ core; it must not be used again."""
        super().__init__(sequencer.storage, sequencer.cursors)
        module, engine = load_core(), sequencer.engine
        assert module is not None
        assert isinstance(engine, CoreEngine)
        end, events = sequencer.journal.hand_over(), sequencer.events.hand_over()
        self.engine = engine
        self.shard = sequencer.shard
        self.build_id = sequencer.build_id
        self.ack_policy: AckPolicy = sequencer.ack_policy
        self.replayed = sequencer.replayed
        self.erased_bytes = sequencer.erased_bytes
        shard = {"shard": self.shard, "build_id": self.build_id, "schema": SCHEMA_VERSION}
        self.server = module.Server(
            engine.shared(),
            str(directory),
            {
                **asdict(end),
                "shard": self.shard,
                "segment_bytes": sequencer.journal.segment_bytes,
            },
            asdict(events),
            {**shard, "ack_policy": self.ack_policy, **asdict(settings)},
        )
        self.journal = _Journal(end)
        self.events = _Events(self.server, module)

    @property
    def sequence(self) -> int:
        """Return the number of the last command applied."""
        return int(self.server.sequence)

    @property
    def durable_sequence(self) -> int:
        """Return the number up to which readers may read."""
        return int(self.server.durable_sequence)

    @property
    def acknowledged_sequence(self) -> int:
        """Return the number up to which the ack policy lets answers go out."""
        return int(self.server.acknowledged_sequence)

    def failure(self) -> Exception | None:
        """Return why the loop has stopped for good, None while it has not."""
        found = self.server.failure()
        if found is None:
            return None
        fault, text = found
        text = f"{text}; the engine stops here"
        return JournalError(JournalFault(fault), text) if fault else EngineLoopError(text)

    def service_times(self) -> ServiceTimes:
        """Return how long frames stayed inside since the last reset."""
        return ServiceTimes(*self.server.service_times())

    def loop_times(self) -> LoopTimes:
        """Return what held the loop up, since the last reset, and how its thread fared."""
        stalls, priority, *usage = self.server.loop_times()
        lines = (Stall(work, *stall) for work, stall in zip(_WORKS, stalls, strict=True))
        return LoopTimes(tuple(stall for stall in lines if stall.count), priority, *usage)

    def reset_service_times(self) -> None:
        """Forget the times and stalls so far."""
        self.server.reset_service_times()
