"""Isolated margin: a position with cash of its own, and how cash comes to it and leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain import risk_events as e
from domain.errors import RejectReason
from domain.opcode import Opcode
from domain.order import ShardMode
from domain.risk_commands import FUND_ACCOUNT, MarginMode
from matching.command_keys import NO_KEY, answered, content_of, remember
from matching.money_admission import money_syntax
from matching.risk_administration import refuse_seat
from matching.scopes import free_units, leaving_units, perpetual_of

if TYPE_CHECKING:
    from matching.administration import Head
    from matching.book import Market
    from matching.engine_state import EngineState
    from matching.perpetual import Seat
    from matching.trading import Trading


def set_margin_mode(engine: Trading, head: Head, _batch: bytes, _offset: int) -> None:
    """Choose what backs a position, while there is none and no order."""
    symbol_id, account_id, mode = head[6], head[8], head[10]
    market = engine.state.markets.get(symbol_id)
    reason = refuse_seat(engine.state, market, account_id)
    if not reason and mode not in list(MarginMode):
        reason = RejectReason.MALFORMED_COMMAND
    if not reason and market is not None and market.perpetual is not None:
        is_open = account_id in market.open_by_account or market.perpetual.look(account_id).lots
        if not is_open:
            _choose(engine, market, market.perpetual.seat(account_id), MarginMode(mode))
            return
        reason = RejectReason.POSITION_OPEN
    engine.events.rejected(Opcode.SET_MARGIN_MODE, reason, account_id, head[9], symbol_id)


def _choose(engine: Trading, market: Market, seat: Seat, mode: MarginMode) -> None:
    released = seat.margin_units if mode is MarginMode.CROSS else 0
    seat.is_isolated = mode is MarginMode.ISOLATED
    if released:
        seat.margin_units = 0
        engine.state.balance(seat.account_id, market.rules.quote_asset_id)[0] += released
        engine.note_scope(seat.account_id, 0)
    engine.events.margin_mode_set(market, seat, released)


def move_margin(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Move cash between an account and its isolated position."""
    state, events = engine.state, engine.events
    symbol_id, account_id, amount = head[6], head[8], head[10]
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    market = state.markets.get(symbol_id)
    reason = _refuse_move(state, market, head)
    remember(state, reason, head, content)
    if reason or market is None or market.perpetual is None:
        events.rejected(Opcode.MOVE_MARGIN, reason, account_id, head[9], symbol_id)
        return
    seat = market.perpetual.seat(account_id)
    seat.margin_units += amount
    state.balance(account_id, market.rules.quote_asset_id)[0] -= amount
    engine.note_scope(account_id, 0)
    engine.note_scope(account_id, symbol_id)
    events.say(
        e.MarginMoved,
        key=int.from_bytes(head[9], "little"),
        account_id=account_id,
        symbol_id=symbol_id,
        amount_units=amount,
        margin_units=seat.margin_units,
    )


def _refuse_move(state: EngineState, market: Market | None, head: Head) -> RejectReason:
    symbol_id, account_id, amount, created_at_us = head[6], head[8], head[10], head[11]
    if head[9] == NO_KEY or account_id == FUND_ACCOUNT:
        return RejectReason.MALFORMED_COMMAND
    found = perpetual_of(market)
    if isinstance(found, RejectReason):
        return found
    market, perpetual = found
    asset_id = market.rules.quote_asset_id
    reason = money_syntax(state, account_id, asset_id, abs(amount), created_at_us)
    if reason:
        return reason
    if state.mode == ShardMode.HALTED:
        return RejectReason.SHARD_HALTED
    if not perpetual.look(account_id).is_isolated:
        return RejectReason.NOT_ISOLATED
    if amount > 0:
        enough = free_units(state, account_id, asset_id) >= amount
    else:
        enough = leaving_units(state, account_id, symbol_id) >= -amount
    return RejectReason.NONE if enough else RejectReason.INSUFFICIENT_FUNDS
