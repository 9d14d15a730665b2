"""Batches of orders over one gRPC stream, against a running engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from domain.commands import CancelAll, PlaceOrder
from domain.events import OrderAccepted
from domain.order import OrderType, Side, TimeInForce
from domain.order_id import client_key
from infra.engine_errors import EngineUnavailable, OutcomeUnknown
from infra.engine_grpc_server import MAX_BATCHES_IN_FLIGHT
from infra.engine_hosts import LoopKind
from infra.engine_pb import engine_pb2 as pb
from infra.engine_pb import engine_pb2_grpc as rpc
from matching.codec import decode_events, encode_command
from tests.infra.engine_rig import Rig, running


@pytest.fixture(params=["native", "python"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Give a running engine with an open market, on either loop."""
    loop: LoopKind = request.param
    async with running(loop=loop) as rig:
        await rig.open_market()
        yield rig


def _orders(batch: int, count: int) -> bytes:
    orders = (
        PlaceOrder(
            1,
            client_key(f"s{batch}-{n}"),
            1,
            Side.BUY,
            OrderType.LIMIT,
            TimeInForce.GTC,
            950,
            1,
        )
        for n in range(count)
    )
    return b"".join(encode_command(order) for order in orders)


async def test_many_batches_are_on_the_way_at_once(rig: Rig) -> None:
    """Each caller gets the events of its own batch; the engine takes them as they were sent."""
    batches = 3 * MAX_BATCHES_IN_FLIGHT
    async with rig.grpc("gateway").order_stream() as stream:
        answers = await asyncio.gather(
            *(stream.submit_bytes(_orders(batch, 5)) for batch in range(batches))
        )
    outcomes = [decode_events(answer) for answer in answers]
    accepted = [[e for e in events if isinstance(e, OrderAccepted)] for events in outcomes]
    for batch, events in enumerate(accepted):
        assert [e.client_key for e in events] == [client_key(f"s{batch}-{n}") for n in range(5)]
    sequences = [e.sequence for events in accepted for e in events]
    first = sequences[0]
    ticks = sequences[-1] - first + 1 - len(sequences)
    assert sequences == sorted(sequences)
    assert 0 <= ticks < 100  # time passes between two batches, never within one
    for events in accepted:
        assert events[-1].sequence - events[0].sequence == 4


async def test_batches_do_not_wait_for_the_answers_before_them(rig: Rig) -> None:
    """Whoever sends without reading is read up to the bound: batches are pipelined."""
    metadata = (("rialto-role", "gateway"), ("rialto-token", rig.tokens.of("gateway")))
    async with grpc.aio.insecure_channel(rig.target) as channel:
        stub = rpc.EngineStub(channel)  # type: ignore[no-untyped-call]
        call = stub.Orders(metadata=metadata)
        before = rig.host.sequencer.sequence
        for number in range(20):
            commands = encode_command(CancelAll(1)) * 10
            await call.write(pb.CommandBatch(commands=commands, correlation=number))
        assert await rig.host.wait_durable(before + 199, 5)
        answers = [await call.read() for _ in range(20)]
        assert [answer.correlation for answer in answers] == list(range(20))
        call.cancel()


@pytest.mark.parametrize(
    "garbage", [b"x" * 64, b"x" * 63, bytes(64)], ids=["text", "too short", "zeros"]
)
async def test_a_malformed_batch_ends_the_stream_and_changes_nothing(
    rig: Rig, garbage: bytes
) -> None:
    """What came before it is answered; it and what follows is not carried out."""
    stream = rig.grpc("gateway").order_stream()
    async with stream:
        good = asyncio.create_task(stream.submit_bytes(_orders(1, 2)))
        bad = asyncio.create_task(stream.submit_bytes(_orders(2, 2) + garbage))
        late = asyncio.create_task(stream.submit_bytes(_orders(3, 2)))
        assert isinstance(decode_events(await good)[0], OrderAccepted)
        # gRPC forgets the engine's status when `late` is being written as the stream ends.
        with pytest.raises(OutcomeUnknown, match=r"INVALID_ARGUMENT|Internal error from Core"):
            await bad
        with pytest.raises((OutcomeUnknown, EngineUnavailable)):
            await late
        with pytest.raises(EngineUnavailable):
            await stream.submit_bytes(_orders(4, 1))
    _, orders = await rig.grpc().open_orders(1)
    assert len(orders) == 2


async def test_a_stream_without_its_token_is_refused(rig: Rig) -> None:
    """The role is proved at the door of the stream, too."""
    channel = grpc.aio.insecure_channel(rig.target)
    stub = rpc.EngineStub(channel)  # type: ignore[no-untyped-call]
    metadata = (("rialto-role", "gateway"), ("rialto-token", "wrong"))
    call = stub.Orders(iter([pb.CommandBatch(commands=_orders(1, 1))]), metadata=metadata)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await anext(aiter(call))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    await channel.close(None)


async def test_an_engine_that_goes_leaves_the_outcome_unknown() -> None:
    """What had no answer is unknown; the next batch is not sent at all."""
    async with running() as rig:
        await rig.open_market()
        async with rig.grpc("gateway").order_stream() as stream:
            await stream.submit_bytes(_orders(1, 1))
            await rig.server.stop(None)
            with pytest.raises((OutcomeUnknown, EngineUnavailable)):
                await stream.submit_bytes(_orders(2, 1))
            with pytest.raises(EngineUnavailable):
                await stream.submit_bytes(_orders(3, 1))
