"""The markets of a simulation: a spot market, a large perpetual and a small one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from domain.commands import Command, ListSymbol
from domain.event_postings import Pair
from domain.fees import flat_fees
from domain.instrument import Asset
from domain.market_rules import MarketRules
from domain.perpetual_terms import BracketRow, PerpetualTerms
from domain.risk_commands import ListPerpetual

USDT = Asset(1, "USDT", 6, 6)
ETH = Asset(2, "ETH", 18, 9)
BTC = Asset(3, "BTC", 8, 8)
ASSETS = {asset.asset_id: asset for asset in (USDT, ETH, BTC)}
ETH_SPOT, ETH_PERP, BTC_PERP = 1, 2, 3
UNITS_PER_TICK_LOT = 100
"""0.1 USDT x 0.001 ETH, and 1 USDT x 0.0001 BTC: 100 millionths in every market here."""
WHOLE = 1_000_000  # engine units of one USDT


@dataclass(frozen=True, slots=True)
class Listed:
    """A market: where its price begins, and how much its makers show, in whole USDT a level."""

    symbol_id: int
    base: Asset
    base_units_per_lot: int
    price_ticks: int
    depth: int
    is_perpetual: bool = True

    @property
    def pair(self) -> Pair:
        """Return the assets, as settlement knows them."""
        return Pair(self.base, USDT)


MARKETS = (
    Listed(ETH_SPOT, ETH, 1_000_000, 20_000, 50_000, is_perpetual=False),
    Listed(ETH_PERP, ETH, 1_000_000, 20_000, 120_000),
    Listed(BTC_PERP, BTC, 10_000, 50_000, 20_000),
)
PERPETUALS = tuple(market for market in MARKETS if market.is_perpetual)
PAIRS = {market.symbol_id: market.pair for market in MARKETS}

_TERMS = PerpetualTerms(
    brackets=(
        BracketRow(0, 5_000, 10_000),
        BracketRow(200_000 * WHOLE, 10_000, 20_000),
        BracketRow(1_000_000 * WHOLE, 25_000, 50_000),
        BracketRow(5_000_000 * WHOLE, 50_000, 100_000),
    ),
    cap_units=100_000_000 * WHOLE,
    impact_units=20_000 * WHOLE,
    max_leverage=100,
    oi_lower_units=40_000_000 * WHOLE,
    oi_upper_units=400_000_000 * WHOLE,
)


def listings(funding_interval_seconds: int) -> list[Command]:
    """Return the commands that open the markets."""
    found: list[Command] = []
    for market in MARKETS:
        rules = MarketRules(
            symbol_id=market.symbol_id,
            base_asset_id=market.base.asset_id,
            quote_asset_id=USDT.asset_id,
            base_units_per_lot=market.base_units_per_lot,
            quote_units_per_tick_lot=UNITS_PER_TICK_LOT,
            fees=flat_fees(100, 500),
            max_taker_fee_ppm=1_000,
            band_ppm=50_000 if market.is_perpetual else 900_000,
            listing_price_ticks=market.price_ticks,
            max_order_lots=1_000_000_000,
            max_open_orders=1_000,
        )
        if market.is_perpetual:
            terms = replace(_TERMS, funding_interval_seconds=funding_interval_seconds)
            found.append(ListPerpetual(rules, terms))
        else:
            names = MarketRules.__slots__
            found.append(ListSymbol(**{name: getattr(rules, name) for name in names}))
    return found


def lots_of(units: int, price_ticks: int) -> int:
    """Return how many whole lots `units` of USDT are at a price, at least one."""
    return max(1, units // (price_ticks * UNITS_PER_TICK_LOT))
