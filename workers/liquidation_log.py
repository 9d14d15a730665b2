"""A liquidation told from the engine's log alone: for one that still goes on, or whose row is lost.

What a step saw before it (marks, book, ranking) only its own record knows; what it did is here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np

from activities.liquidation import found_step
from domain.events import Event, EventType, ScopeFrozen, ScopeState, ScopeUnfrozen
from domain.liquidation_story import LiquidationRecord, LiquidationRequest, StepRecord
from infra.engine_grpc import EngineGrpc
from infra.settings import Settings
from matching.codec import by_command, decode_only
from workers import engine_admin

_KINDS = np.array(
    [
        EventType.SCOPE_FROZEN,
        EventType.SCOPE_UNFROZEN,
        EventType.SCOPE_STATE,
        EventType.LIQUIDATION_PLACED,
        EventType.PERPETUAL_TRADE,
        EventType.TAKEN_OVER,
        EventType.DELEVERAGED,
    ],
    np.uint8,
)
_RANGE_BYTES = 4 << 20
Command = tuple[Event, ...]


class LogReader:
    """Takes commands in order; `record` is what the log says of one liquidation, None: nothing."""

    def __init__(self, shard: int, liquidation_id: str) -> None:
        self._shard = shard
        self._key = int(liquidation_id, 16)
        self._frozen: ScopeFrozen | None = None
        self._steps: list[StepRecord] = []
        self._last: tuple[int, int] = (0, 0)  # sequence and time
        self.is_over = False

    def take(self, command: Command) -> None:
        """Take the events of one command."""
        head = command[0]
        if isinstance(head, ScopeFrozen) and head.key == self._key:
            self._frozen, self._last = head, (head.sequence, head.time_us)
        if self._frozen is None or not self._concerns(command):
            return
        step = found_step(len(self._steps) + 1, command)
        if step is not None:
            self._steps.append(step)
            self._last = step.sequence, step.time_us
        elif isinstance(head, ScopeUnfrozen):
            self._last, self.is_over = (head.sequence, head.time_us), True

    def _concerns(self, command: Command) -> bool:
        """Return whether a command told the scope as it was afterwards: every step does."""
        assert self._frozen is not None
        place = (self._frozen.account_id, self._frozen.symbol_id)
        return any(
            isinstance(event, ScopeState) and (event.account_id, event.symbol_id) == place
            for event in command
        )

    @property
    def record(self) -> LiquidationRecord | None:
        """Return the record, with the steps that took effect; `ended` "open" while it goes on."""
        frozen = self._frozen
        if frozen is None:
            return None
        request = LiquidationRequest(
            self._shard, frozen.account_id, frozen.symbol_id, f"{frozen.key:032x}", frozen.sequence
        )
        ended = "released" if self.is_over else "open"
        sequence, time_us = self._last
        return LiquidationRecord(
            request, ended, frozen.time_us, time_us, sequence, {}, list(self._steps)
        )


async def record_in_logs(settings: Settings, liquidation_id: str) -> LiquidationRecord | None:
    """Return what any shard's log says of a liquidation; `EngineError` when one cannot be read."""
    for shard in range(settings.shard_count):
        found = LogReader(shard, liquidation_id)
        engine = engine_admin.connect(settings, "reader", shard)
        try:
            async for command in _commands(engine):
                found.take(command)
                if found.is_over:
                    break
        finally:
            await engine.close()
        if found.record is not None:
            return found.record
    return None


async def _commands(engine: EngineGrpc) -> AsyncIterator[Command]:
    """Yield every command of a log that says something of a liquidation, oldest first."""
    status = await engine.status()
    after = status.first_event_sequence - 1
    while after < status.durable_sequence:
        before = after
        async for part in engine.events(after, _RANGE_BYTES):
            for command in by_command(decode_only(part.data, _KINDS)):
                yield command
            after = part.last_sequence
        if after == before:
            return
