"""What a risk monitor does after each mark: find who is below his margin, freeze him at once.

Freezing needs neither Temporal nor PostgreSQL: it is batches of commands to the engine, the
worst scope first. What follows is the workflows' (`workers/risk_workflows.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from domain.commands import Command
from domain.errors import RejectReason
from domain.liquidation_plan import freeze_key
from domain.margin_call import MarginCall
from domain.risk_commands import Freeze
from domain.risk_picture import FrozenScope
from workers.risk_book import ScopeNeed
from workers.risk_news import ShardNews

FREEZE_BATCH = 1_000  # commands of one request
_log = structlog.get_logger()


class FreezingDoor(Protocol):
    """An engine, as far as freezing needs it."""

    async def freeze(self, commands: Sequence[Command]) -> list[FrozenScope | RejectReason]:
        """Run FREEZE commands in one batch; return what each one came to."""


def tells_nobody(calls: Sequence[MarginCall]) -> None:
    """Take margin calls and do nothing with them."""


class RiskWatch:
    """Scans a shard and freezes; `frozen_count` and `calls` count what it did, for the heartbeat.

    `refused` is the engine's last refusal: it values at its own mark, which may be newer.
    `largest` is the most scopes that one look froze, and in how many milliseconds.
    """

    def __init__(
        self,
        news: ShardNews,
        door: FreezingDoor,
        tell: Callable[[Sequence[MarginCall]], None] = tells_nobody,
    ) -> None:
        self._news = news
        self._door = door
        self._tell = tell
        self.frozen_count = 0
        self.calls = 0
        self.unjudged = 0
        self.ruined = 0
        self.refused = ""
        self.largest = (0, 0.0)

    async def look(self) -> list[FrozenScope]:
        """Scan once; tell who is called, freeze who is in need; return who was frozen."""
        found = self._news.scan()
        self.unjudged, self.ruined = found.unjudged, found.ruined
        if found.called:
            self._call(found.called)
        if not found.breached:
            return []
        began = time.perf_counter()
        batches = [
            found.breached[start : start + FREEZE_BATCH]
            for start in range(0, len(found.breached), FREEZE_BATCH)
        ]
        answers = await asyncio.gather(*map(self._freeze, batches))
        frozen = [scope for batch in answers for scope in batch]
        took_ms = (time.perf_counter() - began) * 1_000
        self.frozen_count += len(frozen)
        if len(frozen) > self.largest[0]:
            self.largest = len(frozen), round(took_ms, 1)
        _log.warning(
            "frozen",
            scopes=len(frozen),
            of=len(found.breached),
            refused=self.refused,
            milliseconds=round(took_ms, 1),
        )
        return frozen

    def _call(self, needs: Sequence[ScopeNeed]) -> None:
        picture = self._news.picture
        self.calls += len(needs)
        self._tell(
            [
                MarginCall(
                    picture.shard,
                    need.scope.account_id,
                    need.scope.symbol_id,
                    picture.sequence,
                    picture.time_us,
                    need.equity_units,
                    need.maintenance_units,
                )
                for need in needs
            ]
        )

    async def _freeze(self, needs: Sequence[ScopeNeed]) -> list[FrozenScope]:
        picture = self._news.picture
        commands = [
            Freeze(
                freeze_key(picture.shard, need.scope, picture.sequence),
                need.scope.account_id,
                need.scope.symbol_id,
            )
            for need in needs
        ]
        frozen = []
        for answer in await self._door.freeze(commands):
            if isinstance(answer, FrozenScope):
                frozen.append(answer)
                self._news.book.set_frozen(answer.scope, True)  # the log says so in a moment
            else:
                self.refused = answer.name
        return frozen
