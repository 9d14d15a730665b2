"""What settlement asks of a shard's engine, over gRPC."""

from __future__ import annotations

import structlog

from domain.commands import Command, SetShardMode
from domain.events import Event
from domain.order import ShardMode, StateCause
from infra.engine_grpc import EngineGrpc
from matching.codec import decode_events, encode_command
from matching.wire import MAX_REASON

_log = structlog.get_logger()

_ACTOR = "settlement"


class ShardEngine:
    """Implements settlement's `ShardEngine`; `admin` may change the shard's mode."""

    def __init__(self, queries: EngineGrpc, admin: EngineGrpc) -> None:
        self._queries = queries
        self._admin = admin

    async def durable_sequence(self) -> int:
        """Return the last sequence that may be read."""
        return (await self._queries.status()).durable_sequence

    async def register_cursor(self, name: str, sequence: int) -> None:
        """Tell the engine that `name` does not need events up to `sequence` any more."""
        await self._queries.register_cursor(name, sequence)

    async def submit_many(self, commands: list[Command]) -> tuple[Event, ...]:
        """Run administrative commands in order and return their events."""
        batch = b"".join(encode_command(command) for command in commands)
        return tuple(decode_events(await self._admin.submit_bytes(batch)))

    async def halt(self, reason: str) -> None:
        """Stop trading on the shard; cancels are refused too, money stays where it is."""
        printed = "".join(c if " " <= c <= "~" else " " for c in reason)[:MAX_REASON]
        command = SetShardMode(ShardMode.HALTED, StateCause.SETTLEMENT_FAILED, _ACTOR, printed)
        outcome = (await self._admin.submit(command))[0]
        _log.error("engine_halted", alarm=True, reason=reason, outcome=type(outcome).__name__)
