"""The engine as the risk service sees it: over gRPC, with the role `risk`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from activities.risk_ports import Level
from domain.commands import Command
from domain.events import Event
from infra.engine_grpc import EngineGrpc
from matching.codec import decode_events, encode_command


class EngineRiskDoor:
    """Implements `RiskDoor`; `reader` answers questions, `risk` takes commands."""

    def __init__(self, risk: EngineGrpc, reader: EngineGrpc) -> None:
        self._risk = risk
        self._reader = reader

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Run a command; `OutcomeUnknown` is safe to repeat with the same key."""
        return await self._risk.submit(command)

    async def submit_many(self, commands: Sequence[Command]) -> list[tuple[Event, ...]]:
        """Run commands in one batch and return each one's events."""
        raw = await self._risk.submit_bytes(b"".join(map(encode_command, commands)))
        return by_command(decode_events(raw))

    async def events_at(self, sequence: int) -> tuple[Event, ...]:
        """Return the events of one command."""
        async for found in self._reader.events(sequence - 1, 1):
            events = [one for one in decode_events(found.data) if one.sequence == sequence]
            if events:
                return tuple(events)
        raise LookupError(f"the log has no command {sequence}")

    async def book(self, symbol_id: int, depth: int) -> tuple[int, list[Level], list[Level]]:
        """Return (sequence, bids, asks), best first."""
        return await self._reader.book(symbol_id, depth)

    async def close(self) -> None:
        """Close both channels."""
        await self._risk.close()
        await self._reader.close()


def by_command(events: Sequence[Event]) -> list[tuple[Event, ...]]:
    """Return events grouped by their command."""
    return [tuple(group) for _, group in groupby(events, lambda event: event.sequence)]
