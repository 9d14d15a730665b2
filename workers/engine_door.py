"""The gateway's door to one shard: binary frames for commands, gRPC for queries."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from api.ports import EngineAway, EngineOutcomeUnknown, EventsForgotten
from domain.commands import Command, PlaceOrder, PlaceOrderList
from domain.events import Event
from domain.market_data import Level
from domain.order_record import DryRun, OrderRecord
from domain.perpetual_record import Holdings, PerpetualNow
from domain.trading_status import TradingStatus
from infra.engine_client import EngineClient
from infra.engine_errors import (
    EngineError,
    EventsNotRetained,
    JournalBehindLedger,
    OutcomeUnknown,
)
from infra.engine_grpc import EngineGrpc, EngineStatus
from infra.redis.event_stream import EventReader
from matching.batches import Batch

Answer = TypeVar("Answer")
_STATUS_SECONDS = 0.25


class ShardDoor:
    """Implements the API's `EngineDoor`; the adapters' failures become the API's words."""

    def __init__(self, client: EngineClient, queries: EngineGrpc) -> None:
        self._client = client
        self._queries = queries
        self._status: tuple[float, TradingStatus] | None = None

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Return the command's events."""
        return await _answered(self._client.submit(command))

    async def submit_many(self, commands: Sequence[Command]) -> list[tuple[Event, ...]]:
        """Return the events of each command; they are carried out in order."""
        return await _answered(self._client.submit_many(commands))

    async def balances(self, account_id: int) -> tuple[int, dict[int, tuple[int, int]]]:
        """Return (sequence, asset id -> (total, held) engine units)."""
        return await _answered(self._queries.balances(account_id))

    async def open_orders(self, account_id: int, symbol_id: int) -> tuple[int, list[OrderRecord]]:
        """Return (sequence, open orders)."""
        return await _answered(self._queries.open_orders(account_id, symbol_id))

    async def order(
        self, account_id: int, order_id: int = 0, client_key: int = 0
    ) -> OrderRecord | None:
        """Return the order if the engine still knows it."""
        _, found = await _answered(self._queries.order(account_id, order_id, client_key))
        return found

    async def dry_run(self, order: PlaceOrder | PlaceOrderList) -> tuple[int, DryRun]:
        """Return (sequence, what would come of it)."""
        return await _answered(self._queries.dry_run(order))

    async def perpetuals(self) -> tuple[int, list[PerpetualNow]]:
        """Return (sequence, perpetual markets)."""
        return await _answered(self._queries.perpetuals())

    async def holdings(self, account_id: int) -> tuple[int, Holdings]:
        """Return (sequence, what an account has in perpetuals)."""
        return await _answered(self._queries.holdings(account_id))

    async def book(self, symbol_id: int, depth: int) -> tuple[int, list[Level], list[Level]]:
        """Return (sequence, bids, asks)."""
        return await _answered(self._queries.book(symbol_id, depth))

    async def trading_status(self) -> TradingStatus:
        """Return whether shard and markets take orders; asked anew after a quarter of a second."""
        now = time.monotonic()
        known = self._status
        if known is None or now - known[0] > _STATUS_SECONDS:
            found = await _answered(self._queries.status())
            known = self._status = (now, trading_status(found))
        return known[1]


class ShardLog:
    """Implements the API's `EventLog`: from Redis, or else from the engine."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader

    async def read(self, after: int, max_wait_seconds: float) -> Batch | None:
        """Return the next commands' events after `after`, None when none came in time."""
        try:
            found = await self._reader.read(after, max_wait_seconds)
        except (EventsNotRetained, JournalBehindLedger) as error:
            raise EventsForgotten(str(error)) from error
        except EngineError as error:
            raise EngineAway(str(error)) from error
        if found is None:
            return None
        return Batch(found.first_sequence, found.last_sequence, found.raw)


def trading_status(found: EngineStatus) -> TradingStatus:
    """Return what an engine's status says about trading."""
    markets = {market.symbol_id: (market.state, market.status) for market in found.symbols}
    return TradingStatus(found.mode, found.status, markets)


async def _answered(call: Awaitable[Answer]) -> Answer:
    try:
        return await call
    except OutcomeUnknown as error:
        raise EngineOutcomeUnknown(str(error)) from error
    except EngineError as error:
        raise EngineAway(str(error)) from error
