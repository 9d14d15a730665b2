"""Commands of the administration and of the sequencer itself, as the reference engine acts."""

from __future__ import annotations

from domain.commands import ListSymbol, Opcode, SetParameters
from domain.errors import RejectReason
from domain.events import EventType
from domain.limits import MAX_FEE_TIERS
from domain.order import ShardMode, StateCause, SymbolState
from domain.trading_status import StatusReason
from matching.book import Market
from matching.command_keys import answered, content_of, remember
from matching.engine_state import EngineState
from matching.event_writer import EventWriter
from matching.market_codec import unpack_rules
from matching.market_rules import refuse_listing, refuse_parameters
from matching.wire import STATUS_STRIPES, STRIPE

Head = tuple[int, int, int, int, int, int, int, int, int, bytes, int, int]


def list_symbol(
    state: EngineState, events: EventWriter, head: Head, batch: bytes, offset: int
) -> None:
    """Open a market."""
    rules = unpack_rules(ListSymbol, (head[6], head[10], head[11]), batch, offset)
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    reason = refuse_listing(state, rules)
    remember(state, reason, head, content)
    if reason:
        events.rejected(Opcode.LIST_SYMBOL, reason, 0, head[9], rules.symbol_id)
        return
    state.list_market(Market(rules))
    events.listed(rules)


def set_parameters(
    state: EngineState, events: EventWriter, head: Head, batch: bytes, offset: int
) -> None:
    """Give a market new rules. Orders in its book stay, with the holds they have."""
    rules = unpack_rules(SetParameters, (head[6], head[10], head[11]), batch, offset)
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    market = state.markets.get(rules.symbol_id)
    reason = refuse_parameters(market, rules)
    remember(state, reason, head, content)
    if reason or market is None:
        events.rejected(Opcode.SET_PARAMETERS, reason, 0, head[9], rules.symbol_id)
        return
    events.parameters_set(rules, market.rules)
    market.rules = rules


def set_account_tier(
    state: EngineState, events: EventWriter, head: Head, _batch: bytes, _offset: int
) -> None:
    """Let an account pay the fees of another tier. Tier 0 is everybody's and kept nowhere."""
    account_id, tier = head[8], head[10]
    if answered(state, events, head, tier):
        return
    reason = RejectReason.NONE
    if account_id == 0:
        reason = RejectReason.MALFORMED_COMMAND
    elif not 0 <= tier < MAX_FEE_TIERS:
        reason = RejectReason.UNKNOWN_FEE_TIER
    remember(state, reason, head, tier)
    if reason:
        events.rejected(Opcode.SET_ACCOUNT_TIER, reason, account_id, head[9], 0)
        return
    previous = state.tiers.pop(account_id, 0)
    if tier:
        state.tiers[account_id] = tier
    events.tier_set(account_id, tier, previous)


def set_symbol_state(
    state: EngineState, events: EventWriter, head: Head, batch: bytes, offset: int
) -> None:
    """Open, restrict or halt a market."""
    symbol_id, value = head[6], head[10]
    market = state.markets.get(symbol_id)
    said = status_reason(state, head[11], batch, offset)
    reason = RejectReason.NONE
    if said is None or not 0 <= value <= SymbolState.HALTED:
        reason = RejectReason.MALFORMED_COMMAND
    elif market is None:
        reason = RejectReason.UNKNOWN_SYMBOL
    elif market.state == SymbolState.DELISTED:
        reason = RejectReason.SYMBOL_DELISTED
    if reason or market is None or said is None:
        events.rejected(Opcode.SET_SYMBOL_STATE, reason, 0, head[9], symbol_id)
        return
    market.state, market.status = value, said
    events.state_set(EventType.SYMBOL_STATE_SET, symbol_id, value, said)


def set_shard_mode(
    state: EngineState, events: EventWriter, head: Head, batch: bytes, offset: int
) -> None:
    """Open, restrict or halt the shard; who only minds settlement's lag lifts no other's mode."""
    value = head[10]
    said = status_reason(state, head[11], batch, offset)
    if said is None or not 0 <= value <= ShardMode.HALTED:
        events.rejected(Opcode.SET_SHARD_MODE, RejectReason.MALFORMED_COMMAND, 0, head[9], 0)
        return
    held = state.mode != ShardMode.NORMAL and state.status.cause is not said.cause
    if held and said.cause is StateCause.SETTLEMENT_BEHIND:
        events.rejected(Opcode.SET_SHARD_MODE, RejectReason.SHARD_MODE_HELD, 0, head[9], 0)
        return
    state.mode, state.status = value, said
    events.state_set(EventType.SHARD_MODE_SET, 0, value, said)


def status_reason(state: EngineState, cause: int, batch: bytes, offset: int) -> StatusReason | None:
    """Return who sets a state and why; None for an unknown cause or text that does not print."""
    texts = [text.rstrip(b"\0") for text in STATUS_STRIPES.unpack_from(batch, offset + STRIPE)]
    if not StateCause.NONE < cause <= StateCause.OPERATOR:
        return None
    if not all(32 <= byte < 127 for text in texts for byte in text):
        return None
    actor, reason = (text.decode("ascii") for text in texts)
    return StatusReason(StateCause(cause), state.sequence, state.time_us, actor, reason)


def started(
    state: EngineState, events: EventWriter, head: Head, _batch: bytes, _offset: int
) -> None:
    """Note who writes from here on."""
    state.epoch = head[10]
    events.started(head[10], head[11])


def tick(
    _state: EngineState, events: EventWriter, _head: Head, _batch: bytes, _offset: int
) -> None:
    """Let time pass; the windows were expired before."""
    events.ticked()
