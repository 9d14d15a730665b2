"""Commands of the administration and of the sequencer itself, as the reference engine acts."""

from __future__ import annotations

from domain.commands import ListSymbol, Opcode
from domain.errors import RejectReason
from domain.events import EventType
from domain.order import ShardMode, SymbolState
from matching.admission import refuse_listing
from matching.book import Market
from matching.engine_state import EngineState
from matching.event_writer import EventWriter
from matching.wire import LIST_SYMBOL_FIELDS, LIST_SYMBOL_STRIPE, STRIPE

NO_KEY = bytes(16)
Head = tuple[int, int, int, int, int, int, int, int, int, bytes, int, int]


def list_symbol(
    state: EngineState, events: EventWriter, head: Head, batch: bytes, offset: int
) -> None:
    """Open a market."""
    values = LIST_SYMBOL_STRIPE.unpack_from(batch, offset + STRIPE)
    named = dict(zip((name for name, _ in LIST_SYMBOL_FIELDS), values, strict=True))
    rules = ListSymbol(
        symbol_id=head[6], base_units_per_lot=head[10], quote_units_per_tick_lot=head[11], **named
    )
    reason = refuse_listing(state, rules)
    if reason:
        events.rejected(Opcode.LIST_SYMBOL, reason, 0, NO_KEY, rules.symbol_id)
        return
    state.list_market(Market(rules))
    events.listed(rules)


def set_symbol_state(
    state: EngineState, events: EventWriter, head: Head, _batch: bytes, _offset: int
) -> None:
    """Open, restrict or halt a market."""
    symbol_id, value, code = head[6], head[10], head[11]
    market = state.markets.get(symbol_id)
    reason = RejectReason.NONE
    if not 0 <= value <= SymbolState.HALTED:
        reason = RejectReason.MALFORMED_COMMAND
    elif market is None:
        reason = RejectReason.UNKNOWN_SYMBOL
    if reason or market is None:
        events.rejected(Opcode.SET_SYMBOL_STATE, reason, 0, NO_KEY, symbol_id)
        return
    market.state = value
    events.pair(EventType.SYMBOL_STATE_SET, symbol_id, value, code)


def set_shard_mode(
    state: EngineState, events: EventWriter, head: Head, _batch: bytes, _offset: int
) -> None:
    """Open, restrict or halt the shard."""
    value, code = head[10], head[11]
    if not 0 <= value <= ShardMode.HALTED:
        events.rejected(Opcode.SET_SHARD_MODE, RejectReason.MALFORMED_COMMAND, 0, NO_KEY, 0)
        return
    state.mode = value
    events.pair(EventType.SHARD_MODE_SET, 0, value, code)


def started(
    state: EngineState, events: EventWriter, head: Head, _batch: bytes, _offset: int
) -> None:
    """Note who writes from here on."""
    state.epoch = head[10]
    events.pair(EventType.STARTED, 0, head[10], head[11])


def tick(
    _state: EngineState, events: EventWriter, _head: Head, _batch: bytes, _offset: int
) -> None:
    """Let time pass; the windows were expired before."""
    events.ticked()
