"""The engine over gRPC: questions, event ranges, and commands of everyone but the gateways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import TypeVar

import grpc
import grpc.aio

from domain.commands import Command, PlaceOrder, PlaceOrderList
from domain.errors import RejectReason
from domain.events import Event
from domain.order import (
    OrderStatus,
    OrderType,
    SelfTrade,
    ShardMode,
    Side,
    StateCause,
    SymbolState,
    TimeInForce,
    TriggerSource,
)
from domain.order_record import DryRun, OrderRecord, OrderTerms
from domain.perpetual_record import Holding, Holdings, PerpetualNow, ScopeMargin
from domain.trading_status import StatusReason
from infra.engine_errors import (
    EngineError,
    EngineRefused,
    EngineUnavailable,
    EventsNotRetained,
    JournalBehindLedger,
    OutcomeUnknown,
)
from infra.engine_grpc_stream import OrderStream
from infra.engine_pb import engine_pb2 as pb
from infra.engine_pb import engine_pb2_grpc as rpc
from matching.codec import decode_events, encode_command
from matching.event_log import EventRange
from matching.readers import LoopTimes, ServiceTimes, Stall
from matching.views import SymbolView

T = TypeVar("T")
Level = tuple[int, int]
_MAX_MESSAGE = 128 << 20
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """Where a shard is. `digest_hex` is empty unless asked for: it costs a pass over all state."""

    sequence: int
    durable_sequence: int
    time_us: int
    digest_hex: str
    chain_hex: str
    engine: str
    build: int
    mode: ShardMode
    shard: int
    epoch: int
    journal_id: bytes
    ack_policy: str
    first_event_sequence: int
    symbols: tuple[SymbolView, ...]
    cursors: dict[str, int]
    loop: str
    service: ServiceTimes
    loop_times: LoopTimes
    status: StatusReason


class EngineGrpc:
    """One channel to one shard; reconnects by itself.

    Questions raise `EngineUnavailable`; `submit` raises `OutcomeUnknown` where the command may
    have been sent, and is safe to repeat with the same key.
    """

    def __init__(
        self, target: str, role: str = "reader", token: str = "", *, timeout_seconds: float = 10.0
    ) -> None:
        """`target` is "unix:path" or "host:port". The channel opens with the first call."""
        self._target = target
        self._metadata = (("rialto-role", role), ("rialto-token", token))
        self._timeout = timeout_seconds
        self._channel: grpc.aio.Channel | None = None

    def _stub(self) -> rpc.EngineStub:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        return rpc.EngineStub(self._channel)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None

    async def _ask(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise _engine_error(error) from error

    async def status(
        self, *, with_digest: bool = False, reset_service_times: bool = False
    ) -> EngineStatus:
        """Return where the shard is; the service times may begin anew after that."""
        reply = await self._ask(
            self._stub().Status(
                pb.StatusRequest(with_digest=with_digest, reset_service_times=reset_service_times),
                timeout=self._timeout,
                metadata=self._metadata,
            )
        )
        return EngineStatus(
            sequence=reply.sequence,
            durable_sequence=reply.durable_sequence,
            time_us=reply.time_us,
            digest_hex=reply.digest.hex(),
            chain_hex=reply.chain.hex(),
            engine=reply.engine,
            build=reply.build,
            mode=ShardMode(reply.mode),
            shard=reply.shard,
            epoch=reply.epoch,
            journal_id=reply.journal_id,
            ack_policy=reply.ack_policy,
            first_event_sequence=reply.first_event_sequence,
            symbols=tuple(
                SymbolView(
                    s.symbol_id,
                    SymbolState(s.state),
                    s.last_ticks,
                    s.open_orders,
                    _status(s.status),
                )
                for s in reply.symbols
            ),
            cursors=dict(reply.cursors),
            loop=reply.loop,
            service=ServiceTimes(
                reply.service_count,
                reply.service_p50_ns,
                reply.service_p99_ns,
                reply.service_p999_ns,
                reply.service_max_ns,
            ),
            loop_times=LoopTimes(
                tuple(Stall(s.work, s.count, s.total_ns, s.longest_ns) for s in reply.stalls),
                reply.loop_priority,
                reply.loop_queued_ns,
                reply.loop_pushed_aside,
                reply.loop_page_faults,
            ),
            status=_status(reply.mode_status),
        )

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Run one command and return its events, the outcome first."""
        return tuple(decode_events(await self.submit_bytes(encode_command(command))))

    async def submit_bytes(self, commands: bytes) -> bytes:
        """Run encoded commands and return their event stripes."""
        try:
            reply = await self._stub().Submit(
                pb.CommandBatch(commands=commands), timeout=self._timeout, metadata=self._metadata
            )
        except grpc.aio.AioRpcError as error:
            failure = _engine_error(error)
            if isinstance(failure, EngineUnavailable):
                raise OutcomeUnknown(str(failure)) from error
            raise failure from error
        return bytes(reply.events)

    def order_stream(self) -> OrderStream:
        """Return a stream for batches of commands, to be entered as a context."""
        return OrderStream(self._stub().Orders(metadata=self._metadata))

    async def balances(self, account_id: int) -> tuple[int, dict[int, tuple[int, int]]]:
        """Return (sequence, {asset_id: (total_units, held_units)})."""
        reply = await self._ask(
            self._stub().Balances(
                pb.BalancesRequest(account_id=account_id),
                timeout=self._timeout,
                metadata=self._metadata,
            )
        )
        return reply.sequence, {b.asset_id: (b.total_units, b.held_units) for b in reply.balances}

    async def open_orders(
        self, account_id: int, symbol_id: int = 0
    ) -> tuple[int, list[OrderRecord]]:
        """Return (sequence, open orders by id), of one market or (0) of all."""
        reply = await self._ask(
            self._stub().OpenOrders(
                pb.OpenOrdersRequest(account_id=account_id, symbol_id=symbol_id),
                timeout=self._timeout,
                metadata=self._metadata,
            )
        )
        return reply.sequence, [_order(order) for order in reply.orders]

    async def order(
        self, account_id: int, order_id: int = 0, client_key: int = 0
    ) -> tuple[int, OrderRecord | None]:
        """Return (sequence, order) by id or by client key; None: not known, or forgotten."""
        reply = await self._ask(
            self._stub().GetOrder(
                pb.OrderRequest(
                    account_id=account_id,
                    order_id=order_id,
                    client_key=client_key.to_bytes(16, "little"),
                ),
                timeout=self._timeout,
                metadata=self._metadata,
            )
        )
        return reply.sequence, _order(reply.order) if reply.HasField("order") else None

    async def dry_run(self, order: PlaceOrder | PlaceOrderList) -> tuple[int, DryRun]:
        """Return (sequence, what would come of the order or list); no effect."""
        reply = await self._ask(
            self._stub().DryRun(
                pb.DryRunRequest(order=encode_command(order)),
                timeout=self._timeout,
                metadata=self._metadata,
            )
        )
        reason = RejectReason(reply.reason)
        return reply.sequence, DryRun(reason, reply.hold_units, reply.list_position)

    async def perpetuals(self) -> tuple[int, list[PerpetualNow]]:
        """Return (sequence, perpetual markets as they are, by id)."""
        reply = await self._ask(
            self._stub().Perpetuals(
                pb.PerpetualsRequest(), timeout=self._timeout, metadata=self._metadata
            )
        )
        return reply.sequence, [PerpetualNow.of(one) for one in reply.perpetuals]

    async def holdings(self, account_id: int) -> tuple[int, Holdings]:
        """Return (sequence, what an account has in perpetuals)."""
        reply = await self._ask(
            self._stub().Holdings(
                pb.HoldingsRequest(account_id=account_id),
                timeout=self._timeout,
                metadata=self._metadata,
            )
        )
        scopes = {one.symbol_id: ScopeMargin.of(one) for one in reply.scopes}
        return reply.sequence, Holdings([Holding.of(one) for one in reply.positions], scopes)

    async def book(self, symbol_id: int, depth: int = 0) -> tuple[int, list[Level], list[Level]]:
        """Return (sequence, bids, asks), each [(price_ticks, lots)], best first; 0 is all."""
        reply = await self._ask(
            self._stub().Book(
                pb.BookRequest(symbol_id=symbol_id, depth=depth),
                timeout=self._timeout,
                metadata=self._metadata,
            )
        )
        return (
            reply.sequence,
            [(level.price_ticks, level.quantity_lots) for level in reply.bids],
            [(level.price_ticks, level.quantity_lots) for level in reply.asks],
        )

    async def events(
        self, after_sequence: int, limit_bytes: int = 4 << 20, *, wait_seconds: float = 0.0
    ) -> AsyncIterator[EventRange]:
        """Yield durable events after a sequence in ranges of whole commands, dense.

        Ends at about `limit_bytes`, or when there are no more; waits up to `wait_seconds` for the
        first. `JournalBehindLedger`, `EventsNotRetained`, `EngineUnavailable` as named.
        """
        request = pb.EventsRequest(
            after_sequence=after_sequence,
            limit_bytes=limit_bytes,
            wait_ms=int(wait_seconds * 1000),
        )
        call = self._stub().Events(
            request, timeout=self._timeout + wait_seconds, metadata=self._metadata
        )
        try:
            async for found in call:
                yield EventRange(found.first_sequence, found.last_sequence, bytes(found.events))
        except grpc.aio.AioRpcError as error:
            raise _engine_error(error) from error

    async def register_cursor(self, name: str, sequence: int) -> int:
        """Tell the engine how far reader `name` is; return the durable sequence."""
        reply = await self._ask(
            self._stub().RegisterCursor(
                pb.CursorRequest(name=name, sequence=sequence),
                timeout=self._timeout,
                metadata=self._metadata,
            )
        )
        return int(reply.durable_sequence)


def _engine_error(error: grpc.aio.AioRpcError) -> EngineError:
    text = f"{error.code().name}: {error.details()}"
    match error.code():
        case (
            grpc.StatusCode.UNAUTHENTICATED
            | grpc.StatusCode.PERMISSION_DENIED
            | grpc.StatusCode.INVALID_ARGUMENT
        ):
            return EngineRefused(text)
        case grpc.StatusCode.FAILED_PRECONDITION:
            return JournalBehindLedger(text)
        case grpc.StatusCode.OUT_OF_RANGE:
            return EventsNotRetained(text)
        case _:
            return EngineUnavailable(text)


def _status(status: pb.StatusReason) -> StatusReason:
    return StatusReason(
        StateCause(status.cause), status.sequence, status.time_us, status.actor, status.reason
    )


def _order(order: pb.Order) -> OrderRecord:
    return OrderRecord(
        order_id=order.order_id,
        account_id=order.account_id,
        symbol_id=order.symbol_id,
        client_order_id=order.client_text,
        client_key=int.from_bytes(order.client_key, "little"),
        side=Side(order.side),
        order_type=OrderType(order.order_type),
        time_in_force=TimeInForce(order.time_in_force),
        post_only=order.post_only,
        self_trade=SelfTrade(order.self_trade),
        price_ticks=order.price_ticks,
        quantity_lots=order.quantity_lots,
        filled_lots=order.filled_lots,
        status=OrderStatus(order.status),
        accepted_sequence=order.accepted_sequence,
        accepted_at_us=order.accepted_time_us,
        terms=OrderTerms.of(order.terms),
        is_waiting=order.is_waiting,
        is_pending=order.is_pending,
        reduce_only=order.reduce_only,
        close_position=order.close_position,
        trigger_source=TriggerSource(order.trigger_source),
    )
