"""What the insurance fund can take over, and whether its drawdown has stopped it."""

from __future__ import annotations

from domain.errors import RejectReason
from domain.insurance import AdlReason, drawdown_ppm, drawdown_stop, has_resumed, takeover_lots
from domain.liquidation import RiskRefusal, bankruptcy_quote_units
from domain.margin import Scope
from domain.position import after_fill
from domain.risk_commands import FUND_ACCOUNT
from matching.engine_state import EngineState
from matching.perpetual import Perpetual
from matching.scopes import perpetuals


def fund_units(state: EngineState) -> int:
    """Return the fund's cash."""
    return state.total_units(FUND_ACCOUNT, state.collateral)


def note_fund(state: EngineState) -> None:
    """Remember the fund's cash as it is now, and in which markets its drawdown stops it."""
    cash = fund_units(state)
    state.fund.note(cash, state.time_us)
    for _, perpetual in perpetuals(state):
        perpetual.fund_stopped = int(_stops(state, perpetual, cash))


def _stops(state: EngineState, perpetual: Perpetual, cash: int) -> bool:
    """Return whether the fund stops in a market, or goes on having stopped."""
    drawdown = drawdown_ppm(cash, state.fund.highest_units(state.time_us))
    terms = perpetual.terms
    if perpetual.fund_stopped:
        return not has_resumed(cash, drawdown, resume_ppm=terms.fund_resume_ppm)
    stop = drawdown_stop(cash, drawdown, threshold_units=0, stop_ppm=terms.fund_stop_ppm)
    return stop is AdlReason.DRAWDOWN


def takeover_capacity(
    state: EngineState, scope: Scope, symbol_id: int, lots: int
) -> tuple[int, RejectReason]:
    """Return how many of `lots` of a liquidated position the fund takes over, or why none.

    As many whole lots as its cash and its cap allow; none where what it realises against a
    position of its own would cost more than it has.
    """
    perpetual = state.markets[symbol_id].perpetual
    exposure = scope.of(symbol_id)
    assert perpetual is not None
    assert exposure is not None
    cash = fund_units(state)
    if cash <= 0:
        return 0, RejectReason.FUND_POOL_EMPTY
    if perpetual.fund_stopped and _stops(state, perpetual, cash):
        return 0, RejectReason.FUND_DRAWDOWN
    own = perpetual.look(FUND_ACCOUNT)
    cap = perpetual.terms.fund_cap_ppm
    most = takeover_lots(scope, symbol_id, balance_units=cash, fund_lots=own.lots, cap_ppm=cap)
    assert not isinstance(most, RiskRefusal)
    lots = min(lots, most)
    if lots == 0:
        return 0, RejectReason.FUND_AT_CAPACITY
    delta = -lots if exposure.position.lots > 0 else lots
    quote = bankruptcy_quote_units(scope, symbol_id, delta)
    assert not isinstance(quote, RiskRefusal)
    if cash + after_fill(own.position, -delta, quote).realised_units < 0:
        return 0, RejectReason.FUND_CANNOT_PAY
    return lots, RejectReason.NONE
