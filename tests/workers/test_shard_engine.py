"""Settlement's view of an engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from domain.commands import SetShardMode
from domain.events import ShardModeSet
from domain.order import ShardMode, StateCause
from infra.engine_grpc import EngineGrpc
from workers.shard_engine import ShardEngine


class Door:
    """A gRPC client that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    async def status(self) -> SimpleNamespace:
        return SimpleNamespace(durable_sequence=7)

    async def register_cursor(self, name: str, sequence: int) -> int:
        self.asked.append((name, sequence))
        return sequence

    async def submit(self, command: SetShardMode) -> tuple[ShardModeSet]:
        self.asked.append(command)
        return (ShardModeSet(8, 0, 0, command.mode, command.cause, command.actor, command.reason),)


async def test_halt_uses_the_admin_door_alone() -> None:
    """Reading goes through one door, halting through the other."""
    reader, admin = Door(), Door()
    engine = ShardEngine(cast("EngineGrpc", reader), cast("EngineGrpc", admin))
    assert await engine.durable_sequence() == 7
    await engine.register_cursor("settlement.0", 5)
    await engine.halt("ledger invariant: \u20ac\n" + "x" * 96)
    assert reader.asked == [("settlement.0", 5)]
    said = "ledger invariant:   " + "x" * 76  # what an engine can keep: 96 printable characters
    assert admin.asked == [
        SetShardMode(ShardMode.HALTED, StateCause.SETTLEMENT_FAILED, "settlement", said)
    ]
