"""The end of a perpetual market: every position is closed at its final index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain import risk_events as e
from domain.auto_deleveraging import Deleveraging, deleverage
from domain.errors import RejectReason
from domain.margin import Scope
from domain.opcode import Opcode
from domain.perpetual_state import PerpetualState
from domain.risk_commands import FUND_ACCOUNT
from matching.command_keys import answered, content_of, remember
from matching.deleveraging import apply_pairs, ranked_against
from matching.fund_capacity import fund_units
from matching.perpetual import Perpetual
from matching.scopes import add_cash, perpetual_for_key, scope_of, scope_symbol
from matching.wire import MAX_EVENTS_PER_COMMAND

if TYPE_CHECKING:
    from matching.administration import Head
    from matching.book import Market
    from matching.engine_state import EngineState
    from matching.trading import Trading

Plans = list[tuple[int, Deleveraging]]


def settle_market(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Close all positions: those of insolvent scopes against others, then all at the mark."""
    state, events, symbol_id = engine.state, engine.events, head[6]
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    market = state.markets.get(symbol_id)
    reason = _refuse_settlement(state, market, head)
    plans: Plans = []
    if not reason and market is not None and market.perpetual is not None:
        reason, plans = _plan(state, market, market.perpetual)
    remember(state, reason, head, content)
    if reason or market is None or market.perpetual is None:
        events.rejected(Opcode.SETTLE_MARKET, reason, 0, head[9], symbol_id)
        return
    left = _left(market.perpetual, plans)
    events.say(
        e.MarketSettled,
        key=int.from_bytes(head[9], "little"),
        symbol_id=symbol_id,
        price_ticks=market.perpetual.mark_ticks,
        entries=len(left),
    )
    for account_id, plan in plans:
        apply_pairs(engine, market, account_id, plan)
    for account_id in left:
        _close(engine, market, market.perpetual, account_id)


def _refuse_settlement(state: EngineState, market: Market | None, head: Head) -> RejectReason:
    found = perpetual_for_key(state, market, head[9])
    if isinstance(found, RejectReason):
        return found
    market, perpetual = found
    if perpetual.phase is not PerpetualState.SETTLEMENT:
        return RejectReason.NOT_SETTLING
    return RejectReason.ORDERS_OPEN if market.open_by_account else RejectReason.NONE


def _plan(state: EngineState, market: Market, perpetual: Perpetual) -> tuple[RejectReason, Plans]:
    """Return how the positions of insolvent scopes end, by account; refused if one cannot.

    Each is planned on what the ones before it left.
    """
    symbol_id, plans = market.rules.symbol_id, []
    changed: dict[int, Scope] = {}
    for account_id, seat in sorted(perpetual.seats.items()):
        scope = changed.get(account_id)
        if scope is None:
            scope = scope_of(state, account_id, scope_symbol(market, account_id))
        exposure = scope.of(symbol_id)
        if exposure is None or scope.equity_units >= 0:
            continue
        candidates = [
            (other, changed.get(other, found))
            for other, found in ranked_against(state, market, perpetual, seat.lots)
        ]
        plan = deleverage(scope, symbol_id, -exposure.position.lots, candidates)
        if plan.unallocated_lots:
            return RejectReason.COUNTERPARTY_WOULD_BE_INSOLVENT, []
        assert plan.is_within_bound
        changed[account_id] = plan.liquidated
        changed.update((other, pair.counterparty) for other, pair in plan.pairs)
        plans.append((account_id, plan))
    count = sum(len(plan.pairs) for _, plan in plans) + len(_left(perpetual, plans))
    if count >= MAX_EVENTS_PER_COMMAND:
        return RejectReason.OVERFLOW, []
    return _refuse_fund(state, market, perpetual, changed), plans


def _refuse_fund(
    state: EngineState, market: Market, perpetual: Perpetual, changed: dict[int, Scope]
) -> RejectReason:
    """Refuse a settlement that would leave the fund with less than nothing."""
    cash, exposure = fund_units(state), None
    if FUND_ACCOUNT in changed:
        cash = changed[FUND_ACCOUNT].cash_units
        exposure = changed[FUND_ACCOUNT].of(market.rules.symbol_id)
    elif perpetual.look(FUND_ACCOUNT).lots:
        seat = perpetual.look(FUND_ACCOUNT)
        exposure = perpetual.exposure(market.rules.symbol_id, seat)
    after = cash + (exposure.unrealised_units if exposure else 0)
    return RejectReason.NONE if after >= 0 else RejectReason.FUND_CANNOT_PAY


def _left(perpetual: Perpetual, plans: Plans) -> list[int]:
    """Return who still has a position after the plans, by account."""
    lots = {account_id: seat.lots for account_id, seat in perpetual.seats.items()}
    for account_id, plan in plans:
        for other, change in plan.lots_by_account(account_id).items():
            lots[other] += change
    return sorted(account_id for account_id, left in lots.items() if left)


def _close(engine: Trading, market: Market, perpetual: Perpetual, account_id: int) -> None:
    """Close one position at the mark."""
    seat = perpetual.seat(account_id)
    lots, cost = seat.lots, seat.cost_units
    changed = perpetual.change(seat, -lots, -perpetual.notional_units(lots))
    add_cash(engine.state, market, seat, changed.realised_units)
    engine.note_scope(account_id, scope_symbol(market, account_id))
    engine.events.say(
        e.PositionSettled,
        symbol_id=market.rules.symbol_id,
        account_id=account_id,
        lots=lots,
        cost_units=cost,
        realised_units=changed.realised_units,
        isolated=seat.is_isolated,
    )
