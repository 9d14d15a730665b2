"""The rules that every market has, spot or perpetual."""

from __future__ import annotations

from dataclasses import dataclass

from domain.fees import FeeTable


@dataclass(frozen=True, slots=True)
class MarketRules:
    """The whole rules of a spot market. Fields as in `domain.instrument.Instrument`.

    Every buy order holds for its fee at `max_taker_fee_ppm`, which no rate of `fees` exceeds.
    `max_position_lots` bounds what an account has of the base asset together with its open buys;
    0 for no bound.
    """

    symbol_id: int
    base_asset_id: int
    quote_asset_id: int
    base_units_per_lot: int
    quote_units_per_tick_lot: int
    fees: FeeTable
    max_taker_fee_ppm: int
    band_ppm: int
    listing_price_ticks: int
    max_order_lots: int
    max_open_orders: int
    max_position_lots: int = 0
