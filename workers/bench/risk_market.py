"""Perpetual markets with many accounts in them, whose liquidation prices are known.

Everybody has one position of `LOTS`, bought or sold at `OPENING`, with cash of his own: a long
with `cash_for(m)` is below his margin from the first mark under `m` on, and not at `m`. A
liquidation fee above rate and buffer closes a position whole, so nobody is liquidated twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from domain.commands import CancelAll, Command, Credit, PlaceOrder
from domain.fees import flat_fees
from domain.market_rules import MarketRules
from domain.order import OrderType, Side, TimeInForce
from domain.order_id import client_key
from domain.perpetual_terms import MAX_SOURCES, BracketRow, PerpetualTerms
from domain.risk_commands import ListPerpetual, SetIndex, SetLeverage, TopUpFund
from domain.rounding import ceil_div

QUOTE = 2
MARKETS = (1, 2)
UNITS_PER_TICK_LOT = 100
LOTS = 100
OPENING = 100_000
VALUE_PER_TICK = LOTS * UNITS_PER_TICK_LOT
NOTIONAL = OPENING * VALUE_PER_TICK
MAINTENANCE_PPM = 10_000
MOST_IN_A_MARKET = 59_000
MAKER = 1 << 40
_MAKER_LOTS = 2_000_000
_MAKER_CASH = 10**15
_BAND_PPM = 200_000

TERMS = PerpetualTerms(
    brackets=(BracketRow(0, MAINTENANCE_PPM, 2 * MAINTENANCE_PPM),),
    cap_units=1 << 55,
    impact_units=NOTIONAL,
    max_leverage=50,
    liquidation_fee_ppm=MAINTENANCE_PPM + 2_000,
    breaker_max_move_ppm=900_000,
    basis_window_us=20_000_000,
)


@dataclass(frozen=True, slots=True)
class Victim:
    """A long that is below his margin from the first mark under `safe_ticks` on."""

    account_id: int
    safe_ticks: int

    @property
    def cash_units(self) -> int:
        """Return the cash with which that is so: MM at that mark less what is lost by then."""
        maintenance = ceil_div(VALUE_PER_TICK * self.safe_ticks * MAINTENANCE_PPM, 1_000_000)
        return VALUE_PER_TICK * (OPENING - self.safe_ticks) + maintenance

    def shortfall_units(self, mark_ticks: int) -> int:
        """Return by how much his equity is below 0 at a mark."""
        return max(0, -(self.cash_units + VALUE_PER_TICK * (mark_ticks - OPENING)))


def listings() -> list[Command]:
    """Return the commands that open the markets."""
    return [
        ListPerpetual(
            MarketRules(
                symbol_id=symbol_id,
                base_asset_id=100 + symbol_id,
                quote_asset_id=QUOTE,
                base_units_per_lot=1,
                quote_units_per_tick_lot=UNITS_PER_TICK_LOT,
                fees=flat_fees(0, 0),
                max_taker_fee_ppm=1_000,
                band_ppm=_BAND_PPM,
                listing_price_ticks=OPENING,
                max_order_lots=10 * _MAKER_LOTS,
                max_open_orders=1_000,
            ),
            TERMS,
            key=10**6 + symbol_id,
        )
        for symbol_id in MARKETS
    ]


def index(symbol_id: int, ticks: int, now_us: int) -> SetIndex:
    """Return what three sources say at once."""
    silent = (0,) * (MAX_SOURCES - 3)
    return SetIndex(symbol_id, (ticks,) * 3 + silent, (now_us,) * 3 + silent)


def credit(account_id: int, units: int, now_us: int) -> Credit:
    """Return the deposit of an account's whole cash."""
    return Credit(account_id << 8 | 1, account_id, QUOTE, units, now_us)


def top_up(units: int, now_us: int) -> TopUpFund:
    """Return the fund's cash."""
    return TopUpFund((1 << 100) + now_us, QUOTE, units, now_us)


def limit(account_id: int, symbol_id: int, side: Side, price: int, lots: int, name: str) -> Command:
    """Return a limit order that rests."""
    terms = (OrderType.LIMIT, TimeInForce.GTC, price, lots)
    return PlaceOrder(account_id, client_key(name), symbol_id, side, *terms, client_text=name)


def quotes(symbol_id: int, middle: int, number: int) -> list[Command]:
    """Return the maker's quotes around a price, in place of those he had."""
    name = f"m{symbol_id}-{number}"
    return [
        CancelAll(MAKER, symbol_id),
        limit(MAKER, symbol_id, Side.BUY, middle - 10, _MAKER_LOTS, f"{name}b"),
        limit(MAKER, symbol_id, Side.SELL, middle + 10, _MAKER_LOTS, f"{name}s"),
    ]


def deposits(victims: Sequence[Victim], accounts: int, now_us: int) -> Iterator[Command]:
    """Yield everybody's cash: victims are accounts 1 to their number, the rest are rich."""
    yield credit(MAKER, _MAKER_CASH, now_us)
    for victim in victims:
        yield credit(victim.account_id, victim.cash_units, now_us)
    for account_id in range(len(victims) + 1, accounts + 1):
        yield credit(account_id, 5 * NOTIONAL, now_us)


def openings(victims: Sequence[Victim], accounts: int) -> Iterator[list[Command]]:
    """Yield, for each pair, the orders that give it its positions; victims trade in market 1.

    Account k is long against account k + accounts / 2; a victim has one more order, that rests.
    """
    half = accounts // 2
    in_first = min(half, MOST_IN_A_MARKET // 2)
    for account_id in range(1, half + 1):
        symbol_id = MARKETS[account_id > in_first]
        other = account_id + half
        pair: list[Command] = []
        if account_id <= len(victims):
            pair.append(SetLeverage(account_id, symbol_id, TERMS.max_leverage))
        pair.append(limit(other, symbol_id, Side.SELL, OPENING, LOTS, f"s{other}"))
        pair.append(limit(account_id, symbol_id, Side.BUY, OPENING, LOTS, f"b{account_id}"))
        if account_id <= len(victims):
            far = OPENING * 104 // 100
            pair.append(limit(account_id, symbol_id, Side.SELL, far, 1, f"r{account_id}"))
        yield pair
