"""The steps of a liquidation, as the reference engine takes them: one command, one atomic step.

Every precondition is checked here again, whoever asks; a refused step changes nothing, and is told
the scope as it is when that is frozen. One that expects another version of it is SCOPE_CHANGED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from domain import risk_events as e
from domain.auto_deleveraging import settle_pair
from domain.errors import RejectReason
from domain.insurance import is_taken_over
from domain.limits import MAX_MAKERS, SWEEP_ROOM
from domain.liquidation import (
    RiskRefusal,
    bankruptcy_quote_units,
    insurance_delta_units,
    is_closing,
    limit_price_ticks,
    slice_range,
)
from domain.margin import Scope
from domain.opcode import Opcode
from domain.order import CloseReason, OrderType, ShardMode, Side, TimeInForce
from domain.order_guards import PriceBand, liquidation_limit_ticks
from domain.perpetual_state import Liquidations, liquidations_in
from domain.risk_bounds import MAX_PRICE_TICKS
from domain.risk_commands import FUND_ACCOUNT
from matching.book import Market, Order
from matching.command_keys import NO_KEY, answered, content_of, remember
from matching.deleveraging import apply_pair
from matching.engine_state import EngineState
from matching.freezing import is_isolated, refuse, say_scope
from matching.fund import Frozen
from matching.fund_capacity import fund_units, takeover_capacity
from matching.perpetual import REDUCE_ONLY, SECOND_US, Perpetual
from matching.perpetual_trading import fill_perpetual
from matching.risk_wire import STEP_STRIPE
from matching.ruin import ruins
from matching.scopes import (
    add_cash,
    marks_are_fresh,
    perpetual_of,
    scope_of,
    scope_symbol,
    shortage_units,
)
from matching.wire import STRIPE, order_flags

if TYPE_CHECKING:
    from matching.administration import Head
    from matching.trading import Trading

_NONE = RejectReason.NONE


class Step(NamedTuple):
    """A step that may be taken: on which position of which frozen scope."""

    market: Market
    perpetual: Perpetual
    account_id: int
    symbol_id: int  # the scope's: 0 for cross
    frozen: Frozen
    scope: Scope
    delta_lots: int  # what is asked to close, signed


# -- what every step that closes a position has to pass -----------------------------------


def begin(state: EngineState, head: Head, version: int) -> Step | RejectReason:
    """Return the step that a command asks for, or why it may not be taken."""
    symbol_id, account_id, key, lots = head[6], head[8], head[9], head[10]
    if key == NO_KEY or account_id in (0, FUND_ACCOUNT):
        return RejectReason.MALFORMED_COMMAND
    if state.mode == ShardMode.HALTED:
        return RejectReason.SHARD_HALTED
    found = perpetual_of(state.markets.get(symbol_id))
    if isinstance(found, RejectReason):
        return found
    market, perpetual = found
    of_scope = scope_symbol(market, account_id)
    frozen = state.frozen.get((account_id, of_scope))
    if frozen is None:
        return RejectReason.SCOPE_NOT_FROZEN
    if frozen.version != version:
        return RejectReason.SCOPE_CHANGED
    fresh = marks_are_fresh(state, account_id, of_scope)
    reason = refuse_phase(perpetual, is_fresh=fresh and perpetual.is_fresh(state.time_us))
    if reason:
        return reason
    scope = scope_of(state, account_id, of_scope)
    delta = -lots if perpetual.look(account_id).lots > 0 else lots
    if lots <= 0 or not is_closing(scope.of(symbol_id), delta):
        return RejectReason.INVALID_POSITION_DELTA
    if shortage_units(state, account_id, of_scope) <= 0:
        return RejectReason.NOT_LIQUIDATABLE
    return Step(market, perpetual, account_id, of_scope, frozen, scope, delta)


def refuse_phase(perpetual: Perpetual, *, is_fresh: bool) -> RejectReason:
    """Return why positions may not be closed in a market now, or NONE."""
    return {
        Liquidations.RUN: _NONE,
        Liquidations.PREPARE: RejectReason.MARK_STALE,
        Liquidations.PAUSED: RejectReason.MARKET_HALTED,
        Liquidations.FINAL: RejectReason.MARKET_SETTLING,
    }[liquidations_in(perpetual.phase, mark_is_fresh=is_fresh)]


def _used_up_slices(state: EngineState, step: Step) -> bool:
    """Return whether a liquidation has had its slices, or its time for them."""
    terms = step.perpetual.terms
    waited_us = state.time_us - step.frozen.since_us
    return step.frozen.slices >= terms.max_slices or waited_us >= terms.slices_seconds * SECOND_US


def _refuse_takeover(state: EngineState, step: Step) -> RejectReason:
    """Return why a position has to be offered to the book first, or NONE."""
    slices_left = 0 if _used_up_slices(state, step) else 1
    ends = is_taken_over(
        step.scope.equity_units,
        step.scope.maintenance_units,
        slices_left=slices_left,
        threshold_ppm=step.perpetual.terms.takeover_ppm,
    )
    return _NONE if ends else RejectReason.TAKEOVER_TOO_EARLY


# -- the book -----------------------------------------------------------------------------


def liquidate(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Close some of a position in the book, at once, and no worse than it may."""
    state, events = engine.state, engine.events
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    version, _ = STEP_STRIPE.unpack_from(batch, offset + STRIPE)
    step = begin(state, head, version)
    may_pay, asked = bool(head[7] & 1), head[11]
    limit = 0
    reason = step if isinstance(step, RejectReason) else _NONE
    if not isinstance(step, RejectReason):
        found = _slice_limit_ticks(step, asked, fund_may_pay=may_pay)
        reason = found if isinstance(found, RejectReason) else _NONE
        limit = 0 if isinstance(found, RejectReason) else found
    remember(state, reason, head, content)
    if reason or isinstance(step, RejectReason):
        refuse_step(engine, Opcode.LIQUIDATE, reason, head)
        return
    order = closing_order(state, step.market, step.account_id, step.delta_lots, limit)
    step.frozen.slices += 1
    events.say(
        e.LiquidationPlaced,
        key=int.from_bytes(head[9], "little"),
        account_id=step.account_id,
        symbol_id=head[6],
        order_id=order.order_id,
        side=Side(order.side),
        lots=order.quantity_lots,
        limit_ticks=limit,
        fund_may_pay=may_pay,
    )
    _sell_off(engine, step, order, fund_may_pay=may_pay)
    step.frozen.version = state.sequence
    say_scope(engine, step.account_id, step.symbol_id)


def _slice_limit_ticks(step: Step, asked_ticks: int, *, fund_may_pay: bool) -> int | RejectReason:
    """Return the worst price of a slice, or why it is none."""
    exposure = step.scope.of(step.market.rules.symbol_id)
    assert exposure is not None
    least, most = slice_range(exposure, step.perpetual.terms.slices)
    if not least <= abs(step.delta_lots) <= most:
        return RejectReason.OUTSIDE_SLICE_LIMITS
    return _limit_ticks(step, asked_ticks, fund_may_pay=fund_may_pay)


def _limit_ticks(step: Step, asked_ticks: int, *, fund_may_pay: bool) -> int | RejectReason:
    """Return the worst price of a liquidation: the strictest of what is asked, band, bankruptcy."""
    if not 0 <= asked_ticks <= MAX_PRICE_TICKS:
        return RejectReason.INVALID_PRICE
    side = Side.SELL if step.delta_lots < 0 else Side.BUY
    band = PriceBand(*step.market.band())
    worst = band.lowest_ticks if side is Side.SELL else band.highest_ticks
    if asked_ticks:
        worst = liquidation_limit_ticks(band, side, asked_ticks)
    if fund_may_pay:
        return worst
    symbol_id = step.market.rules.symbol_id
    quote = bankruptcy_quote_units(step.scope, symbol_id, step.delta_lots)
    assert not isinstance(quote, RiskRefusal)
    units = step.perpetual.units_per_tick_lot
    limit = limit_price_ticks(side, quote, abs(step.delta_lots), units)
    if limit is None:
        return RejectReason.ZERO_FILL
    return max(worst, limit) if side is Side.SELL else min(worst, limit)


def closing_order(
    state: EngineState, market: Market, account_id: int, delta_lots: int, limit_ticks: int
) -> Order:
    """Return an order of the engine's own: immediate, reduce-only, in no window."""
    side = Side.SELL if delta_lots < 0 else Side.BUY
    flags = order_flags(side, OrderType.LIMIT, TimeInForce.IOC, False, 0) | REDUCE_ONLY
    order = Order(account_id, b"", market.rules.symbol_id, flags, limit_ticks, abs(delta_lots), b"")
    order.order_id = state.shard << 48 | state.next_order
    state.next_order += 1
    return order


def makers(engine: Trading, market: Market, taker: Order) -> Order | None:
    """Return whom a closing order meets next.

    Orders of its own account give way, and those that a fill would ruin.
    """
    side = market.sides[1 - taker.side]
    for _ in range(MAX_MAKERS):
        maker = side.first(taker.limit_ticks * side.sign)
        if maker is None:
            return None
        lots = min(taker.quantity_lots - taker.filled_lots, maker.shown_lots)
        if maker.account_id == taker.account_id:
            engine.close_resting(market, maker, CloseReason.SELF_TRADE)
        elif ruins(engine.state, market, maker, maker, lots, pays_rebates=False):
            engine.close_resting(market, maker, CloseReason.INSUFFICIENT_MARGIN)
        else:
            return maker
    return None


def _sell_off(engine: Trading, step: Step, taker: Order, *, fund_may_pay: bool) -> None:
    """Let a liquidation meet the book; each fill is checked before it is made."""
    state, market = engine.state, step.market
    symbol_id, units = market.rules.symbol_id, step.perpetual.units_per_tick_lot
    direction = 1 if step.delta_lots > 0 else -1
    for _ in range(MAX_MAKERS):
        missing = taker.quantity_lots - taker.filled_lots
        maker = makers(engine, market, taker) if missing else None
        if maker is None or engine.events.index > SWEEP_ROOM:
            return
        lots = min(missing, maker.shown_lots)
        scope = scope_of(state, step.account_id, step.symbol_id)
        quote = bankruptcy_quote_units(scope, symbol_id, direction * lots)
        assert not isinstance(quote, RiskRefusal)
        brought = -direction * maker.price_ticks * lots * units
        fee_ppm = step.perpetual.terms.liquidation_fee_ppm
        insurance = insurance_delta_units(brought, quote, fee_ppm)
        if insurance < 0 and not (fund_may_pay and fund_units(state) + insurance >= 0):
            return
        fill_perpetual(engine, market, maker, taker, lots, insurance)


# -- the fund, and the other side ---------------------------------------------------------


def take_over(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Let the fund buy what it can of a position, at the bankruptcy quote."""
    state, events = engine.state, engine.events
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    version, _ = STEP_STRIPE.unpack_from(batch, offset + STRIPE)
    step = begin(state, head, version)
    lots = 0
    if isinstance(step, RejectReason):
        reason = step
    else:
        reason = _refuse_takeover(state, step)
        if not reason:
            asked = abs(step.delta_lots)
            lots, reason = takeover_capacity(state, step.scope, head[6], asked)
    remember(state, reason, head, content)
    if reason or isinstance(step, RejectReason):
        refuse_step(engine, Opcode.TAKE_OVER, reason, head)
        return
    delta = lots if step.delta_lots > 0 else -lots
    _take(engine, step, delta, int.from_bytes(head[9], "little"))
    step.frozen.version = state.sequence
    say_scope(engine, step.account_id, step.symbol_id)


def refuse_step(engine: Trading, opcode: Opcode, reason: RejectReason, head: Head) -> None:
    """Refuse a step on a position; its scope is the one that the position is in."""
    known = head[6] in engine.state.markets
    isolated = known and is_isolated(engine.state, head[8], head[6])
    refuse(engine, opcode, reason, head, head[6] if isolated else 0)


def _take(engine: Trading, step: Step, delta: int, key: int) -> None:
    """Close `delta` of a position at its bankruptcy quote and open it for the fund."""
    state, symbol_id = engine.state, step.market.rules.symbol_id
    quote = bankruptcy_quote_units(step.scope, symbol_id, delta)
    assert not isinstance(quote, RiskRefusal)
    seat, fund = step.perpetual.seat(step.account_id), step.perpetual.seat(FUND_ACCOUNT)
    closed = step.perpetual.change(seat, delta, -quote)
    opened = step.perpetual.change(fund, -delta, quote)
    add_cash(state, step.market, seat, closed.realised_units)
    add_cash(state, step.market, fund, opened.realised_units)
    engine.note_scope(FUND_ACCOUNT, 0)
    engine.events.say(
        e.TakenOver,
        key=key,
        account_id=step.account_id,
        symbol_id=symbol_id,
        delta_lots=delta,
        quote_units=quote,
        lots=seat.lots,
        cost_units=seat.cost_units,
        realised_units=closed.realised_units,
        fund_lots=fund.lots,
        fund_cost_units=fund.cost_units,
        fund_realised_units=opened.realised_units,
        isolated=seat.is_isolated,
    )


def deleverage(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Close some of a position against a counterparty, at the bankruptcy quote."""
    state, events = engine.state, engine.events
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    version, counterparty_id = STEP_STRIPE.unpack_from(batch, offset + STRIPE)
    step = begin(state, head, version)
    reason = step if isinstance(step, RejectReason) else _refuse_pair(state, step)
    pair = None
    if not reason and not isinstance(step, RejectReason):
        opposite = scope_of(state, counterparty_id, scope_symbol(step.market, counterparty_id))
        found = settle_pair(step.scope, opposite, head[6], step.delta_lots)
        if isinstance(found, RiskRefusal):
            reason = RejectReason[found.name]
        else:
            pair = found
    remember(state, reason, head, content)
    if pair is None or isinstance(step, RejectReason):
        refuse_step(engine, Opcode.DELEVERAGE, reason, head)
        return
    direction = 1 if step.delta_lots > 0 else -1
    key = int.from_bytes(head[9], "little")
    apply_pair(engine, step.market, (step.account_id, counterparty_id), direction, pair, key)
    step.frozen.version = state.sequence
    say_scope(engine, step.account_id, step.symbol_id)


def _refuse_pair(state: EngineState, step: Step) -> RejectReason:
    """Return why nobody need be deleveraged yet, or NONE: the book and the fund come first."""
    reason = _refuse_takeover(state, step)
    if reason:
        return reason
    lots, _ = takeover_capacity(state, step.scope, step.market.rules.symbol_id, 1)
    return RejectReason.FUND_CAN_TAKE_OVER if lots else _NONE
