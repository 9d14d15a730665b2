"""Cancels the open orders of customers who may trade no more, until none is left.

The standing's change wrote down that this is due, so it happens whoever made the change, whatever
was away then, and after any crash. Orders that rest in a halted market, or come from a gateway that
has not heard yet, are met by a later round.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from domain.commands import CancelAll, Command
from domain.events import CommandRejected, Event
from domain.order_events import CancelAccepted
from infra.engine_errors import EngineError
from infra.engine_grpc import EngineGrpc
from infra.postgres.orders_due import OrdersDue, OrdersDueStore
from infra.settings import Settings
from workers import engine_admin

ROUND_SECONDS = 1.0
GATEWAY_BELIEVES_SECONDS = 2.5  # a key that it has in memory is two seconds old at most
_PATIENT_AFTER_SECONDS = 60.0
_PATIENT_SECONDS = 15.0  # between rounds about a customer whose orders stay where they are
log = structlog.get_logger(__name__)


class OrderDoor(Protocol):
    """One shard's engine."""

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Apply one command; the first event is its outcome."""

    async def close(self) -> None:
        """Close the connection."""


def order_doors(settings: Settings) -> dict[int, EngineGrpc]:
    """Return a client of each shard's engine that may cancel orders.

    `OSError` while the exchange has made no tokens yet.
    """
    shards = range(settings.shard_count)
    return {shard: engine_admin.connect(settings, "gateway", shard) for shard in shards}


class StandingCare:
    """One `round` asks every shard to cancel what is due; `trouble` says what is still left.

    `open_doors` is asked when something is due first; `OSError` from it is asked again.
    """

    def __init__(
        self, store: OrdersDueStore, open_doors: Callable[[], Mapping[int, OrderDoor]], actor: str
    ) -> None:
        self._store = store
        self._open_doors = open_doors
        self._engines: Mapping[int, OrderDoor] = {}
        self._actor = actor
        self._cancelled: dict[OrdersDue, Counter[int]] = {}
        self._not_before: dict[int, float] = {}
        self.trouble = ""

    async def round(self) -> None:
        """Cancel for everybody for whom it is due and who is not to be asked about only later."""
        dues, left = await self._store.due(), list[OrdersDue]()
        known = {due.customer_id for due in dues}
        self._not_before = {one: at for one, at in self._not_before.items() if one in known}
        for due in dues:
            if time.monotonic() < self._not_before.get(due.customer_id, 0.0):
                left.append(due)
            elif await self.cancel(due):
                left.append(due)
                if due.seconds > _PATIENT_AFTER_SECONDS:
                    self._not_before[due.customer_id] = time.monotonic() + _PATIENT_SECONDS
        late = [str(due.customer_id) for due in left if due.seconds > _PATIENT_AFTER_SECONDS]
        self.trouble = f"open orders not cancelled of customers {', '.join(late)}" if late else ""

    async def cancel(self, due: OrdersDue) -> str:
        """Cancel one customer's orders; return what is left, "" where nothing is and it is noted.

        Nothing is left when no shard has found an order, at a time when no gateway lets one pass
        any more, and the order history knows of none, such as those of a halted market.
        """
        found, counted = 0, self._cancelled.setdefault(due, Counter())
        try:
            self._engines = self._engines or self._open_doors()
        except OSError as error:
            return f"orders on shard 0 are not cancelled ({error})"
        for shard, engine in self._engines.items():
            try:
                outcome = (await engine.submit(CancelAll(due.customer_id)))[0]
            except (EngineError, OSError) as error:
                return f"orders on shard {shard} are not cancelled ({error})"
            if isinstance(outcome, CommandRejected):
                return f"orders on shard {shard} are not cancelled ({outcome.reason.name.lower()})"
            assert isinstance(outcome, CancelAccepted)
            counted[shard] += outcome.closed_count
            found += outcome.closed_count
        if found or due.seconds < GATEWAY_BELIEVES_SECONDS:
            return "orders may still come in"
        if await self._store.has_open_orders(due.customer_id):
            return "orders are still open, as those of a halted market are"
        if await self._store.done(due, self._actor, counted):
            log.warning("orders cancelled", customer=due.customer_id, orders=counted.total())
        self._cancelled.pop(due, None)
        return ""

    async def close(self) -> None:
        """Close the connections to the engines."""
        for door in self._engines.values():
            await door.close()

    async def run(self) -> None:
        """Look every second until cancelled; what is away is waited for."""
        while True:
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - the next round repeats it
                log.warning("orders due not looked at", error=str(error)[:200])
            await asyncio.sleep(ROUND_SECONDS)
