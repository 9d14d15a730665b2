"""Where a liquidation begins and ends: a scope is frozen, told as it is, and let go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain import risk_events as e
from domain.errors import RejectReason
from domain.limits import MAX_CANCELS
from domain.margin import is_liquidatable
from domain.opcode import Opcode
from domain.order import CloseReason, ShardMode
from domain.risk_commands import FUND_ACCOUNT
from matching.book import whole_lists
from matching.command_keys import NO_KEY, answered, content_of, remember
from matching.engine_state import EngineState
from matching.fund import Frozen
from matching.scopes import perpetual_of, scope_of, shortage_units

if TYPE_CHECKING:
    from matching.administration import Head
    from matching.trading import Trading


def say_scope(engine: Trading, account_id: int, symbol_id: int) -> None:
    """Say what a scope is now."""
    state = engine.state
    scope = scope_of(state, account_id, symbol_id)
    frozen = state.frozen.get((account_id, symbol_id))
    engine.events.say(
        e.ScopeState,
        account_id=account_id,
        symbol_id=symbol_id,
        version=frozen.version if frozen else 0,
        cash_units=scope.cash_units,
        equity_units=scope.equity_units,
        maintenance_units=scope.maintenance_units,
        shortage_units=shortage_units(state, account_id, symbol_id),
        frozen=frozen is not None,
    )


def refuse(
    engine: Trading, opcode: Opcode, reason: RejectReason, head: Head, symbol_id: int
) -> None:
    """Refuse a step; of a scope that is frozen, say what it is."""
    engine.events.rejected(opcode, reason, head[8], head[9], head[6])
    if engine.state.is_frozen(head[8], symbol_id):
        say_scope(engine, head[8], symbol_id)


def freeze(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Freeze a scope that is below its maintenance margin, and cancel its orders."""
    state, events = engine.state, engine.events
    symbol_id, account_id, key = head[6], head[8], head[9]
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    reason = _refuse_scope(state, head) or _refuse_freeze(state, account_id, symbol_id)
    remember(state, reason, head, content)
    if reason:
        refuse(engine, Opcode.FREEZE, reason, head, symbol_id)
        return
    orders = [
        order
        for order in state.orders_of(account_id, symbol_id)
        if symbol_id or not is_isolated(state, account_id, order.symbol_id)
    ]
    going = whole_lists(orders, MAX_CANCELS)
    state.frozen[account_id, symbol_id] = Frozen(state.sequence, key, state.time_us)
    events.say(
        e.ScopeFrozen,
        key=int.from_bytes(key, "little"),
        account_id=account_id,
        symbol_id=symbol_id,
        closed_count=len(going),
    )
    engine.close_all(going, CloseReason.CANCELLED_BY_LIQUIDATION)
    say_scope(engine, account_id, symbol_id)


def is_isolated(state: EngineState, account_id: int, symbol_id: int) -> bool:
    """Return whether an account's position in a market is on isolated margin."""
    perpetual = state.markets[symbol_id].perpetual
    return perpetual is not None and perpetual.look(account_id).is_isolated


def _refuse_scope(state: EngineState, head: Head) -> RejectReason:
    """Return why a scope of this name is none that can be liquidated, or NONE."""
    symbol_id, account_id, key = head[6], head[8], head[9]
    if key == NO_KEY or account_id in (0, FUND_ACCOUNT):
        return RejectReason.MALFORMED_COMMAND
    if state.mode == ShardMode.HALTED:
        return RejectReason.SHARD_HALTED
    found = perpetual_of(state.markets.get(symbol_id)) if symbol_id else None
    if isinstance(found, RejectReason):
        return found
    if symbol_id and not is_isolated(state, account_id, symbol_id):
        return RejectReason.NOT_ISOLATED
    return RejectReason.NONE


def _refuse_freeze(state: EngineState, account_id: int, symbol_id: int) -> RejectReason:
    if state.is_frozen(account_id, symbol_id):
        return RejectReason.SCOPE_FROZEN
    if not is_liquidatable(scope_of(state, account_id, symbol_id)):
        return RejectReason.NOT_LIQUIDATABLE
    return RejectReason.NONE


def unfreeze(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Let a scope go that is flat, or above its maintenance margin and buffer."""
    state, events = engine.state, engine.events
    symbol_id, account_id, key = head[6], head[8], head[9]
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    frozen = state.frozen.get((account_id, symbol_id))
    reason = _refuse_scope(state, head)
    if not reason and frozen is None:
        reason = RejectReason.SCOPE_NOT_FROZEN
    elif not reason and frozen is not None and frozen.version != head[10]:
        reason = RejectReason.SCOPE_CHANGED
    elif not reason and shortage_units(state, account_id, symbol_id) > 0:
        reason = RejectReason.STILL_LIQUIDATABLE
    remember(state, reason, head, content)
    if reason:
        refuse(engine, Opcode.UNFREEZE, reason, head, symbol_id)
        return
    del state.frozen[account_id, symbol_id]
    number = int.from_bytes(key, "little")
    events.say(e.ScopeUnfrozen, key=number, account_id=account_id, symbol_id=symbol_id)
    say_scope(engine, account_id, symbol_id)
