"""The binary door: who comes in, what may be sent, and how it ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from domain.commands import CancelOrder, Opcode, SetShardMode
from domain.errors import RejectReason
from domain.events import CommandRejected, EventType
from domain.order import ShardMode
from infra.door_limits import DoorLimits
from infra.engine_client import EngineClient
from infra.engine_frames import (
    HEADER,
    MAX_FRAME,
    PROTOCOL_VERSION,
    Frame,
    FrameFault,
    FrameKind,
    FrameReader,
    encode_frame,
    encode_hello,
)
from infra.engine_hosts import LoopKind
from infra.engine_roles import ROLE_OPCODES, Role
from matching.codec import decode_events, encode_command, view_events
from tests.infra.engine_rig import Rig, running
from tests.matching.samples import session

COMMANDS = {command.opcode: encode_command(command) for _, command in session()}


@pytest.fixture(params=["native", "python"])
def loop(request: pytest.FixtureRequest) -> LoopKind:
    """Give each loop in turn: their doors are one."""
    kind: LoopKind = request.param
    return kind


@pytest.fixture
async def rig(loop: LoopKind) -> AsyncIterator[Rig]:
    """Give a running engine."""
    async with running(loop=loop) as rig:
        yield rig


async def _talk(rig: Rig, *frames: bytes, answers: int | None = None) -> list[Frame]:
    """Send raw frames and return the first answers, or all until the door closes."""
    reader, writer = await asyncio.open_unix_connection(rig.socket)
    writer.write(b"".join(frames))
    found: list[Frame] = []
    cutter = FrameReader()
    async with asyncio.timeout(30):
        while len(found) != answers and (data := await reader.read(65_536)):
            found += cutter.feed(data)
    writer.close()
    return found


def _hello(rig: Rig, role: Role = Role.GATEWAY) -> bytes:
    return encode_hello(role, rig.tokens.of(role.name), 1)


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (encode_hello(Role.GATEWAY, "wrong", 1), FrameFault.BAD_TOKEN),
        (encode_hello(77, "wrong", 1), FrameFault.BAD_TOKEN),
        (encode_hello(Role.GATEWAY, "", 1, schema=99), FrameFault.VERSION_MISMATCH),
        (encode_frame(FrameKind.HELLO, 0, b"short"), FrameFault.BAD_FRAME),
        (encode_frame(FrameKind.COMMANDS, 0, b""), FrameFault.BAD_FRAME),
        (HEADER.pack(0, 1, PROTOCOL_VERSION + 1, 0, 0), FrameFault.VERSION_MISMATCH),
        (HEADER.pack(MAX_FRAME + 1, 1, PROTOCOL_VERSION, 0, 0), FrameFault.FRAME_TOO_LARGE),
    ],
)
async def test_strangers_are_told_and_closed(rig: Rig, frame: bytes, fault: FrameFault) -> None:
    """A wrong greeting gets one named error and the end of the connection."""
    (answer,) = await _talk(rig, frame)
    assert (answer.kind, answer.code) == (FrameKind.ERROR, fault)
    await rig.connected(0)


async def test_a_role_needs_its_own_token(rig: Rig) -> None:
    """The gateway's token does not open the treasury."""
    hello = encode_hello(Role.TREASURY, rig.tokens.of("gateway"), 1)
    (answer,) = await _talk(rig, hello)
    assert answer.code == FrameFault.BAD_TOKEN


async def test_silence_is_not_waited_for(loop: LoopKind) -> None:
    """A client that never greets is closed."""
    async with running(loop=loop, limits=DoorLimits(handshake_seconds=0.05)) as rig:
        (answer,) = await _talk(rig)
        assert answer.code == FrameFault.HANDSHAKE_TIMEOUT


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (encode_frame(FrameKind.COMMANDS, 1, b"x" * 63), FrameFault.MALFORMED_COMMANDS),
        (encode_frame(FrameKind.COMMANDS, 1, b"x" * 64), FrameFault.MALFORMED_COMMANDS),
        (encode_frame(FrameKind.EVENTS, 1, b""), FrameFault.BAD_FRAME),
        (encode_frame(FrameKind.HELLO, 1, b""), FrameFault.BAD_FRAME),
    ],
)
async def test_malformed_frames_close_without_effect(
    rig: Rig, frame: bytes, fault: FrameFault
) -> None:
    """After WELCOME, too, what is not a batch of commands ends the connection."""
    welcome, answer = await _talk(rig, _hello(rig), frame)
    assert welcome.kind == FrameKind.WELCOME
    assert (answer.kind, answer.code) == (FrameKind.ERROR, fault)


async def test_an_empty_batch_is_answered(rig: Rig) -> None:
    """No commands, no events, and the same correlation."""
    empty = encode_frame(FrameKind.COMMANDS, 42, b"")
    _, answer = await _talk(rig, _hello(rig), empty, answers=2)
    assert (answer.kind, answer.correlation, answer.payload) == (FrameKind.EVENTS, 42, b"")


def _expected(role: Role, opcode: Opcode) -> bool:
    return opcode in {
        Role.GATEWAY: {
            Opcode.PLACE_ORDER,
            Opcode.CANCEL_ORDER,
            Opcode.CANCEL_ALL,
            Opcode.AMEND_ORDER,
            Opcode.SET_DEAD_MANS_SWITCH,
            Opcode.PLACE_ORDER_LIST,
            Opcode.SET_LEVERAGE,
            Opcode.SET_MARGIN_MODE,
            Opcode.MOVE_MARGIN,
        },
        Role.TREASURY: {Opcode.CREDIT, Opcode.DEBIT, Opcode.TOP_UP_FUND},
        Role.ADMIN: {
            Opcode.LIST_SYMBOL,
            Opcode.SET_PARAMETERS,
            Opcode.SET_ACCOUNT_TIER,
            Opcode.SET_SYMBOL_STATE,
            Opcode.SET_SHARD_MODE,
            Opcode.DELIST_SYMBOL,
            Opcode.LIST_PERPETUAL,
            Opcode.SET_RISK_PARAMETERS,
            Opcode.SET_PERPETUAL_STATE,
            Opcode.SETTLE_MARKET,
        },
        Role.RISK: {
            Opcode.SET_INDEX,
            Opcode.SET_PERPETUAL_STATE,
            Opcode.SETTLE_FUNDING,
            Opcode.FREEZE,
            Opcode.UNFREEZE,
            Opcode.LIQUIDATE,
            Opcode.TAKE_OVER,
            Opcode.DELEVERAGE,
            Opcode.UNWIND,
            Opcode.SWEEP_DUST,
        },
    }.get(role, set())


@pytest.mark.parametrize("role", Role)
async def test_every_opcode_from_every_role(rig: Rig, role: Role) -> None:
    """Over both doors, and the stream, a command passes exactly when its role may send it."""
    assert set(COMMANDS) == set(Opcode)
    assert set(ROLE_OPCODES) == set(Role)
    client = await rig.client(role.name.lower())
    grpc = rig.grpc(role.name.lower())
    async with grpc.order_stream() as stream:
        for opcode, record in COMMANDS.items():
            answers = (
                await client.submit_bytes(record, 1),
                await grpc.submit_bytes(record),
                await stream.submit_bytes(record),
            )
            for outcome in (decode_events(raw)[0] for raw in answers):
                if _expected(role, opcode):
                    assert outcome.sequence > 0
                    continue
                assert isinstance(outcome, CommandRejected)
                assert outcome.reason is RejectReason.FORBIDDEN_OPCODE
                assert (outcome.sequence, outcome.opcode) == (0, opcode)


async def test_forbidden_commands_leave_no_trace(rig: Rig) -> None:
    """Among permitted ones they are answered in their place and not journalled."""
    cancel, mode = (
        encode_command(CancelOrder(1, 0, 5)),
        encode_command(SetShardMode(ShardMode.HALTED)),
    )
    client = await rig.client()
    for _ in range(3):
        raw = await client.submit_bytes(cancel + mode + cancel, 3)
        first, middle, last = decode_events(raw)
        assert last.sequence == first.sequence + 1
        assert isinstance(middle, CommandRejected)
        assert middle.sequence == 0
    assert rig.host.sequencer.engine.mode is ShardMode.NORMAL


async def test_a_client_that_does_not_read_hurts_only_itself(loop: LoopKind) -> None:
    """Its answers are not kept without bound: it is closed, and others are served."""
    batch = encode_frame(FrameKind.COMMANDS, 1, encode_command(CancelOrder(1, 0, 5)) * 2_000)
    async with running(loop=loop, limits=DoorLimits(max_unsent_bytes=200_000)) as rig:
        _, writer = await asyncio.open_unix_connection(rig.socket, limit=1_024)
        writer.write(_hello(rig))
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(160):  # more than the kernel keeps, too
            writer.write(batch)
        client = await rig.client()
        async with asyncio.timeout(30):
            while rig.door.connected != 1:
                assert (await client.submit(CancelOrder(1, 0, 5)))[0].sequence > 0
                await asyncio.sleep(0.05)
        writer.transport.abort()


async def test_a_busy_client_is_not_read_further(loop: LoopKind) -> None:
    """Beyond the limit of commands in flight the door stops reading and later goes on."""
    cancel = encode_command(CancelOrder(1, 0, 5))
    async with running(loop=loop, limits=DoorLimits(max_in_flight=100)) as rig:
        client = await rig.client()
        answers = await asyncio.gather(*(client.submit_bytes(cancel * 90, 90) for _ in range(20)))
        assert all(len(answer) == 90 * 64 for answer in answers)


@pytest.mark.parametrize("seed", range(3))
async def test_frames_may_come_in_pieces(rig: Rig, seed: int) -> None:
    """However the bytes are cut, the answers are the same, in order, one a frame."""
    chance = random.Random(seed)
    cancel = encode_command(CancelOrder(1, 0, 5))
    sizes = [chance.randint(0, 30) for _ in range(12)]
    data = _hello(rig) + b"".join(
        encode_frame(FrameKind.COMMANDS, number, cancel * size) for number, size in enumerate(sizes)
    )
    reader, writer = await asyncio.open_unix_connection(rig.socket)
    while data:
        size = chance.choice([1, 7, 15, 16, 17, 64, 500])
        writer.write(data[:size])
        await writer.drain()
        await asyncio.sleep(0)
        data = data[size:]
    cutter, found = FrameReader(), list[Frame]()
    async with asyncio.timeout(30):
        while len(found) < 1 + len(sizes):
            found += cutter.feed(await reader.read(65_536))
    assert [frame.correlation for frame in found[1:]] == list(range(len(sizes)))
    assert [len(frame.payload) // 64 for frame in found[1:]] == sizes
    writer.close()


@pytest.mark.parametrize("seed", range(5))
async def test_garbage_is_refused_and_changes_nothing(rig: Rig, seed: int) -> None:
    """Random bytes, before and after the greeting, end their own connection only."""
    chance = random.Random(seed)
    client = await rig.client()
    before = (await client.submit(CancelOrder(1, 0, 5)))[0].sequence
    for opening in (b"", _hello(rig)):
        found = await _talk(rig, opening, chance.randbytes(chance.randint(16, 4_000)))
        assert found[-1].kind == FrameKind.ERROR
    assert (await client.submit(CancelOrder(1, 0, 5)))[0].sequence > before
    assert rig.host.sequencer.engine.trades() == 0


async def test_only_so_many_clients(loop: LoopKind) -> None:
    """One too many is told and closed; the others go on, and a place that is free is given."""
    async with running(loop=loop, limits=DoorLimits(max_connections=2)) as rig:
        first, second = await rig.client(), await rig.client()
        (answer,) = await _talk(rig)
        assert (answer.kind, answer.code) == (FrameKind.ERROR, FrameFault.STOPPING)
        assert (await first.submit(CancelOrder(1, 0, 5)))[0].sequence > 0
        await second.close()
        await rig.connected(1)
        third = await rig.client()
        assert (await third.submit(CancelOrder(1, 0, 5)))[0].sequence > 0


async def test_silence_does_not_keep_others_out(loop: LoopKind) -> None:
    """When all places are taken, who has not said HELLO for a while makes room for who comes."""
    limits = DoorLimits(max_connections=3, hurried_handshake_seconds=0.05)
    async with running(loop=loop, limits=limits) as rig:
        greeted = await rig.client()
        silent = [await asyncio.open_unix_connection(rig.socket) for _ in range(2)]
        await asyncio.sleep(2 * limits.hurried_handshake_seconds)
        client = await rig.client()
        for each in (client, greeted):
            assert (await each.submit(CancelOrder(1, 0, 5)))[0].sequence > 0
        for reader, writer in silent:
            (frame,) = FrameReader().feed(await reader.read())
            assert (frame.kind, frame.code) == (FrameKind.ERROR, FrameFault.HANDSHAKE_TIMEOUT)
            writer.close()


async def test_many_clients_at_once(rig: Rig) -> None:
    """As many as the door takes are each answered."""
    clients = await asyncio.gather(*(rig.client() for _ in range(DoorLimits().max_connections)))
    answers = await asyncio.gather(*(client.submit(CancelOrder(1, 0, 5)) for client in clients))
    sequences = {answer[0].sequence for answer in answers}
    assert len(sequences) == len(clients)


async def test_what_was_sent_stays_sent(rig: Rig) -> None:
    """A client that leaves without waiting for answers has its commands carried out."""
    cancel = encode_command(CancelOrder(1, 0, 5))
    before = rig.host.sequencer.sequence
    reader, writer = await asyncio.open_unix_connection(rig.socket)
    writer.write(_hello(rig))
    await reader.readexactly(HEADER.size)
    writer.write(b"".join(encode_frame(FrameKind.COMMANDS, n, cancel * 10) for n in range(50)))
    await writer.drain()
    writer.close()
    client = await rig.client()
    async with asyncio.timeout(30):
        while (await client.submit(CancelOrder(1, 0, 5)))[0].sequence < before + 500:
            pass
    await rig.connected(1)


async def test_time_passes_under_load_too(rig: Rig) -> None:
    """Whoever sends without a pause does not keep time from passing: marks age, and markets."""
    client = await rig.client()
    after = (await client.submit(CancelOrder(1, 0, 5)))[0].sequence
    async with asyncio.timeout(30):
        while not _has_ticked(rig, after):
            await client.submit(CancelOrder(1, 0, 5))
            await asyncio.sleep(0.005)


def _has_ticked(rig: Rig, after: int) -> bool:
    found = rig.host.sequencer.read_events(after, 1 << 20)
    return found is not None and bool((view_events(found.data)["type"] == EventType.TICKED).any())


async def test_the_tcp_door_is_the_same(rig: Rig) -> None:
    """A client over TCP greets, sends and is answered."""
    port = await rig.door.listen_tcp("127.0.0.1", 0)
    client = await EngineClient.connect(
        f"127.0.0.1:{port}", "gateway", rig.tokens.of("gateway"), timeout_seconds=30
    )
    assert (await client.submit(CancelOrder(1, 0, 5)))[0].sequence > 0
    await client.close()
