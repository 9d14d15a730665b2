"""Steps of the daily fee tiers: add up what was traded, assess it, tell the engines."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.commands import Command, SetAccountTier
from domain.events import AccountTierSet, Event, KeyDuplicate
from domain.fee_tiers import Assessed, ShardTiers, TierRequest, TiersSet, tier_key

BATCH = 500  # commands of one request
_LOOK_SECONDS, _LOOKS = 0.2, 100


class TierRows(Protocol):
    """The rows of volumes and tiers."""

    async def reached(self, shard: int) -> int:
        """Return up to which sequence trades are settled and tiers are followed."""

    async def add_up(self, day: dt.date, shard: int) -> None:
        """Add up the days before `day`."""

    async def assess(self, day: dt.date) -> Assessed:
        """Write and return the tiers of `day`; the first assessment stands."""

    async def wanted_changes(self, day: dt.date, shard: int) -> Mapping[int, int]:
        """Return {account id: tier} where the shard has another one."""


class TierDoor(Protocol):
    """An engine, as far as tiers need it."""

    async def durable_sequence(self) -> int:
        """Return the last sequence that may be read."""

    async def submit_many(self, commands: list[Command]) -> tuple[Event, ...]:
        """Run commands in order and return their events."""


class FeeTierActivities:
    """The activities of the schedule `fee-tiers`."""

    def __init__(self, rows: TierRows, doors: Mapping[int, TierDoor]) -> None:
        self._rows = rows
        self._doors = doors

    @activity.defn(name="assess_volumes")
    async def assess(self, request: TierRequest) -> Assessed:
        """Add up and assess the window of a day, once all of its trades are in the books."""
        day = dt.date.fromisoformat(request.day)
        for shard in sorted(self._doors):
            await self._until_followed(shard)
            await self._rows.add_up(day, shard)
            activity.heartbeat(shard)
        found = await self._rows.assess(day)
        return Assessed(found.day, found.accounts, found.tiers, sorted(self._doors))

    @activity.defn(name="set_shard_tiers")
    async def set_tiers(self, request: ShardTiers) -> TiersSet:
        """Give accounts the tiers of a day where a shard has others; a repeat changes nothing."""
        shard, day = request.shard, dt.date.fromisoformat(request.day)
        await self._until_followed(shard)
        changes = iter((await self._rows.wanted_changes(day, shard)).items())
        changed = last_sequence = 0
        while batch := _commands(islice(changes, BATCH), day, shard):
            events = await self._doors[shard].submit_many(batch)
            for outcome in (event for event in events if event.index == 0):
                match outcome:
                    case AccountTierSet():
                        changed, last_sequence = changed + 1, outcome.sequence
                    case KeyDuplicate(same_body=True):
                        last_sequence = max(last_sequence, outcome.first_sequence)
                    case _:
                        raise ApplicationError(
                            f"the engine answered a tier with {outcome}",
                            type="PublicEngineRefused",
                            non_retryable=True,
                        )
            activity.heartbeat(changed)
        return TiersSet(shard, changed, last_sequence)

    async def _until_followed(self, shard: int) -> None:
        """Wait until the rows have what the engine had done when it was asked: all of yesterday.

        Where settlement or order-history is further behind, the step fails and is tried again.
        """
        sequence = await self._doors[shard].durable_sequence()
        for _ in range(_LOOKS):
            reached = await self._rows.reached(shard)
            if reached >= sequence:
                return
            activity.heartbeat(reached)
            await asyncio.sleep(_LOOK_SECONDS)
        raise ApplicationError(
            f"shard {shard} was at {sequence}, its rows are at {reached}", type="RowsBehind"
        )


def _commands(changes: Iterator[tuple[int, int]], day: dt.date, shard: int) -> list[Command]:
    return [
        SetAccountTier(account_id, tier, tier_key(account_id, day, shard))
        for account_id, tier in changes
    ]
