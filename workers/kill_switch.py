"""The kill switch: shards and markets halted, restricted and opened, straight at the engines.

It needs neither PostgreSQL nor Redis nor Temporal: the engine journals the command with who and
why, and the audit log is written from its events when the database is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from domain.commands import SetShardMode, SetSymbolState
from domain.errors import RejectReason
from domain.events import CommandRejected
from domain.order import ShardMode, StateCause, SymbolState
from domain.risk_commands import SetPerpetualState, Trigger
from infra.engine_errors import EngineError
from infra.settings import Settings
from workers import engine_admin

PATIENCE_SECONDS = 15.0  # an engine that was killed is back by then
_RETRY_SECONDS = 0.1
_CALL_SECONDS = 2.0
_CLOSED = (SymbolState.CANCEL_ONLY, SymbolState.HALTED)  # what a delisted market is, it stays


@dataclass(frozen=True, slots=True)
class Switched:
    """What a shard answered: the change's sequence, or why there is none.

    `closed_markets` are the markets that take no orders whatever the shard's mode is.
    """

    shard: int
    sequence: int = 0
    seconds: float = 0.0
    refused: str = ""
    unreachable: str = ""
    closed_markets: tuple[int, ...] = ()

    @property
    def done(self) -> bool:
        """Return whether the change is journalled and in force."""
        return not self.refused and not self.unreachable


async def switch_shards(
    settings: Settings, shards: Iterable[int], mode: ShardMode, actor: str, reason: str
) -> list[Switched]:
    """Set the mode of each shard, all at once; one that is away does not hold up the others."""
    command = SetShardMode(mode, StateCause.OPERATOR, actor, reason)
    return await asyncio.gather(*(_switch(settings, shard, command) for shard in shards))


async def switch_market(
    settings: Settings, shard: int, symbol_id: int, state: SymbolState, actor: str, reason: str
) -> Switched:
    """Set the state of one market."""
    command = SetSymbolState(symbol_id, state, StateCause.OPERATOR, actor, reason)
    return await _switch(settings, shard, command)


async def switch_perpetual(
    settings: Settings, shard: int, symbol_id: int, trigger: Trigger, actor: str, reason: str
) -> Switched:
    """Restrict, halt or resume a perpetual market."""
    return await _switch(settings, shard, SetPerpetualState(symbol_id, trigger, actor, reason))


async def _switch(
    settings: Settings, shard: int, command: SetShardMode | SetSymbolState | SetPerpetualState
) -> Switched:
    """Submit until the engine answers: setting a state twice is setting it once."""
    started = time.monotonic()
    engine = engine_admin.connect(settings, "admin", shard, timeout_seconds=_CALL_SECONDS)
    try:
        while True:
            try:
                outcome = (await engine.submit(command))[0]
                seconds = time.monotonic() - started
                if isinstance(outcome, CommandRejected):
                    return Switched(shard, refused=_words(outcome.reason))
                status = await engine.status()
                closed = tuple(m.symbol_id for m in status.symbols if m.state in _CLOSED)
                return Switched(shard, outcome.sequence, seconds, closed_markets=closed)
            except EngineError as error:
                if time.monotonic() - started > PATIENCE_SECONDS:
                    return Switched(shard, unreachable=str(error)[:200])
                await asyncio.sleep(_RETRY_SECONDS)
    finally:
        await engine.close()


def _words(reason: RejectReason) -> str:
    return reason.name.lower().replace("_", " ")
