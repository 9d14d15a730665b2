"""Hypothesis strategies for commands and events: every field over its whole width."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args, get_type_hints

from hypothesis import strategies as st

from domain import commands, events
from domain.circuit_breaker import Trip
from domain.commands import Command, MarketRules, Opcode, PlaceOrder
from domain.errors import RejectReason
from domain.events import Event
from domain.fees import FeeRates, FeeTable
from domain.limits import MAX_FEE_TIERS
from domain.order import (
    CloseReason,
    ListKind,
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
from domain.perpetual_state import PerpetualState, StateTrigger
from domain.perpetual_terms import MAX_BRACKETS, MAX_SOURCES, NO_ROW, BracketRow, PerpetualTerms
from domain.risk_commands import MarginMode, Trigger
from matching.wire import MAX_LISTED, MIN_LISTED

_ENUMS = (
    Opcode,
    RejectReason,
    CloseReason,
    ListKind,
    OrderStatus,
    OrderType,
    SelfTrade,
    ShardMode,
    Side,
    StateCause,
    SymbolState,
    TimeInForce,
    TriggerSource,
    Trigger,
    MarginMode,
    PerpetualState,
    StateTrigger,
)
_I64 = st.integers(-(2**63), 2**63 - 1)
_U64 = st.integers(0, 2**64 - 1)
_U32 = st.integers(0, 2**32 - 1)
_I32 = st.integers(-(2**31), 2**31 - 1)
_U16 = st.integers(0, 2**16 - 1)
_ROW = st.builds(BracketRow, _I64, _I32, _I32).filter(lambda row: row != NO_ROW)
_FEES = st.tuples(*[st.builds(FeeRates, _I32, _I32)] * MAX_FEE_TIERS)
_TEXT = st.text("abcXYZ019._:-", max_size=36)
_PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "client_key": st.integers(0, 2**128 - 1),
    "key": st.integers(0, 2**128 - 1),
    "client_text": _TEXT,
    "actor": st.text(_PRINTABLE, max_size=32),
    "reason": st.text(_PRINTABLE, max_size=96),
    "index": _U16,
    "symbol_id": _U16,
    "asset_id": _U16,
    "base_asset_id": _U16,
    "quote_asset_id": _U16,
    "max_taker_fee_ppm": _I32,
    "previous_max_open_orders": _U32,
    "max_open_orders": _U32,
    "sequence": _U64,
    "account_id": _U64,
    "maker_account_id": _U64,
    "taker_account_id": _U64,
    "trade_id": _U64,
    "entry_order_id": _U64,
    "maker_order_id": _U64,
    "taker_order_id": _U64,
    "accepted_sequence": _U64,
    "first_sequence": _U64,
    "list_position": _U64,
    "counterparty_id": _U64,
    "expected_scope_version": st.integers(0, 2**63 - 1),
    "closed_count": st.integers(0, 2**63 - 1),
    "open_orders": st.integers(0, 2**63 - 1),
}


def _strategy(name: str, hint: Any, owner: type) -> st.SearchStrategy[Any]:
    if hint == Side | None:
        return st.none() | st.sampled_from(Side)
    if hint == FeeTable:
        return _FEES
    if hint is bool:
        return st.booleans()
    if hint == tuple[PlaceOrder, ...]:
        order = _build(PlaceOrder)
        return st.tuples(*[order] * MIN_LISTED) | st.tuples(*[order] * MAX_LISTED)
    if hint in _ENUMS:
        return st.sampled_from(list(hint))
    if hint == Trip | None:
        return st.none() | st.sampled_from(Trip)
    if hint == tuple[int, ...]:
        return st.tuples(*[_I64] * MAX_SOURCES)
    if hint == tuple[BracketRow, ...]:
        return st.lists(_ROW, max_size=MAX_BRACKETS).map(tuple)
    if hint in (PerpetualTerms, MarketRules):
        return _build(hint)
    if name == "order_id":  # a cancel names it in a signed field
        return st.integers(0, 2**63 - 1) if owner is commands.CancelOrder else _U64
    return _BY_NAME.get(name, _I64)


def _build(kind: type) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    named = {field.name: _strategy(field.name, hints[field.name], kind) for field in fields(kind)}
    return st.builds(kind, **named)


any_command: st.SearchStrategy[Command] = st.one_of(*map(_build, get_args(commands.Command)))
any_event: st.SearchStrategy[Event] = st.one_of(*map(_build, get_args(events.Event)))
