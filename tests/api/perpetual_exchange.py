"""The small exchange with a perpetual beside its spot market: fresh mark, quoted by account 90."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx

from domain import risk_commands as r
from domain.commands import CancelAll, Credit, PlaceOrder
from domain.instrument import Instrument
from domain.market import Listings, Market
from domain.order import OrderType, Side, TimeInForce
from domain.perpetual_terms import MAX_SOURCES, BracketRow, PerpetualTerms
from tests.api.exchange import Exchange
from tests.api.memory import ETH, LISTINGS, USDT

TERMS = PerpetualTerms(
    brackets=(BracketRow(0, 10_000, 20_000), BracketRow(50_000 * 10**6, 20_000, 40_000)),
    cap_units=10**13,
    impact_units=1_000 * 10**6,
    max_leverage=50,
    funding_interval_seconds=3_600,
)
ETH_PERP = Instrument.listed(
    symbol_id=7,
    base=ETH,
    quote=USDT,
    tick_size="0.01",
    lot_size="0.001",
    listing_price="2500",
    maker_fee_ppm=200,
    taker_fee_ppm=500,
    band_ppm=50_000,
    max_order="1000",
    max_open_orders=60,
    terms=TERMS,
)
MAKER = 90
MIDDLE = 250_000  # ticks


class PerpetualExchange(Exchange):
    """An exchange whose perpetual trades."""

    def __init__(self) -> None:
        super().__init__()
        self.memory.listings = Listings([*LISTINGS.markets, Market(ETH_PERP, 0)], LISTINGS.assets)
        self.door.apply(ETH_PERP.listing())
        self.keys_used = 10_000
        self.quote()
        self.stand(MIDDLE)

    def credit(self, account_id: int, amount: str = "1000000") -> None:
        """Give an account collateral."""
        self.keys_used += 1
        units = USDT.engine_units(amount)
        created = self.door.time_us
        self.door.apply(Credit(self.keys_used, account_id, USDT.asset_id, units, created))

    def quote(self, middle: int = MIDDLE, lots: int = 100_000) -> None:
        """Let the maker quote both sides, 20 ticks from a price."""
        self.credit(MAKER, "10000000")
        self.door.apply(r.SetLeverage(MAKER, ETH_PERP.symbol_id, 10))
        self.index(middle)
        for side, ticks in ((Side.BUY, middle - 20), (Side.SELL, middle + 20)):
            self.limit(MAKER, side, ticks, lots)

    def limit(self, account_id: int, side: Side, ticks: int, lots: int, **more: Any) -> Any:
        """Place a limit order straight in the engine; return its events."""
        self.keys_used += 1
        return self.door.apply(
            PlaceOrder(
                account_id=account_id,
                client_key=self.keys_used,
                symbol_id=ETH_PERP.symbol_id,
                side=side,
                order_type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC,
                price_ticks=ticks,
                quantity_lots=lots,
                **more,
            )
        )

    def index(self, ticks: int) -> None:
        """Let three sources say a price."""
        prices = (ticks,) * 3 + (0,) * (MAX_SOURCES - 3)
        times = (self.door.time_us,) * 3 + (0,) * (MAX_SOURCES - 3)
        self.door.apply(r.SetIndex(ETH_PERP.symbol_id, prices, times))

    def stand(self, ticks: int, seconds: int = 160) -> None:
        """Let the index stay at a price for so long."""
        for _ in range(seconds // 5):
            self.door.time_us += 5_000_000
            self.index(ticks)

    def move(self, ticks: int) -> None:
        """Let book and index go to a price, and the mark follow."""
        self.door.apply(CancelAll(MAKER, ETH_PERP.symbol_id))
        self.quote(ticks)
        self.stand(ticks)

    async def overextend(self) -> None:
        """Let the first customer buy 800 ETH with a tenth of what they cost."""
        self.credit(1, "190000")
        self.door.apply(CancelAll(MAKER, ETH_PERP.symbol_id))
        self.quote(lots=900_000)
        await self.buy("800", leverage=50)

    async def buy(self, quantity: str, *, leverage: int) -> None:
        """Let the first customer buy at the market."""
        body = {"symbol": ETH_PERP.symbol, "leverage": leverage}
        assert (await self.call("POST", "/v1/leverage", body)).is_success
        placed = await self.perpetual(quantity=quantity)
        assert placed.json()["status"] == "filled", placed.text

    def fall_to(self, numerator: int, denominator: int) -> None:
        """Let the price fall to where the first customer's equity is so much of its margin."""
        for _ in range(3):  # the margin falls with the price
            scope = self.door.engine.scope(1, 0)
            (one,) = self.door.engine.positions(1)
            target = scope.maintenance_units * numerator // denominator
            units = one.lots * ETH_PERP.quote_units_per_tick_lot
            self.move(one.mark_ticks - (scope.equity_units - target) // units)

    def list_again(self, **changed: Any) -> None:
        """Show the perpetual with other terms."""
        assert ETH_PERP.terms is not None
        shown = replace(ETH_PERP, terms=replace(ETH_PERP.terms, **changed))
        self.memory.listings = Listings([*LISTINGS.markets, Market(shown, 0)], LISTINGS.assets)

    async def perpetual(self, key_id: str = "key-1", **fields: Any) -> httpx.Response:
        """Place an order in the perpetual: a buy of 1 ETH at the market unless told otherwise."""
        wanted = {"symbol": "ETH/USDT-PERP", "type": "market", "price": ..., **fields}
        return await self.place(key_id, **wanted)

    async def position(self, key_id: str = "key-1") -> dict[str, Any]:
        """Return the one position of a customer."""
        answer = await self.call("GET", "/v1/positions", key_id=key_id)
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["positions"]
        return dict(found)
