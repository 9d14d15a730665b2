"""What each command is answered in a shard that is restricted: a table with all of them in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.commands import Command, SetShardMode
from domain.errors import RejectReason as R
from domain.events import CommandRejected
from domain.opcode import Opcode
from domain.order import ShardMode, StateCause
from matching.codec import decode_events, encode_command
from matching.engine import Engine, create_engine, restore_engine
from tests.matching.perpetual_samples import PAUSES
from tests.matching.samples import session

pytestmark = pytest.mark.usefixtures("each_engine")

_RUNS = (R.NONE, R.NONE)
_STOPS_HALTED = (R.NONE, R.SHARD_HALTED)
_STOPS = (R.SHARD_CANCEL_ONLY, R.SHARD_HALTED)

TABLE: dict[Opcode, tuple[R, R]] = {
    # what trades, or could
    Opcode.PLACE_ORDER: _STOPS,
    Opcode.PLACE_ORDER_LIST: _STOPS,
    Opcode.AMEND_ORDER: _STOPS,
    # what an account does with what it has
    Opcode.CANCEL_ORDER: _STOPS_HALTED,
    Opcode.CANCEL_ALL: _STOPS_HALTED,
    Opcode.SET_LEVERAGE: _STOPS_HALTED,
    Opcode.SET_MARGIN_MODE: _STOPS_HALTED,
    Opcode.MOVE_MARGIN: _STOPS_HALTED,
    # money that comes in must not be lost, what goes out can wait
    Opcode.CREDIT: _RUNS,
    Opcode.DEBIT: _STOPS_HALTED,
    Opcode.TOP_UP_FUND: _RUNS,
    Opcode.SWEEP_DUST: _RUNS,
    # liquidation and funding: nothing moves in a halted shard
    Opcode.SETTLE_FUNDING: _STOPS_HALTED,
    Opcode.FREEZE: _STOPS_HALTED,
    Opcode.UNFREEZE: _STOPS_HALTED,
    Opcode.LIQUIDATE: _STOPS_HALTED,
    Opcode.TAKE_OVER: _STOPS_HALTED,
    Opcode.DELEVERAGE: _STOPS_HALTED,
    Opcode.UNWIND: _STOPS_HALTED,
    Opcode.SETTLE_MARKET: _STOPS_HALTED,
    # what is known of the world, what protects, and what the administration says, is always heard
    Opcode.SET_DEAD_MANS_SWITCH: _RUNS,
    Opcode.SET_INDEX: _RUNS,
    Opcode.LIST_PERPETUAL: _RUNS,
    Opcode.SET_RISK_PARAMETERS: _RUNS,
    Opcode.SET_PERPETUAL_STATE: _RUNS,
    Opcode.LIST_SYMBOL: _RUNS,
    Opcode.SET_SYMBOL_STATE: _RUNS,
    Opcode.SET_SHARD_MODE: _RUNS,
    Opcode.SET_PARAMETERS: _RUNS,
    Opcode.SET_ACCOUNT_TIER: _RUNS,
    Opcode.DELIST_SYMBOL: _RUNS,
    Opcode.STARTED: _RUNS,
    Opcode.TICK: _RUNS,
}
"""By opcode: why a command that runs in a shard without restriction is refused in one that only
cancels, and in one that is halted."""

MODES = (ShardMode.CANCEL_ONLY, ShardMode.HALTED)


def _apply(engine: Engine, command: Command, time_us: int) -> R:
    """Apply a command with the next number; return why it was refused, or NONE."""
    raw = encode_command(command, sequence=engine.sequence + 1, time_us=time_us)
    head = next(iter(decode_events(engine.apply(raw))))
    return head.reason if isinstance(head, CommandRejected) else R.NONE


def _in_mode(engine: Engine, mode: ShardMode, command: Command, time_us: int) -> R:
    """Return what the command is answered by a copy of the engine whose shard is restricted."""
    copy = restore_engine(engine.snapshot())
    _apply(copy, SetShardMode(mode, StateCause.OPERATOR), time_us)
    return _apply(copy, command, time_us)


def test_every_command_in_every_mode() -> None:
    """Each kind's first command that runs is tried again in a copy that is restricted."""
    engine, time_us, found = create_engine(), 1_000, dict[Opcode, tuple[R, ...]]()
    for name, command in session():
        time_us += 1 + PAUSES.get(name, 0)
        opcode = command.opcode
        before = restore_engine(engine.snapshot()) if opcode not in found else None
        if isinstance(command, SetShardMode):
            found[opcode] = _RUNS
            command = replace(command, mode=ShardMode.NORMAL)
        if _apply(engine, command, time_us) is R.NONE and before is not None:
            found[opcode] = tuple(_in_mode(before, mode, command, time_us) for mode in MODES)
    assert found == TABLE
    assert set(TABLE) == set(Opcode)
