"""The bound between the engine and its settlement, on a real engine in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.commands import CancelAll, SetShardMode
from domain.events import ShardModeSet
from domain.order import ShardMode, StateCause
from infra.engine_backpressure import BEHIND, CAUGHT_UP, Backpressure
from infra.engine_roles import Role
from matching.codec import decode_events, encode_command, split_commands
from tests.infra.engine_rig import Rig, running

BOUND = 20


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Give a running engine."""
    async with running() as rig:
        yield rig


async def _write(rig: Rig, count: int) -> None:
    """Let `count` commands become durable."""
    cancels = b"".join(encode_command(CancelAll(1)) for _ in range(count))
    await rig.grpc("gateway").submit_bytes(cancels)
    await rig.host.wait_durable(rig.host.sequencer.sequence - 1, 5)


async def _settle(rig: Rig, behind: int) -> None:
    """Settlement says that it is `behind` commands behind."""
    sequencer = rig.host.sequencer
    sequencer.register_cursor("settlement.0", sequencer.durable_sequence - behind)


async def _look(rig: Rig, watch: Backpressure) -> ShardMode:
    """Let the watch look, and what it asks for happen."""
    watch.look()
    sequencer = rig.host.sequencer
    await asyncio.sleep(0.05)
    await rig.host.wait_durable(sequencer.sequence - 1, 5)
    await asyncio.sleep(0.05)
    return sequencer.engine.mode


async def test_beyond_the_bound_only_cancels_until_half_of_it(rig: Rig) -> None:
    """The mode is set beyond the bound, kept above half of it, and lifted below."""
    watch = Backpressure(rig.host, BOUND)
    engine = rig.host.sequencer.engine
    assert await _look(rig, watch) is ShardMode.NORMAL
    await _write(rig, BOUND + 1)
    assert watch.lag > BOUND
    assert await _look(rig, watch) is ShardMode.CANCEL_ONLY
    assert (engine.status.cause, engine.status.reason) == (StateCause.SETTLEMENT_BEHIND, BEHIND)
    set_at = engine.status.sequence
    assert await _look(rig, watch) is ShardMode.CANCEL_ONLY
    assert engine.status.sequence == set_at  # asked for once
    await _settle(rig, BOUND // 2 + 2)
    assert await _look(rig, watch) is ShardMode.CANCEL_ONLY
    await _settle(rig, 1)
    assert await _look(rig, watch) is ShardMode.NORMAL
    assert engine.status.reason == CAUGHT_UP


async def test_it_is_journalled_with_who_and_why(rig: Rig) -> None:
    """What the watch did is in the events, for whoever audits or replays."""
    await _write(rig, BOUND + 1)
    await _look(rig, Backpressure(rig.host, BOUND))
    ranges = [found async for found in rig.grpc().events(0)]
    events = [event for found in ranges for event in decode_events(found.data)]
    (event,) = [event for event in events if isinstance(event, ShardModeSet)]
    assert (event.mode, event.cause) == (ShardMode.CANCEL_ONLY, StateCause.SETTLEMENT_BEHIND)
    assert (event.actor, event.reason) == ("engine", BEHIND)


@pytest.mark.parametrize("mode", [ShardMode.CANCEL_ONLY, ShardMode.HALTED])
async def test_an_operators_mode_is_never_lifted(rig: Rig, mode: ShardMode) -> None:
    """Neither before nor after the lag was too long."""
    watch = Backpressure(rig.host, BOUND)
    await rig.grpc("admin").submit(SetShardMode(mode, StateCause.OPERATOR, "ada", "a drill"))
    assert await _look(rig, watch) is mode
    await _write(rig, BOUND + 1)
    assert await _look(rig, watch) is mode
    await _settle(rig, 0)
    assert await _look(rig, watch) is mode
    assert rig.host.sequencer.engine.status.actor == "ada"


async def test_the_engine_refuses_a_race_with_an_operator(rig: Rig) -> None:
    """A halt that overtakes the watch's command stands: the engine refuses to lift it."""
    watch = Backpressure(rig.host, BOUND)
    await _write(rig, BOUND + 1)
    await _look(rig, watch)
    await _settle(rig, 0)
    halt = encode_command(SetShardMode(ShardMode.HALTED, StateCause.OPERATOR, "ada", "a drill"))
    rig.host.submit(Role.ADMIN, halt, split_commands(halt), lambda _: None)
    assert await _look(rig, watch) is ShardMode.HALTED


async def test_without_a_bound_there_is_no_backpressure(rig: Rig) -> None:
    """A bound of 0 sets nothing, and lifts what an earlier bound had set."""
    await _write(rig, BOUND + 1)
    assert await _look(rig, Backpressure(rig.host, BOUND)) is ShardMode.CANCEL_ONLY
    free = Backpressure(rig.host, 0)
    assert await _look(rig, free) is ShardMode.NORMAL
    await _write(rig, 3 * BOUND)
    assert await _look(rig, free) is ShardMode.NORMAL
