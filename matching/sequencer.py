"""Number, time, journal, apply: the one order of things of a shard.

Two gates. The acknowledgement follows the ack policy: `os` (written, survives a killed process)
or `fsync` (survives a power loss). Publishing and range reads always wait for the sync, so that
no reader runs ahead of the journal. No asyncio here: `infra/engine_server.py` drives it, calls
`sync` in a thread and everything else from one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from domain.commands import Opcode, Started, Tick
from matching.codec import Placed, encode_command, split_commands, stamp
from matching.cursors import Cursors
from matching.engine import Engine
from matching.event_log import EventLog
from matching.failpoint import hit
from matching.journal import Journal
from matching.readers import Readers
from matching.replay import recover
from matching.storage import Storage

AckPolicy = Literal["os", "fsync"]
BLOCK_BYTES = 1 << 20
_SEQUENCER_ONLY = frozenset((Opcode.STARTED, Opcode.TICK))


@dataclass(frozen=True, slots=True)
class Sequenced:
    """What a batch of commands became."""

    first_sequence: int
    last_sequence: int
    events: bytes


class Sequencer(Readers):
    """Take commands in, give events out, keep the journal. One per shard."""

    def __init__(
        self,
        storage: Storage,
        shard: int,
        clock_us: Callable[[], int],
        *,
        fresh_journal_id: bytes,
        build_id: int,
        kind: str = "auto",
        ack_policy: AckPolicy = "fsync",
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Recover the shard and write `Started` with a new epoch, synced before anything else."""
        super().__init__(storage, Cursors(storage))
        self._clock_us = clock_us
        recovered = recover(
            storage,
            shard,
            fresh_journal_id,
            kind=kind,
            cursors=self.cursors.positions,
            progress=progress,
        )
        self.engine: Engine = recovered.engine
        self.journal: Journal = recovered.journal
        self.events: EventLog = recovered.events
        self.erased_bytes = recovered.erased_bytes
        self.replayed = recovered.replayed
        self.shard = shard
        self.build_id = build_id
        self.ack_policy: AckPolicy = ack_policy
        self._last_us = self.engine.time_us
        self.journal.epoch = max(self.journal.epoch, self.engine.epoch) + 1
        self._own(encode_command(Started(self.journal.epoch, build_id)))
        self.sync()

    @property
    def durable_sequence(self) -> int:
        """Return the number up to which readers may read."""
        return self.journal.durable_sequence

    @property
    def acknowledged_sequence(self) -> int:
        """Return the number up to which the ack policy lets answers go out."""
        return self.sequence if self.ack_policy == "os" else self.durable_sequence

    def submit(self, commands: bytes, placed: list[Placed] | None = None) -> Sequenced:
        """Return what a batch of framed commands became: numbered, journalled, applied.

        `JournalError` means that nothing may be acknowledged any more: stop the process.
        """
        placed = split_commands(commands) if placed is None else placed
        assert not any(place.opcode in _SEQUENCER_ONLY for place in placed)
        return self._submit(commands, placed)

    def _submit(self, commands: bytes, placed: list[Placed]) -> Sequenced:
        first = self.sequence + 1
        if len(commands) <= BLOCK_BYTES:
            events = self._write(commands, placed)
            return Sequenced(first, self.sequence, events)
        outputs: list[bytes] = []
        start = 0
        while start < len(placed):
            end, base = start, placed[start].offset
            while end < len(placed) and placed[end].offset + placed[end].length - base <= (
                BLOCK_BYTES
            ):
                end += 1
            part = [Placed(p.offset - base, p.length, p.opcode) for p in placed[start:end]]
            stop = part[-1].offset + part[-1].length
            outputs.append(self._write(commands[base : base + stop], part))
            start = end
        return Sequenced(first, self.sequence, b"".join(outputs))

    def _write(self, commands: bytes, placed: list[Placed]) -> bytes:
        now = self._now()
        first = sequence = self.sequence + 1
        batch = bytearray(commands)
        for place in placed:
            stamp(batch, place.offset, sequence, now)
            sequence += 1
        payload = bytes(batch)
        self.journal.append(payload, first, len(placed))
        events = self.engine.apply(payload)
        hit("after_apply")
        self.events.append(first, sequence - 1, events, self.engine.chain())
        return events

    def _now(self) -> int:
        self._last_us = max(self._last_us, self._clock_us())
        return self._last_us

    def _own(self, command: bytes) -> None:
        self._submit(command, split_commands(command))

    def tick(self) -> None:
        """Write that time passes: after 100 ms without another record, or a busy second."""
        self._own(encode_command(Tick()))

    def sync(self) -> int:
        """Make durable what is written; blocks, so call it in a thread."""
        return self.journal.sync()
