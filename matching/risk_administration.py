"""Commands about perpetual markets and seats: list, terms, state, leverage, margin mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.commands import ListSymbol
from domain.errors import RejectReason
from domain.limits import MAX_CANCELS
from domain.market_rules import MarketRules
from domain.opcode import Opcode
from domain.order import CloseReason, ShardMode, StateCause
from domain.perpetual_state import StateTrigger, in_shortfall_after, next_state
from domain.perpetual_terms import refuse_terms
from domain.risk_bounds import MAX_CASH_UNITS, MAX_VALUE_UNITS
from domain.risk_commands import FUND_ACCOUNT, Trigger
from matching.administration import Head, status_reason
from matching.book import Market, whole_lists
from matching.command_keys import answered, content_of, remember
from matching.engine_state import EngineState
from matching.market_codec import unpack_rules
from matching.market_rules import refuse_listing, refuse_perpetual_rules
from matching.perpetual import Perpetual, Seat
from matching.risk_codec import terms_extension, unpack_terms
from matching.scopes import perpetual_of, required_units, scope_symbol, spare_units

if TYPE_CHECKING:
    from matching.trading import Trading

_TRIGGERS = {
    Trigger.SHORTFALL: StateTrigger.SHORTFALL,
    Trigger.REDUCE: StateTrigger.REDUCE,
    Trigger.HALT: StateTrigger.HALT,
    Trigger.RESUME: StateTrigger.RESUME,
    Trigger.SETTLE: StateTrigger.SETTLE,
}


def list_perpetual(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Open a perpetual market."""
    state, events = engine.state, engine.events
    rules = unpack_rules(ListSymbol, (head[6], head[10], head[11]), batch, offset)
    terms = unpack_terms(terms_extension(batch, offset), 0)
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    reason = (
        refuse_listing(state, rules)
        or refuse_perpetual_rules(rules)
        or _refuse_collateral(state, rules)
        or refuse_terms(terms)
    )
    remember(state, reason, head, content)
    if reason:
        events.rejected(Opcode.LIST_PERPETUAL, reason, 0, head[9], rules.symbol_id)
        return
    perpetual = Perpetual(rules, terms)
    market = Market(rules, perpetual)
    state.list_market(market)
    events.listed(rules)
    events.risk_parameters_set(market, perpetual)


def _refuse_collateral(state: EngineState, rules: MarketRules) -> RejectReason:
    """Refuse a second collateral in a shard, and more of it than margin counts in."""
    if state.collateral not in (0, rules.quote_asset_id):
        return RejectReason.FIXED_PARAMETER
    if state.issued.get(rules.quote_asset_id, 0) > MAX_CASH_UNITS:
        return RejectReason.OVERFLOW
    return RejectReason.NONE


def set_risk_parameters(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Give a perpetual market other terms; positions and orders stay as they are."""
    state, events, symbol_id = engine.state, engine.events, head[6]
    terms = unpack_terms(terms_extension(batch, offset), 0)
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    market = state.markets.get(symbol_id)
    reason = _refuse_market(market) or refuse_terms(terms)
    remember(state, reason, head, content)
    if reason or market is None or market.perpetual is None:
        events.rejected(Opcode.SET_RISK_PARAMETERS, reason, 0, head[9], symbol_id)
        return
    market.perpetual.set_terms(terms)
    events.risk_parameters_set(market, market.perpetual)


def _refuse_market(market: Market | None) -> RejectReason:
    found = perpetual_of(market)
    return found if isinstance(found, RejectReason) else RejectReason.NONE


def set_perpetual_state(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Move a market to another state; a trigger that would change nothing is refused.

    A shortfall also changes a market that is halted already: from then on it gates the collateral.
    A market that is settled has its index for its mark from here on.
    """
    state, symbol_id, value = engine.state, head[6], head[10]
    said = status_reason(state, StateCause.OPERATOR, batch, offset)
    market = state.markets.get(symbol_id)
    reason = RejectReason.NONE
    if said is None or value not in list(Trigger):
        reason = RejectReason.MALFORMED_COMMAND
    reason = reason or _refuse_market(market)
    if not reason and market is not None and market.perpetual is not None:
        perpetual, trigger = market.perpetual, _TRIGGERS[Trigger(value)]
        before, had = perpetual.phase, perpetual.in_shortfall
        perpetual.in_shortfall = int(in_shortfall_after(bool(had), before, trigger))
        if next_state(before, trigger) is not before or perpetual.in_shortfall > had:
            perpetual.phase = next_state(before, trigger)
            engine.events.perpetual_state_set(market, before, trigger, said=said)
            if trigger is StateTrigger.SETTLE:
                _begin_settlement(engine, market, perpetual)
            return
        reason = RejectReason.STATE_UNCHANGED
    engine.events.rejected(Opcode.SET_PERPETUAL_STATE, reason, 0, head[9], symbol_id)


def _begin_settlement(engine: Trading, market: Market, perpetual: Perpetual) -> None:
    """Fix the mark at the last index, and cancel orders by id, as many as one command may.

    An index that open interest could not be counted at leaves the mark as it is.
    """
    value = perpetual.open_lots * perpetual.index_ticks * perpetual.units_per_tick_lot
    if 0 < value <= MAX_VALUE_UNITS:
        perpetual.mark_ticks = perpetual.index_ticks
    ids = sorted(order for mine in market.open_by_account.values() for order in mine)
    orders = [engine.state.orders[order_id] for order_id in ids]
    closing = whole_lists(orders, MAX_CANCELS)
    engine.close_all(closing, CloseReason.CANCELLED_BY_SETTLEMENT)


def set_leverage(engine: Trading, head: Head, _batch: bytes, _offset: int) -> None:
    """Choose a seat's leverage; what there is already must be covered at it."""
    symbol_id, account_id, leverage = head[6], head[8], head[10]
    market = engine.state.markets.get(symbol_id)
    reason = refuse_seat(engine.state, market, account_id)
    if not reason and market is not None and market.perpetual is not None:
        perpetual = market.perpetual
        seat = perpetual.look(account_id)
        previous = seat.leverage
        reason = _refuse_leverage(engine.state, market, perpetual, seat, leverage)
        if not reason:
            seat = perpetual.seat(account_id)
            seat.leverage = leverage
            engine.events.leverage_set(market, seat, previous)
            return
    engine.events.rejected(Opcode.SET_LEVERAGE, reason, account_id, head[9], symbol_id)


def refuse_seat(state: EngineState, market: Market | None, account_id: int) -> RejectReason:
    """Return why an account may not change how it sits in a market, or NONE."""
    if account_id in (0, FUND_ACCOUNT):
        return RejectReason.MALFORMED_COMMAND
    reason = _refuse_market(market)
    if reason or market is None:
        return reason
    if state.mode == ShardMode.HALTED:
        return RejectReason.SHARD_HALTED
    if state.is_frozen(account_id, scope_symbol(market, account_id)):
        return RejectReason.SCOPE_FROZEN
    return RejectReason.NONE


def _refuse_leverage(
    state: EngineState, market: Market, perpetual: Perpetual, seat: Seat, leverage: int
) -> RejectReason:
    if not 1 <= leverage <= perpetual.terms.max_leverage:
        return RejectReason.INVALID_LEVERAGE
    if not seat.is_used or leverage >= seat.leverage:
        return RejectReason.NONE
    previous, seat.leverage = seat.leverage, leverage
    symbol_id = scope_symbol(market, seat.account_id)
    required = required_units(state, seat.account_id, symbol_id)
    spare = spare_units(state, seat.account_id, symbol_id)
    seat.leverage = previous
    return RejectReason.NONE if spare >= required else RejectReason.INSUFFICIENT_MARGIN
