"""Auto-deleveraging inside the engine: who stands opposite, and what a pair does to both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain import risk_events as e
from domain.auto_deleveraging import Deleveraging, Pair, Ranked, deleverage, rank, score_in
from domain.margin import Scope
from domain.order import CloseReason
from domain.risk_commands import FUND_ACCOUNT
from matching.perpetual import Perpetual
from matching.perpetual_trading import trim
from matching.scopes import add_cash, scope_of, scope_symbol

if TYPE_CHECKING:
    from matching.book import Market
    from matching.engine_state import EngineState
    from matching.trading import Trading


def ranked_against(
    state: EngineState, market: Market, perpetual: Perpetual, lots: int
) -> list[tuple[int, Scope]]:
    """Return (account, scope) of all who could be closed against a position of `lots`, in rank."""
    symbol_id = market.rules.symbol_id
    ranked, scopes = [], {}
    for account_id, seat in sorted(perpetual.seats.items()):
        if seat.lots == 0 or (seat.lots > 0) == (lots > 0):
            continue
        scope = scope_of(state, account_id, scope_symbol(market, account_id))
        score = score_in(scope, symbol_id)
        if score is None:
            continue
        scopes[account_id] = scope
        notional = abs(perpetual.notional_units(seat.lots))
        ranked.append(Ranked(account_id, abs(seat.lots), notional, score))
    return [(one.account_id, scopes[one.account_id]) for one in rank(ranked)]


def plan_for_fund(state: EngineState, market: Market, perpetual: Perpetual) -> Deleveraging:
    """Return how the fund's whole position is closed at its own bankruptcy price."""
    lots = perpetual.look(FUND_ACCOUNT).lots
    candidates = ranked_against(state, market, perpetual, lots)
    scope = scope_of(state, FUND_ACCOUNT, 0)
    plan = deleverage(scope, market.rules.symbol_id, -lots, candidates)
    assert plan.is_within_bound
    return plan


def apply_pairs(engine: Trading, market: Market, account_id: int, plan: Deleveraging) -> None:
    """Carry a plan out, pair by pair."""
    perpetual = market.perpetual
    assert perpetual is not None
    direction = -1 if perpetual.look(account_id).lots > 0 else 1
    for counterparty_id, pair in plan.pairs:
        apply_pair(engine, market, (account_id, counterparty_id), direction, pair)


def apply_pair(
    engine: Trading,
    market: Market,
    accounts: tuple[int, int],
    direction: int,
    pair: Pair,
    key: int = 0,
) -> None:
    """Close a pair of (liquidated, counterparty); `direction` is +1 when the liquidated buys.

    The counterparty's orders in the market are cancelled: they were made for another position.
    """
    state, perpetual = engine.state, market.perpetual
    assert perpetual is not None
    delta = direction * pair.lots
    first, second = perpetual.seat(accounts[0]), perpetual.seat(accounts[1])
    closed = perpetual.change(first, delta, -pair.quote_units)
    opposite = perpetual.change(second, -delta, pair.quote_units)
    add_cash(state, market, first, closed.realised_units)
    add_cash(state, market, second, opposite.realised_units)
    engine.events.say(
        e.Deleveraged,
        key=key,
        account_id=first.account_id,
        counterparty_id=second.account_id,
        symbol_id=market.rules.symbol_id,
        delta_lots=delta,
        quote_units=pair.quote_units,
        haircut_units=pair.haircut_units,
        lots=first.lots,
        cost_units=first.cost_units,
        realised_units=closed.realised_units,
        counterparty_lots=second.lots,
        counterparty_cost_units=second.cost_units,
        counterparty_realised_units=opposite.realised_units,
        isolated=first.is_isolated,
        counterparty_isolated=second.is_isolated,
    )
    for seat in (first, second):
        engine.note_scope(seat.account_id, scope_symbol(market, seat.account_id))
    orders = state.orders_of(second.account_id, market.rules.symbol_id)
    engine.close_all(orders, CloseReason.CANCELLED_BY_LIQUIDATION)
    trim(engine, market, perpetual, first.account_id)
