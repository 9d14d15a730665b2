"""What a risk monitor does after each mark: find who is below his margin, freeze him at once.

Freezing needs neither Temporal nor PostgreSQL: it is one batch of commands to the engine, the
worst scope first. What follows is the workflows' (`workers/risk_workflows.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import structlog

from domain.commands import Command
from domain.events import Event, ScopeFrozen
from domain.liquidation_plan import freeze_key, scope_name
from domain.money import PPM
from domain.risk_commands import Freeze
from domain.risk_picture import FrozenScope, RiskPicture, ScopeKey
from workers.risk_book import ScopeNeed
from workers.risk_news import ShardNews

FREEZE_BATCH = 1_000  # commands of one request
_log = structlog.get_logger()


class FreezingDoor(Protocol):
    """An engine, as far as freezing needs it."""

    async def submit_many(self, commands: Sequence[Command]) -> list[tuple[Event, ...]]:
        """Run commands in one batch and return each one's events."""


class RiskWatch:
    """Scans a shard and freezes; `frozen_count` and `calls` count what it did, for the heartbeat.

    `refused` is the engine's last refusal: it values at its own mark, which may be newer.
    """

    def __init__(self, news: ShardNews, door: FreezingDoor) -> None:
        self._news = news
        self._door = door
        self.frozen_count = 0
        self.calls = 0
        self.unjudged = 0
        self.refused = ""

    async def look(self) -> int:
        """Scan once; freeze who is in need, tell who is called; return how many were frozen."""
        found = self._news.scan()
        self.unjudged = found.unjudged
        for need in found.called:
            self._call(need)
        frozen = 0
        for start in range(0, len(found.breached), FREEZE_BATCH):
            frozen += await self._freeze(found.breached[start : start + FREEZE_BATCH])
        return frozen

    def _call(self, need: ScopeNeed) -> None:
        """Tell of a margin call; the customer's own words are not this process' to send."""
        self.calls += 1
        _log.info(
            "margin_call",
            scope=scope_name(self._news.picture.shard, need.scope),
            equity_units=need.equity_units,
            maintenance_units=need.maintenance_units,
        )

    async def _freeze(self, needs: Sequence[ScopeNeed]) -> int:
        picture = self._news.picture
        commands = [
            Freeze(
                freeze_key(picture.shard, need.scope, picture.sequence),
                need.scope.account_id,
                need.scope.symbol_id,
            )
            for need in needs
        ]
        answers = await self._door.submit_many(commands)
        count = 0
        for need, events in zip(needs, answers, strict=True):
            if isinstance(events[0], ScopeFrozen):
                count += 1
                self._news.book.set_frozen(need.scope, True)  # the log says so in a moment
            else:
                reason = getattr(events[0], "reason", None) or getattr(
                    events[0], "first_reason", None
                )
                self.refused = getattr(reason, "name", type(events[0]).__name__)
        self.frozen_count += count
        _log.warning("frozen", scopes=count, of=len(needs), refused=self.refused)
        return count


def in_order_of_need(picture: RiskPicture) -> list[FrozenScope]:
    """Return the frozen scopes, the worst first: by equity / MM (ppm, down), then the larger MM."""

    def need(found: FrozenScope) -> tuple[int, int, ScopeKey]:
        scope = picture.scope(found.scope)
        margin = scope.maintenance_units
        ratio_ppm = scope.equity_units * PPM // margin if margin else PPM
        return ratio_ppm, -margin, found.scope

    return sorted(picture.frozen.values(), key=need)
