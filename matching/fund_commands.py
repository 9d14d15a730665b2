"""The insurance fund's own commands: top up, sweep dust, sell its positions off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain import risk_events as e
from domain.errors import RejectReason
from domain.limits import MAX_MAKERS, SWEEP_ROOM
from domain.opcode import Opcode
from domain.order import Side
from domain.order_guards import PriceBand, liquidation_limit_ticks
from domain.position import after_fill
from domain.risk_bounds import MAX_PRICE_TICKS
from domain.risk_commands import FUND_ACCOUNT
from matching.command_keys import NO_KEY, answered, content_of, remember
from matching.deleveraging import apply_pairs, plan_for_fund
from matching.fund_capacity import fund_units
from matching.liquidations import closing_order, makers, refuse_phase
from matching.money_admission import refuse_income
from matching.perpetual_trading import fill_perpetual
from matching.scopes import marks_are_fresh, perpetual_for_key

if TYPE_CHECKING:
    from matching.administration import Head
    from matching.book import Market, Order
    from matching.engine_state import EngineState
    from matching.perpetual import Perpetual
    from matching.trading import Trading


def top_up(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Add money from outside to the fund's cash."""
    state, events = engine.state, engine.events
    asset_id, key, amount, created_at_us = head[6], head[9], head[10], head[11]
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    reason = _refuse_asset(state, head)
    reason = reason or refuse_income(state, FUND_ACCOUNT, asset_id, amount, created_at_us)
    remember(state, reason, head, content)
    if reason:
        events.rejected(Opcode.TOP_UP_FUND, reason, 0, key, 0)
        return
    state.issued[asset_id] += amount
    _add(engine, e.FundToppedUp, head, amount)


def sweep_dust(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Move all rounding dust into the fund."""
    state, events = engine.state, engine.events
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    dust = state.fund.rounding_units
    reason = _refuse_asset(state, head)
    if not reason and dust == 0:
        reason = RejectReason.NO_DUST
    remember(state, reason, head, content)
    if reason:
        events.rejected(Opcode.SWEEP_DUST, reason, 0, head[9], 0)
        return
    state.fund.rounding_units = 0
    _add(engine, e.DustSwept, head, dust)


def _refuse_asset(state: EngineState, head: Head) -> RejectReason:
    if head[9] == NO_KEY:
        return RejectReason.MALFORMED_COMMAND
    is_collateral = head[6] == state.collateral != 0
    return RejectReason.NONE if is_collateral else RejectReason.UNKNOWN_ASSET


def _add(engine: Trading, kind: type[e.FundToppedUp | e.DustSwept], head: Head, units: int) -> None:
    """Add to the fund's cash, and say so."""
    engine.state.balance(FUND_ACCOUNT, head[6])[0] += units
    engine.note_cash(FUND_ACCOUNT, head[6])
    key = int.from_bytes(head[9], "little")
    engine.events.say(kind, key=key, account_id=FUND_ACCOUNT, asset_id=head[6], amount_units=units)


def unwind(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Sell some of the fund's position in the book, at once, within the band.

    Where a fill would take its cash below 0, the whole position ends by auto-deleveraging at the
    fund's own bankruptcy price instead.
    """
    state, events, symbol_id = engine.state, engine.events, head[6]
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    market = state.markets.get(symbol_id)
    reason = _refuse_unwind(state, market, head)
    remember(state, reason, head, content)
    if reason or market is None or market.perpetual is None:
        events.rejected(Opcode.UNWIND, reason, 0, head[9], symbol_id)
        return
    perpetual = market.perpetual
    direction = -1 if perpetual.look(FUND_ACCOUNT).lots > 0 else 1
    side = Side.SELL if direction < 0 else Side.BUY
    band = PriceBand(*market.band())
    limit = band.lowest_ticks if side is Side.SELL else band.highest_ticks
    if head[11]:
        limit = liquidation_limit_ticks(band, side, head[11])
    order = closing_order(state, market, FUND_ACCOUNT, direction * head[10], limit)
    events.say(
        e.UnwindPlaced,
        key=int.from_bytes(head[9], "little"),
        account_id=FUND_ACCOUNT,
        symbol_id=symbol_id,
        order_id=order.order_id,
        side=side,
        lots=order.quantity_lots,
        limit_ticks=limit,
    )
    if not _sell_off(engine, market, perpetual, order):
        apply_pairs(engine, market, FUND_ACCOUNT, plan_for_fund(state, market, perpetual))


def _refuse_unwind(state: EngineState, market: Market | None, head: Head) -> RejectReason:
    found = perpetual_for_key(state, market, head[9])
    if isinstance(found, RejectReason):
        return found
    _, perpetual = found
    fresh = perpetual.is_fresh(state.time_us) and marks_are_fresh(state, FUND_ACCOUNT, 0)
    reason = refuse_phase(perpetual, is_fresh=fresh)
    if reason:
        return reason
    if not 0 < head[10] <= abs(perpetual.look(FUND_ACCOUNT).lots):
        return RejectReason.INVALID_POSITION_DELTA
    if not 0 <= head[11] <= MAX_PRICE_TICKS:
        return RejectReason.INVALID_PRICE
    return RejectReason.NONE


def _sell_off(engine: Trading, market: Market, perpetual: Perpetual, taker: Order) -> bool:
    """Let the order meet the book; return False where the fund cannot pay for the next fill."""
    direction = 1 if taker.side == Side.BUY else -1
    units = perpetual.units_per_tick_lot
    for _ in range(MAX_MAKERS):
        missing = taker.quantity_lots - taker.filled_lots
        maker = makers(engine, market, taker) if missing else None
        if maker is None or engine.events.index > SWEEP_ROOM:
            return True
        lots = min(missing, maker.shown_lots)
        position = perpetual.look(FUND_ACCOUNT).position
        cost = direction * maker.price_ticks * lots * units
        realised = after_fill(position, direction * lots, cost).realised_units
        if fund_units(engine.state) + realised < 0:
            return False
        fill_perpetual(engine, market, maker, taker, lots, 0)
    return True
