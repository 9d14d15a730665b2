"""Assets and instruments: what is traded, in which units.

A price is a count of ticks, a quantity a count of lots; an instrument says how many engine units
of base a lot is, and how many engine units of quote one tick times one lot is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from domain.commands import ListSymbol, MarketRules, SetParameters
from domain.errors import RejectReason
from domain.fees import FEE_RULES, FeeRates, FeeTable, fee_table, refuse_fees
from domain.money import PPM, DecimalTextError, text_from_units, units_from_text
from domain.perpetual_terms import PerpetualTerms, refuse_terms
from domain.risk_commands import ListPerpetual

_GRID_DECIMALS = 18
PERPETUAL_SUFFIX = "-PERP"
"""Ends the name of a perpetual market, which otherwise is a spot market's of the same pair."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset. The engine counts 10**-engine_decimals, the ledger 10**-chain_decimals."""

    asset_id: int
    code: str
    chain_decimals: int
    engine_decimals: int

    def __post_init__(self) -> None:
        """Refuse an asset whose engine unit is finer than its chain unit."""
        if not 0 <= self.engine_decimals <= self.chain_decimals <= 18:
            raise ValueError(f"{self.code}: need 0 <= engine decimals <= chain decimals <= 18")

    @property
    def chain_units_per_engine_unit(self) -> int:
        """Return the exact multiplier from engine units to chain (ledger) units."""
        return int(10 ** (self.chain_decimals - self.engine_decimals))

    def engine_units(self, text: str) -> int:
        """Parse decimal text to engine units; finer text is refused (`DecimalTextError`)."""
        return units_from_text(text, self.engine_decimals)

    def engine_text(self, units: int) -> str:
        """Return engine units as decimal text."""
        return text_from_units(units, self.engine_decimals)

    def chain_units(self, text: str) -> int:
        """Parse decimal text to chain units; finer text is refused (`DecimalTextError`)."""
        return units_from_text(text, self.chain_decimals)

    def chain_text(self, units: int) -> str:
        """Return chain units as decimal text."""
        return text_from_units(units, self.chain_decimals)


@dataclass(frozen=True, slots=True)
class Instrument:
    """A market. `tick_size` and `lot_size` are decimal text, e.g. "0.01" and "0.0001".

    A perpetual has `terms` beside what a spot market has. Its lots are of the base asset, which is
    never moved; its quote asset is collateral.
    """

    symbol_id: int
    symbol: str
    base: Asset
    quote: Asset
    tick_size: str
    lot_size: str
    base_units_per_lot: int
    quote_units_per_tick_lot: int
    fees: FeeTable
    max_taker_fee_ppm: int
    band_ppm: int
    listing_price_ticks: int
    max_order_lots: int
    max_open_orders: int
    max_position_lots: int
    terms: PerpetualTerms | None = None

    @staticmethod
    def listed(
        *,
        symbol_id: int,
        base: Asset,
        quote: Asset,
        tick_size: str,
        lot_size: str,
        listing_price: str,
        maker_fee_ppm: int,
        taker_fee_ppm: int,
        band_ppm: int,
        max_order: str,
        max_open_orders: int,
        max_position: str = "0",
        tier_fees: Sequence[FeeRates] = (),
        max_taker_fee_ppm: int | None = None,
        terms: PerpetualTerms | None = None,
    ) -> Instrument:
        """Return a checked instrument; `ValueError` says which listing rule is broken.

        Rules: a lot is a whole number of base units, tick x lot a whole number of quote units,
        and the fees are lawful (`domain.fees.refuse_fees`). `tier_fees` are the rates of tier 1,
        2, ...; tiers beyond pay like the last. Without `max_taker_fee_ppm` the highest rate is it,
        and no rate can be raised above that later. `max_position` "0" is no limit. With `terms` it
        is a perpetual, called e.g. "ETH/USDT-PERP".
        """
        tick = units_from_text(tick_size, _GRID_DECIMALS)
        lot = units_from_text(lot_size, _GRID_DECIMALS)
        if tick == 0 or lot == 0:
            raise ValueError("tick size and lot size must be positive")
        base_units, base_rest = divmod(lot * 10**base.engine_decimals, 10**_GRID_DECIMALS)
        quote_units, quote_rest = divmod(
            tick * lot * 10**quote.engine_decimals, 10 ** (2 * _GRID_DECIMALS)
        )
        if base_rest or base_units == 0:
            raise ValueError(f"lot {lot_size} is not a whole number of {base.code} engine units")
        if quote_rest or quote_units == 0:
            raise ValueError(
                f"tick {tick_size} x lot {lot_size} is not a whole number of "
                f"{quote.code} engine units"
            )
        fees = fee_table(FeeRates(maker_fee_ppm, taker_fee_ppm), *tier_fees)
        if max_taker_fee_ppm is None:
            max_taker_fee_ppm = max(rates.taker_ppm for rates in fees)
        reason = refuse_fees(fees, max_taker_fee_ppm)
        if reason is not RejectReason.NONE:
            raise ValueError(f"fees of {base.code}/{quote.code}: {FEE_RULES[reason]}")
        if terms is not None:
            _refuse_perpetual(terms, band_ppm)
        return Instrument(
            symbol_id=symbol_id,
            symbol=f"{base.code}/{quote.code}{PERPETUAL_SUFFIX if terms else ''}",
            base=base,
            quote=quote,
            tick_size=tick_size,
            lot_size=lot_size,
            base_units_per_lot=base_units,
            quote_units_per_tick_lot=quote_units,
            fees=fees,
            max_taker_fee_ppm=max_taker_fee_ppm,
            band_ppm=band_ppm,
            listing_price_ticks=on_grid(listing_price, tick_size),
            max_order_lots=on_grid(max_order, lot_size),
            max_open_orders=max_open_orders,
            max_position_lots=on_grid(max_position, lot_size),
            terms=terms,
        )

    def rules(self) -> MarketRules:
        """Return the rules as an engine has them."""
        return MarketRules(
            symbol_id=self.symbol_id,
            base_asset_id=self.base.asset_id,
            quote_asset_id=self.quote.asset_id,
            base_units_per_lot=self.base_units_per_lot,
            quote_units_per_tick_lot=self.quote_units_per_tick_lot,
            fees=self.fees,
            max_taker_fee_ppm=self.max_taker_fee_ppm,
            band_ppm=self.band_ppm,
            listing_price_ticks=self.listing_price_ticks,
            max_order_lots=self.max_order_lots,
            max_open_orders=self.max_open_orders,
            max_position_lots=self.max_position_lots,
        )

    def listing(self, key: int = 0) -> ListSymbol | ListPerpetual:
        """Return the command that opens this market in an engine, once per `key`."""
        if self.terms is not None:
            return ListPerpetual(self.rules(), self.terms, key)
        return ListSymbol(**_by_name(self.rules()), key=key)

    def parameters(self, key: int = 0) -> SetParameters:
        """Return the command that gives this market, listed before, its rules; once per `key`."""
        return SetParameters(**_by_name(self.rules()), key=key)

    def price_ticks(self, text: str) -> int:
        """Parse a price to ticks; off the tick grid is refused with `OffGridError`."""
        return on_grid(text, self.tick_size)

    def quantity_lots(self, text: str) -> int:
        """Parse a quantity to lots; off the lot grid is refused with `OffGridError`."""
        return on_grid(text, self.lot_size)

    def price_text(self, price_ticks: int) -> str:
        """Return a price in ticks as decimal text."""
        return grid_text(price_ticks, self.tick_size)

    def quantity_text(self, quantity_lots: int) -> str:
        """Return a quantity in lots as decimal text."""
        return grid_text(quantity_lots, self.lot_size)

    def base_units(self, quantity_lots: int) -> int:
        """Return lots as base engine units; exact."""
        return quantity_lots * self.base_units_per_lot

    def quote_units(self, price_ticks: int, quantity_lots: int) -> int:
        """Return price x quantity as quote engine units; exact by the listing rule."""
        return price_ticks * quantity_lots * self.quote_units_per_tick_lot


def _by_name(rules: MarketRules) -> dict[str, Any]:
    return {field.name: getattr(rules, field.name) for field in fields(rules)}


def _refuse_perpetual(terms: PerpetualTerms, band_ppm: int) -> None:
    """Raise `ValueError` for what an engine would refuse of a perpetual's terms."""
    reason = refuse_terms(terms)
    if reason is not RejectReason.NONE:
        raise ValueError(f"terms of the perpetual: {reason.name.lower().replace('_', ' ')}")
    if not 0 < band_ppm < PPM:
        raise ValueError("the price band of a perpetual is more than 0 and below 100 %")


class OffGridError(DecimalTextError):
    """A price between ticks, or a quantity between lots."""


@lru_cache(maxsize=8_192)  # traders come back to the same prices and quantities
def on_grid(text: str, step: str) -> int:
    """Return how many `step`s `text` is; exact, or `OffGridError`."""
    step_units = _step_units(step)
    count, rest = divmod(units_from_text(text, _GRID_DECIMALS), step_units)
    if rest:
        raise OffGridError(f"{text} is not a multiple of {step}")
    return count


@lru_cache(maxsize=8_192)
def grid_text(count: int, step: str) -> str:
    """Return `count` steps as decimal text; exact."""
    return text_from_units(count * _step_units(step), _GRID_DECIMALS)


@lru_cache(maxsize=1_024)  # a few steps of each market, asked for several times with each order
def _step_units(step: str) -> int:
    return units_from_text(step, _GRID_DECIMALS)
