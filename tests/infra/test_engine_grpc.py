"""The gRPC door: questions, durable ranges, cursors, and refusals by name."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import grpc.aio
import pytest

from domain.commands import CancelOrder, PlaceOrder, SetSymbolState
from domain.errors import RejectReason
from domain.events import OrderAccepted
from domain.order import (
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    StateCause,
    SymbolState,
    TimeInForce,
)
from domain.order_id import client_key
from domain.order_record import OrderTerms
from domain.trading_status import StatusReason
from infra.engine_errors import (
    EngineRefused,
    EngineUnavailable,
    EventsNotRetained,
    JournalBehindLedger,
    OutcomeUnknown,
)
from infra.engine_grpc import EngineGrpc
from infra.engine_hosts import LoopKind
from infra.engine_pb import engine_pb2 as pb
from infra.engine_pb import engine_pb2_grpc as rpc
from matching.codec import decode_events, encode_command
from matching.replay import engine_at
from tests.infra.engine_rig import Rig, running


@pytest.fixture(params=["native", "python"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Give a running engine with an open market, driven by each loop."""
    async with running(loop=request.param) as rig:
        await rig.open_market()
        yield rig


def _order(name: str, side: Side = Side.BUY, price: int = 950, lots: int = 10) -> PlaceOrder:
    return PlaceOrder(
        1 if side is Side.BUY else 2,
        client_key(name),
        1,
        side,
        OrderType.LIMIT,
        TimeInForce.GTC,
        price,
        lots,
        client_text=name,
    )


async def test_questions_about_an_account(rig: Rig) -> None:
    """Balances, open orders and single orders are the engine's, with its sequence."""
    gateway, reader = rig.grpc("gateway"), rig.grpc()
    accepted = (await gateway.submit(_order("first")))[0]
    assert isinstance(accepted, OrderAccepted)
    sequence, balances = await reader.balances(1)
    assert sequence >= accepted.sequence
    assert balances == {1: (10**15, accepted.hold_units), 2: (10**15, 0)}
    _, (order,) = await reader.open_orders(1)
    assert (order.client_order_id, order.client_key) == ("first", client_key("first"))
    assert (await reader.open_orders(1, 9))[1] == []
    assert (await reader.order(1, order.order_id))[1] == order
    assert (await reader.order(1, client_key=client_key("first")))[1] == order
    assert (await reader.order(2, order.order_id))[1] is None
    await gateway.submit(CancelOrder(1, 1, order.order_id))
    _, closed = await reader.order(1, order.order_id)
    assert closed is not None
    assert closed.status is OrderStatus.CANCELLED
    assert await reader.balances(99) == ((await reader.status()).sequence, {})


async def test_an_order_comes_with_all_its_terms(rig: Rig) -> None:
    """What the engine says of an order arrives whole, the rarer terms too."""
    timed = replace(
        _order("timed"),
        time_in_force=TimeInForce.GTD,
        self_trade=SelfTrade.DECREMENT,
        expires_at_us=2**62,
    )
    await rig.grpc("gateway").submit(timed)
    _, (order,) = await rig.grpc().open_orders(1)
    assert [order] == rig.host.sequencer.engine.open_orders(1)
    assert order.terms == OrderTerms(expires_at_us=2**62)
    assert (order.self_trade, order.close_reason) == (SelfTrade.DECREMENT, None)


async def test_a_dry_run(rig: Rig) -> None:
    """The engine's verdict with its sequence; the journal does not see it; junk is refused."""
    reader, before = rig.grpc(), rig.host.sequencer.sequence
    assert await reader.dry_run(_order("dry")) == (before, (RejectReason.NONE, 9_519, 0))
    high = await reader.dry_run(_order("dry", price=10**6))
    assert high == (before, (RejectReason.PRICE_OUTSIDE_BAND, 0, 0))
    assert rig.host.sequencer.sequence == before
    async with grpc.aio.insecure_channel(rig.target) as channel:
        call = rpc.EngineStub(channel).DryRun(  # type: ignore[no-untyped-call]
            pb.DryRunRequest(order=b"junk"),
            metadata=(("rialto-role", "reader"), ("rialto-token", rig.tokens.of("reader"))),
        )
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_book(rig: Rig) -> None:
    """Levels come best first, as deep as asked."""
    gateway, reader = rig.grpc("gateway"), rig.grpc()
    for number in range(3):
        await gateway.submit(_order(f"b{number}", price=950 - number))
        await gateway.submit(_order(f"s{number}", Side.SELL, 960 + number, 5))
    _, bids, asks = await reader.book(1, 2)
    assert (bids, asks) == ([(950, 10), (949, 10)], [(960, 5), (961, 5)])
    assert len((await reader.book(1))[1]) == 3
    assert (await reader.book(7))[1:] == ([], [])


async def test_status_names_engine_and_state(rig: Rig) -> None:
    """Sequence, durable sequence, engine kind, epoch, markets; the digest only when asked."""
    why = (StateCause.OPERATOR, "ada", "a glitch")
    await rig.grpc("admin").submit(SetSymbolState(1, SymbolState.CANCEL_ONLY, *why))
    reader = rig.grpc()
    await reader.register_cursor("ledger", 3)
    status = await reader.status(with_digest=True)
    assert status.engine == "core"
    assert (status.epoch, status.build, status.shard) == (1, 7, 0)
    assert status.symbols == tuple(rig.host.sequencer.engine.symbols())
    assert status.symbols[0].state is SymbolState.CANCEL_ONLY
    assert status.symbols[0].status.reason == "a glitch"
    assert status.status == StatusReason()
    assert status.durable_sequence <= status.sequence
    assert status.cursors == {"ledger": 3}
    assert (await reader.status()).digest_hex == ""
    assert await rig.host.wait_durable(status.sequence - 1, 5)
    engine = engine_at(rig.folder / "shard-0", status.sequence)
    assert (engine.digest().hex(), engine.chain().hex()) == (status.digest_hex, status.chain_hex)


async def test_event_ranges_are_dense_and_durable(rig: Rig) -> None:
    """From any cursor the ranges go on without gap up to the durable sequence."""
    gateway, reader = rig.grpc("gateway"), rig.grpc()
    for number in range(30):
        await gateway.submit(_order(f"o{number}"))
    for start in (0, 5, 17):
        cursor = start
        async for found in reader.events(start):
            assert found.first_sequence == cursor + 1
            sequences = {event.sequence for event in decode_events(found.data)}
            assert sequences == set(range(found.first_sequence, found.last_sequence + 1))
            cursor = found.last_sequence
        assert cursor >= 30
    small = [found async for found in reader.events(0, 1)]
    assert small[0].last_sequence - small[0].first_sequence == 0


async def test_a_reader_at_the_end_waits(rig: Rig) -> None:
    """With a wait the answer comes with the next durable event, a tick at the latest."""
    reader = rig.grpc()
    after = (await reader.status()).durable_sequence
    begun = time.monotonic()
    found = [found async for found in reader.events(after, wait_seconds=5)]
    assert found[0].first_sequence == after + 1
    assert time.monotonic() - begun < 2


async def test_a_reader_of_another_journal_is_told(rig: Rig) -> None:
    """Beyond the journal: JOURNAL_BEHIND_LEDGER, for ranges and for cursors."""
    reader = rig.grpc()
    with pytest.raises(JournalBehindLedger):
        _ = [found async for found in reader.events(10**6)]
    with pytest.raises(JournalBehindLedger):
        await reader.register_cursor("ledger", 10**6)


@pytest.mark.parametrize("loop", ["native", "python"])
async def test_events_that_are_gone_are_named(loop: LoopKind) -> None:
    """A reader that is too far behind hears so; what is kept is read on."""
    async with running(loop=loop, file_bytes=16_384) as rig:
        gateway, reader = rig.grpc("gateway"), rig.grpc()
        for _ in range(20):
            await gateway.submit_bytes(encode_command(CancelOrder(1, 0, 5)) * 50)
        events = rig.host.sequencer.events
        assert events.drop_before(500) > 0
        assert 3 < events.first_sequence <= 500
        with pytest.raises(EventsNotRetained):
            _ = [found async for found in reader.events(3)]
        sequence = (await reader.status()).sequence
        assert await rig.host.wait_durable(sequence - 1, 5)
        ranges = [found async for found in reader.events(499)]
        assert ranges[0].first_sequence == 500
        assert ranges[-1].last_sequence >= sequence


async def test_every_call_needs_a_proven_role(rig: Rig) -> None:
    """Unary calls and streams without the right token are refused."""
    for client in (EngineGrpc(rig.target, "reader", "wrong"), EngineGrpc(rig.target, "nobody")):
        with pytest.raises(EngineRefused):
            await client.status()
        with pytest.raises(EngineRefused):
            _ = [found async for found in client.events(0)]
        with pytest.raises(EngineRefused):
            await client.submit(CancelOrder(1, 0, 1))
        await client.close()


@pytest.mark.parametrize("role", ["gateway", "treasury", "admin", "risk"])
async def test_only_readers_register_cursors(rig: Rig, role: str) -> None:
    """What is retained follows the cursors: no other role moves one."""
    other = rig.grpc(role)
    with pytest.raises(EngineRefused, match="PERMISSION_DENIED"):
        await other.register_cursor("settlement.0", 1)
    assert "settlement.0" not in (await rig.grpc().status()).cursors
    await rig.grpc().register_cursor("settlement.0", 1)
    assert (await rig.grpc().status()).cursors["settlement.0"] == 1


async def test_a_symbol_that_cannot_be_is_refused(rig: Rig) -> None:
    """A number beyond the wire's 16 bits is the caller's mistake, named as such."""
    reader = rig.grpc()
    with pytest.raises(EngineRefused, match="at most 65535"):
        await reader.open_orders(1, 65_536)
    with pytest.raises(EngineRefused, match="at most 65535"):
        await reader.book(1 << 31, 5)
    assert (await reader.open_orders(1, 65_535))[1] == []


async def test_malformed_commands_are_refused(rig: Rig) -> None:
    """Bytes that are no commands are INVALID_ARGUMENT and have no effect."""
    with pytest.raises(EngineRefused, match="BAD_LENGTH"):
        await rig.grpc("gateway").submit_bytes(b"x")


async def test_a_stream_of_batches(rig: Rig) -> None:
    """Order entry as a stream: each batch is answered in order under its correlation."""
    metadata = (("rialto-role", "gateway"), ("rialto-token", rig.tokens.of("gateway")))
    async with grpc.aio.insecure_channel(rig.target) as channel:
        stub = rpc.EngineStub(channel)  # type: ignore[no-untyped-call]
        batches = [
            pb.CommandBatch(commands=encode_command(_order(f"o{n}")), correlation=n)
            for n in range(20)
        ]
        answers = [answer async for answer in stub.Orders(iter(batches), metadata=metadata)]
    assert [answer.correlation for answer in answers] == list(range(20))
    assert all(isinstance(decode_events(a.events)[0], OrderAccepted) for a in answers)


async def test_without_an_engine(rig: Rig) -> None:
    """Questions are unavailable; a command's outcome is unknown, as it may have been sent."""
    client = EngineGrpc(f"unix:{rig.folder / 'nobody'}", timeout_seconds=0.5)
    with pytest.raises(EngineUnavailable):
        await client.status()
    with pytest.raises(OutcomeUnknown):
        await client.submit(CancelOrder(1, 0, 1))
    await client.close()
