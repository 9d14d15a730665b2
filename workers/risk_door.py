"""The engine as the risk service sees it: over gRPC, with the role `risk`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from activities.risk_ports import Level
from domain.commands import Command
from domain.errors import RejectReason
from domain.events import CommandRejected, Event, EventType, KeyDuplicate
from domain.risk_picture import FrozenScope, ScopeKey
from infra.engine_grpc import EngineGrpc
from matching.codec import by_command, decode_events, encode_command, view_events
from matching.wire import EVENT_PART_DTYPES

_FROZEN = EVENT_PART_DTYPES[EventType.SCOPE_FROZEN, 0]


class EngineRiskDoor:
    """Implements `FirstDoor`; `reader` answers questions, `risk` takes commands."""

    def __init__(self, risk: EngineGrpc, reader: EngineGrpc) -> None:
        self._risk = risk
        self._reader = reader

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Run a command; `OutcomeUnknown` is safe to repeat with the same key."""
        return await self._risk.submit(command)

    async def submit_many(self, commands: Sequence[Command]) -> list[tuple[Event, ...]]:
        """Run commands in one batch; return the events of each."""
        raw = await self._risk.submit_bytes(b"".join(map(encode_command, commands)))
        return list(by_command(decode_events(raw)))

    async def freeze(self, commands: Sequence[Command]) -> list[FrozenScope | RejectReason]:
        """Run FREEZE commands in one batch; return what each one came to."""
        raw = await self._risk.submit_bytes(b"".join(map(encode_command, commands)))
        return freezes_in(raw)

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


def freezes_in(raw: bytes) -> list[FrozenScope | RejectReason]:
    """Return what each FREEZE came to, from the events of all; orders that ended are not read."""
    stripes = view_events(raw)
    heads = stripes[(stripes["index"] == 0) & (stripes["part"] == 0)]
    frozen = heads[heads["type"] == EventType.SCOPE_FROZEN].view(_FROZEN)
    found = {one.sequence: one for one in _frozen(frozen)}
    return [
        found.get(sequence) or _refusal(decode_events(heads[place].tobytes())[0])
        for place, sequence in enumerate(heads["sequence"].tolist())
    ]


def _frozen(rows: npt.NDArray[np.void]) -> Iterator[FrozenScope]:
    names = ("account_id", "symbol_id", "key_low", "key_high", "sequence", "time_us")
    for account_id, symbol_id, low, high, sequence, time_us in zip(
        *(rows[name].tolist() for name in names), strict=True
    ):
        yield FrozenScope(ScopeKey(account_id, symbol_id), high << 64 | low, sequence, time_us)


def _refusal(event: Event) -> RejectReason:
    match event:
        case CommandRejected():
            return event.reason
        case KeyDuplicate():
            return event.first_reason
        case _:
            raise TypeError(f"the engine answered a FREEZE with {event}")
