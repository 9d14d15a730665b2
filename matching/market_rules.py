"""Which rules a market may be listed with, and which may follow them; nothing here changes."""

from __future__ import annotations

from domain.commands import MarketRules
from domain.errors import RejectReason
from domain.fees import refuse_fees
from domain.limits import MAX_PERPETUAL_ORDERS
from domain.money import PPM
from domain.order import SymbolState
from domain.risk_bounds import MAX_PRICE_TICKS, MAX_VALUE_UNITS
from matching.book import Market
from matching.engine_state import EngineState


def refuse_listing(state: EngineState, rules: MarketRules) -> RejectReason:
    """Return why a market may not be listed, or NONE."""
    if not _is_whole(rules):
        return RejectReason.MALFORMED_COMMAND
    if rules.symbol_id in state.markets:
        return RejectReason.SYMBOL_ALREADY_LISTED
    return refuse_fees(rules.fees, rules.max_taker_fee_ppm)


def refuse_parameters(market: Market | None, rules: MarketRules) -> RejectReason:
    """Return why a listed market may not have these rules, or NONE."""
    if not _is_whole(rules):
        return RejectReason.MALFORMED_COMMAND
    if market is None:
        return RejectReason.UNKNOWN_SYMBOL
    if market.state == SymbolState.DELISTED:
        return RejectReason.SYMBOL_DELISTED
    if any(getattr(rules, name) != getattr(market.rules, name) for name in _FIXED):
        return RejectReason.FIXED_PARAMETER
    if market.perpetual is not None:
        reason = refuse_perpetual_rules(rules)
        if reason:
            return reason
    return refuse_fees(rules.fees, rules.max_taker_fee_ppm)


def refuse_perpetual_rules(rules: MarketRules) -> RejectReason:
    """Return why a perpetual market may not have these rules, or NONE."""
    if rules.band_ppm >= PPM or rules.max_open_orders > MAX_PERPETUAL_ORDERS:
        return RejectReason.INVALID_RISK_PARAMETERS
    if rules.quote_units_per_tick_lot * MAX_PRICE_TICKS > MAX_VALUE_UNITS:
        return RejectReason.OVERFLOW
    if rules.listing_price_ticks > MAX_PRICE_TICKS:
        return RejectReason.INVALID_PRICE
    return RejectReason.NONE


_FIXED = (
    "base_asset_id",
    "quote_asset_id",
    "base_units_per_lot",
    "quote_units_per_tick_lot",
    "max_taker_fee_ppm",
    "listing_price_ticks",
)
"""What balances and holds are counted in, or what they were counted with."""


def _is_whole(rules: MarketRules) -> bool:
    positive = (
        rules.symbol_id,
        rules.base_asset_id,
        rules.quote_asset_id,
        rules.base_units_per_lot,
        rules.quote_units_per_tick_lot,
        rules.listing_price_ticks,
        rules.max_order_lots,
        rules.max_open_orders,
    )
    if min(positive) <= 0 or min(rules.band_ppm, rules.max_position_lots) < 0:
        return False
    return rules.base_asset_id != rules.quote_asset_id
