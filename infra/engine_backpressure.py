"""Keeps a shard's engine within reach of its settlement: beyond a bound it takes cancels only.

The change of mode is a command like any other, journalled and replayed; the engine itself refuses
to let it lift a mode that somebody else set (`domain.commands.SetShardMode`).
"""

from __future__ import annotations

import asyncio

import structlog

from domain.commands import SetShardMode
from domain.events import CommandRejected
from domain.ledger import settlement_stream
from domain.order import ShardMode, StateCause
from infra.engine_hosts import Host
from infra.engine_roles import Role
from matching.codec import decode_events, encode_command, split_commands

LOOK_SECONDS = 0.1
ACTOR = "engine"
BEHIND = "settlement is behind"
CAUGHT_UP = "settlement has caught up"
UNBOUNDED = "no bound is set"


class Backpressure:
    """Watch how many commands settlement is behind the durable sequence.

    Beyond `bound` the shard becomes CANCEL_ONLY; below half of it NORMAL again, if the mode is
    ours. A bound of 0 lifts the rule, for benchmarks: then a mode that is ours is lifted too.
    """

    def __init__(self, host: Host, bound: int) -> None:
        self._host = host
        self.bound = bound
        self._stream = settlement_stream(host.sequencer.shard)
        self._asked = False

    @property
    def lag(self) -> int:
        """Return how many durable commands settlement has not told us to have settled."""
        sequencer = self._host.sequencer
        settled = sequencer.cursors.positions.get(self._stream, 0)
        return max(0, sequencer.durable_sequence - settled)

    async def run(self) -> None:
        """Look ten times a second, for ever."""
        if not self.bound:
            structlog.get_logger().warning("settlement may be behind without a bound")
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Submit a change of mode if one is due and none is on its way."""
        if self._asked or self._host.failed.done():
            return
        engine, lag = self._host.sequencer.engine, self.lag
        ours = engine.status.cause is StateCause.SETTLEMENT_BEHIND
        if engine.mode is ShardMode.NORMAL and self.bound and lag > self.bound:
            self._submit(ShardMode.CANCEL_ONLY, BEHIND, lag)
        elif engine.mode is not ShardMode.NORMAL and ours and not self.bound:
            self._submit(ShardMode.NORMAL, UNBOUNDED, lag)
        elif engine.mode is not ShardMode.NORMAL and ours and 2 * lag < self.bound:
            self._submit(ShardMode.NORMAL, CAUGHT_UP, lag)

    def _submit(self, mode: ShardMode, reason: str, lag: int) -> None:
        self._asked = True

        def done(events: bytes) -> None:
            self._asked = False
            outcome = decode_events(events)[0]
            refused = outcome.reason.name if isinstance(outcome, CommandRejected) else ""
            structlog.get_logger().warning(
                "backpressure", mode=mode.name, lag=lag, bound=self.bound, refused=refused
            )

        data = encode_command(SetShardMode(mode, StateCause.SETTLEMENT_BEHIND, ACTOR, reason))
        self._host.submit(Role.ADMIN, data, split_commands(data), done)
