"""What a fill does to positions, and to the orders that may only close them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.fees import fee_units
from domain.order import CloseReason
from domain.order_guards import reduce_only_trim
from domain.risk_commands import FUND_ACCOUNT
from matching.book import BUY, Market, Order
from matching.perpetual import Perpetual
from matching.scopes import add_cash, scope_symbol

if TYPE_CHECKING:
    from matching.trading import Trading


def fill_perpetual(
    engine: Trading,
    market: Market,
    maker: Order,
    taker: Order,
    lots: int,
    insurance_units: int | None = None,
) -> None:
    """Trade `lots` at the maker's price: both positions change, and what they realise is paid.

    `insurance_units` is given for a fill of a liquidation: what the taker pays the fund, or the
    fund the taker (< 0); it pays no fee, so its maker gets no rebate.
    """
    state, rules, perpetual = engine.state, market.rules, market.perpetual
    assert perpetual is not None
    quote = maker.price_ticks * lots * rules.quote_units_per_tick_lot
    fees = [
        fee_units(quote, rules.fees[state.tier(maker.account_id)].maker_ppm),
        fee_units(quote, rules.fees[state.tier(taker.account_id)].taker_ppm),
    ]
    if insurance_units is not None:
        fees = [max(0, fees[0]), 0]
    insurance = insurance_units or 0
    bought = 1 if taker.side == BUY else -1
    seats = perpetual.seat(maker.account_id), perpetual.seat(taker.account_id)
    made = perpetual.change(seats[0], -bought * lots, -bought * quote)
    took = perpetual.change(seats[1], bought * lots, bought * quote)
    add_cash(state, market, seats[0], made.realised_units - fees[0])
    add_cash(state, market, seats[1], took.realised_units - fees[1] - insurance)
    if insurance:
        state.balance(FUND_ACCOUNT, rules.quote_asset_id)[0] += insurance
        engine.note_cash(FUND_ACCOUNT, rules.quote_asset_id)
    state.fees[rules.quote_asset_id] += sum(fees)
    market.count(maker, -lots)
    trade_id = engine.traded(market, maker, taker, lots)
    amounts = (quote, fees[0], fees[1], insurance)
    legs = ((made, seats[0]), (took, seats[1]))
    engine.events.perpetual_trade(trade_id, maker, taker, lots, amounts, *legs)
    for seat in seats:
        engine.note_scope(seat.account_id, scope_symbol(market, seat.account_id))
    engine.end_list(market, maker)
    if maker.shown_lots == 0:
        engine.used_up(market, maker, CloseReason.FILLED)
    for seat in seats:
        trim(engine, market, perpetual, seat.account_id)


def trim(engine: Trading, market: Market, perpetual: Perpetual, account_id: int) -> None:
    """Cancel an account's resting reduce-only orders beyond what is left of its position.

    Buys first; of each side as `reduce_only_trim` says.
    """
    for side in (0, 1):
        seat = perpetual.seat(account_id)
        closable = seat.closable(side)
        if seat.reducing[side] <= closable:
            continue
        resting = market.reduce_only_orders(account_id, side)
        for order_id in reduce_only_trim(resting, closable, perpetual.mark_ticks):
            order = engine.state.orders[order_id]
            engine.close_resting(market, order, CloseReason.NOTHING_TO_REDUCE)
