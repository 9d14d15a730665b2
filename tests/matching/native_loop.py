"""The C++ loop without an event loop around it: commands in, answers out, in a test's thread."""

from __future__ import annotations

import select
from pathlib import Path
from types import TracebackType
from typing import Self

from domain.commands import Opcode
from matching.native import LoopSettings, NativeSequencer
from matching.sequencer import AckPolicy, Sequencer
from matching.storage import FileStorage
from tests.matching.shard import JOURNAL_ID, Clock

ROLE = 1
SETTINGS = LoopSettings(
    roles=[(ROLE, "token", sorted(set(Opcode) - {Opcode.STARTED, Opcode.TICK}))],
    handshake_ns=10**9,
    hurried_handshake_ns=10**9,
    max_in_flight=20_000,
    max_unsent_bytes=32 << 20,
    max_connections=256,
    commands_per_group=2_000,
    busy_poll_ns=0,
    hurry=False,
)
_SECONDS = 10


class NativeLoop:
    """A shard folder driven by the C++ loop; `with` starts and drains it."""

    def __init__(
        self, directory: Path, *, ack_policy: AckPolicy = "os", file_bytes: int | None = None
    ) -> None:
        self.storage = FileStorage(directory)
        sequencer = Sequencer(
            self.storage,
            0,
            Clock(),
            fresh_journal_id=JOURNAL_ID,
            build_id=1,
            kind="core",
            ack_policy=ack_policy,
        )
        if file_bytes is not None:
            sequencer.journal.segment_bytes = sequencer.events.file_bytes = file_bytes
        self.sequencer = NativeSequencer(sequencer, directory, SETTINGS)
        self.server = self.sequencer.server
        self._ticket = 0

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.server.drain()
            while not self.server.drained:
                self._bell()
        self.server.stop()
        self.storage.close()

    def submit(self, commands: bytes) -> bytes:
        """Return the events of one batch, when they are acknowledged."""
        self._ticket += 1
        self.server.submit(self._ticket, ROLE, commands)
        while True:
            self._bell()
            for ticket, events in self.server.take_answers():
                assert ticket == self._ticket
                return bytes(events)

    def _bell(self) -> None:
        found, _, _ = select.select([self.server.bell], [], [], _SECONDS)
        assert found, "the loop is silent"
        self.server.quiet()
        if (failure := self.sequencer.failure()) is not None:
            raise failure
