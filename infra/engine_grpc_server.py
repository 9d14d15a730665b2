"""The engine's gRPC door: the same sequencer, plus questions and event ranges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from typing import Any

import grpc
import grpc.aio

from domain.order_record import OrderRecord
from domain.perpetual_record import Holding, PerpetualNow, ScopeMargin
from domain.trading_status import StatusReason
from infra.engine_hosts import Host
from infra.engine_pb import engine_pb2 as pb
from infra.engine_pb import engine_pb2_grpc as rpc
from infra.engine_roles import Role, Tokens
from matching.codec import split_commands
from matching.event_log import NotRetainedError
from matching.segments import JournalError, JournalFault
from matching.views import ShardView
from matching.wire import WireError

RANGE_BYTES = 1 << 20
MAX_RANGE_BYTES = 64 << 20
MAX_WAIT_SECONDS = 30.0
MAX_DEPTH = 5_000
MAX_SYMBOL_ID = (1 << 16) - 1
MAX_CONCURRENT_CALLS = 1_000
MAX_MESSAGE = 128 << 20
MAX_BATCHES_IN_FLIGHT = 64
Context = grpc.aio.ServicerContext[Any, Any]
_Submitted = asyncio.Queue[tuple[int, asyncio.Future[bytes]] | None]

OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", (1 << 20) + 64),
    ("grpc.so_reuseport", 0),
)


class AdmitByToken(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Refuse every call whose metadata does not prove a role."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Let the call through when role and token belong together."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        metadata = dict(handler_call_details.invocation_metadata or ())
        role = _role(metadata)
        if role is not None and self._tokens.proves(role, str(metadata.get("rialto-token", ""))):
            return handler
        return _refusal(handler)


def _role(metadata: dict[str, Any]) -> Role | None:
    return Role.__members__.get(str(metadata.get("rialto-role", "")).upper())


def _refusal(handler: Any) -> Any:
    async def refuse(_request: Any, context: Context) -> None:
        await context.abort(
            grpc.StatusCode.UNAUTHENTICATED, "role and token do not belong together"
        )

    async def refuse_stream(_request: Any, context: Context) -> AsyncIterator[Any]:
        await refuse(_request, context)
        yield None

    maker = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return maker(
        refuse_stream if handler.response_streaming else refuse,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


class EngineServicer(rpc.EngineServicer):
    """Answer the calls of `matching/engine.proto`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._sequencer = host.sequencer
        self._engine = host.sequencer.engine

    async def Status(self, request: pb.StatusRequest, context: Context) -> pb.StatusReply:  # noqa: N802
        """Say where the shard is; the full digest only when asked, as it reads all state."""
        view = self._engine.view(with_digest=request.with_digest)
        reply = self._status(view)
        if request.reset_service_times:
            self._sequencer.reset_service_times()
        return reply

    def _status(self, view: ShardView) -> pb.StatusReply:
        sequencer = self._sequencer
        times, loop = sequencer.service_times(), sequencer.loop_times()
        return pb.StatusReply(
            sequence=view.sequence,
            durable_sequence=sequencer.durable_sequence,
            time_us=view.time_us,
            digest=view.digest,
            chain=view.chain,
            engine=self._engine.kind,
            build=sequencer.build_id,
            mode=view.mode,
            shard=sequencer.shard,
            epoch=view.epoch,
            journal_id=sequencer.journal.journal_id,
            ack_policy=sequencer.ack_policy,
            first_event_sequence=sequencer.events.first_sequence,
            symbols=[
                pb.SymbolStatus(
                    symbol_id=symbol.symbol_id,
                    state=symbol.state,
                    last_ticks=symbol.last_ticks,
                    open_orders=symbol.open_orders,
                    status=_status(symbol.status),
                )
                for symbol in view.symbols
            ],
            cursors=sequencer.cursors.positions,
            mode_status=_status(view.status),
            loop=self._host.loop_name,
            service_count=times.count,
            service_p50_ns=times.p50_ns,
            service_p99_ns=times.p99_ns,
            service_p999_ns=times.p999_ns,
            service_max_ns=times.max_ns,
            stalls=[pb.Stall(**asdict(stall)) for stall in loop.stalls],
            loop_priority=loop.priority,
            loop_queued_ns=loop.queued_ns,
            loop_pushed_aside=loop.pushed_aside,
            loop_page_faults=loop.page_faults,
        )

    def _submit(self, context: Context, commands: bytes) -> asyncio.Future[bytes]:
        """Hand a batch to the engine; the future gets its events, or its bytes' `WireError`."""
        role = _role(dict(context.invocation_metadata() or ()))
        assert role is not None
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def done(events: bytes) -> None:
            if not answer.done():
                answer.set_result(events)

        try:
            self._host.submit(role, commands, split_commands(commands), done)
        except WireError as error:
            answer.set_exception(error)
        return answer

    async def Submit(self, request: pb.CommandBatch, context: Context) -> pb.EventBatch:  # noqa: N802
        """Run a batch of commands."""
        try:
            events = await self._submit(context, request.commands)
        except WireError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return pb.EventBatch(events=events, correlation=request.correlation)

    async def Orders(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.CommandBatch], context: Context
    ) -> AsyncIterator[pb.EventBatch]:
        """Run batches as they come, many at a time; the answers keep their order.

        Reading stops while `MAX_BATCHES_IN_FLIGHT` wait for their answers, and for good at a
        malformed batch, which ends the stream after the answers before it.
        """
        submitted: _Submitted = asyncio.Queue(MAX_BATCHES_IN_FLIGHT)
        reading = asyncio.create_task(self._read_batches(request_iterator, context, submitted))
        try:
            while (found := await submitted.get()) is not None:
                correlation, answer = found
                yield pb.EventBatch(events=await answer, correlation=correlation)
        except WireError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            reading.cancel()

    async def _read_batches(
        self, batches: AsyncIterator[pb.CommandBatch], context: Context, submitted: _Submitted
    ) -> None:
        async for batch in batches:
            answer = self._submit(context, batch.commands)
            await submitted.put((batch.correlation, answer))
            if answer.done() and answer.exception() is not None:
                return
        await submitted.put(None)

    async def Balances(self, request: pb.BalancesRequest, context: Context) -> pb.BalancesReply:  # noqa: N802
        """Return the account's trading balances."""
        engine = self._engine
        sequence, found = engine.with_sequence(lambda: engine.account_balances(request.account_id))
        return pb.BalancesReply(
            sequence=sequence,
            balances=[
                pb.Balance(asset_id=asset_id, total_units=total, held_units=held)
                for asset_id, (total, held) in found.items()
            ],
        )

    async def OpenOrders(  # noqa: N802
        self, request: pb.OpenOrdersRequest, context: Context
    ) -> pb.OpenOrdersReply:
        """Return the account's open orders."""
        await _require_symbol(request.symbol_id, context)
        engine = self._engine
        sequence, orders = engine.with_sequence(
            lambda: engine.open_orders(request.account_id, request.symbol_id)
        )
        return pb.OpenOrdersReply(sequence=sequence, orders=[_order(order) for order in orders])

    async def GetOrder(self, request: pb.OrderRequest, context: Context) -> pb.OrderReply:  # noqa: N802
        """Return one order of the account."""
        key = int.from_bytes(request.client_key[:16], "little")
        engine = self._engine
        sequence, order = engine.with_sequence(
            lambda: engine.order(request.account_id, request.order_id, key)
        )
        return pb.OrderReply(sequence=sequence, order=None if order is None else _order(order))

    async def DryRun(self, request: pb.DryRunRequest, context: Context) -> pb.DryRunReply:  # noqa: N802
        """Say what would come of an order or a list."""
        try:
            engine = self._engine
            sequence, found = engine.with_sequence(lambda: engine.dry_run(request.order))
        except WireError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return pb.DryRunReply(sequence=sequence, **found._asdict())

    async def Book(self, request: pb.BookRequest, context: Context) -> pb.BookReply:  # noqa: N802
        """Return the best levels of a market."""
        await _require_symbol(request.symbol_id, context)
        depth = max(1, min(request.depth or MAX_DEPTH, MAX_DEPTH))
        engine = self._engine
        sequence, (bids, asks) = engine.with_sequence(lambda: engine.book(request.symbol_id, depth))
        return pb.BookReply(
            sequence=sequence,
            bids=[pb.BookLevel(price_ticks=p, quantity_lots=q) for p, q in bids],
            asks=[pb.BookLevel(price_ticks=p, quantity_lots=q) for p, q in asks],
        )

    async def Perpetuals(  # noqa: N802
        self, _request: pb.PerpetualsRequest, context: Context
    ) -> pb.PerpetualsReply:
        """Return the perpetual markets as they are."""
        engine = self._engine
        sequence, found = engine.with_sequence(engine.perpetuals)
        named = [PerpetualNow.of(one).by_name() for one in found]
        return pb.PerpetualsReply(sequence=sequence, perpetuals=[pb.Perpetual(**n) for n in named])

    async def Holdings(  # noqa: N802
        self, request: pb.HoldingsRequest, context: Context
    ) -> pb.HoldingsReply:
        """Return an account's positions and the margin of each scope that it has."""
        engine, account_id = self._engine, request.account_id

        def ask() -> tuple[list[Holding], list[ScopeMargin]]:
            positions = engine.positions(account_id)
            scopes = sorted({one.scope for one in positions} | {0})
            return positions, [engine.scope(account_id, scope) for scope in scopes]

        sequence, (positions, scopes) = engine.with_sequence(ask)
        return pb.HoldingsReply(
            sequence=sequence,
            positions=[pb.Holding(**one.by_name()) for one in positions],
            scopes=[pb.ScopeMargin(**one.by_name()) for one in scopes],
        )

    async def Events(  # noqa: N802
        self, request: pb.EventsRequest, context: Context
    ) -> AsyncIterator[pb.EventRange]:
        """Stream durable events after a sequence."""
        after = request.after_sequence
        left = min(request.limit_bytes or MAX_RANGE_BYTES, MAX_RANGE_BYTES)
        try:
            self._sequencer.read_events(after, 0)
            if request.wait_ms:
                seconds = min(request.wait_ms / 1000, MAX_WAIT_SECONDS)
                await self._host.wait_durable(after, seconds)
            while left > 0:
                found = self._sequencer.read_events(after, min(left, RANGE_BYTES))
                if found is None:
                    return
                yield pb.EventRange(
                    first_sequence=found.first_sequence,
                    last_sequence=found.last_sequence,
                    events=found.data,
                )
                after = found.last_sequence
                left -= len(found.data)
        except NotRetainedError as error:
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, str(error))
        except JournalError as error:
            await _abort(context, error)

    async def RegisterCursor(self, request: pb.CursorRequest, context: Context) -> pb.CursorReply:  # noqa: N802
        """Note how far a reader is. Retention trusts it, so only the readers' role may say it."""
        if _role(dict(context.invocation_metadata() or ())) is not Role.READER:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "cursors are the readers' own")
        try:
            self._sequencer.register_cursor(request.name[:64], request.sequence)
        except JournalError as error:
            await _abort(context, error)
        return pb.CursorReply(durable_sequence=self._sequencer.durable_sequence)


async def _require_symbol(symbol_id: int, context: Context) -> None:
    """End the call where no market can have the number: the engine's symbols are 16 bits."""
    if symbol_id > MAX_SYMBOL_ID:
        text = f"symbol_id is at most {MAX_SYMBOL_ID}"
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)


async def _abort(context: Context, error: JournalError) -> None:
    behind = error.fault is JournalFault.JOURNAL_BEHIND_LEDGER
    code = grpc.StatusCode.FAILED_PRECONDITION if behind else grpc.StatusCode.INTERNAL
    await context.abort(code, str(error))


def _order(order: OrderRecord) -> pb.Order:
    return pb.Order(
        order_id=order.order_id,
        account_id=order.account_id,
        client_key=order.client_key.to_bytes(16, "little"),
        client_text=order.client_order_id,
        symbol_id=order.symbol_id,
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        post_only=order.post_only,
        price_ticks=order.price_ticks,
        quantity_lots=order.quantity_lots,
        filled_lots=order.filled_lots,
        accepted_sequence=order.accepted_sequence,
        accepted_time_us=order.accepted_at_us,
        status=order.status,
        self_trade=order.self_trade,
        terms=pb.OrderTerms(**order.terms.by_name()),
        is_waiting=order.is_waiting,
        is_pending=order.is_pending,
        reduce_only=order.reduce_only,
        close_position=order.close_position,
        trigger_source=order.trigger_source,
    )


def _status(status: StatusReason) -> pb.StatusReason:
    return pb.StatusReason(
        cause=status.cause,
        sequence=status.sequence,
        time_us=status.time_us,
        actor=status.actor,
        reason=status.reason,
    )


async def serve(host: Host, tokens: Tokens, address: str) -> grpc.aio.Server:
    """Listen at `address` ("unix:path" or "host:port") and return the running server."""
    server = grpc.aio.server(
        interceptors=[AdmitByToken(tokens)],
        options=OPTIONS,
        maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS,
    )
    rpc.add_EngineServicer_to_server(EngineServicer(host), server)  # type: ignore[no-untyped-call]
    if not server.add_insecure_port(address):
        raise OSError(f"cannot listen at {address}")
    await server.start()
    return server
