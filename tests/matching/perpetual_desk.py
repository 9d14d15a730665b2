"""An engine on a desk with a perpetual beside the spot market, for tests of its rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from domain import risk_commands as r
from domain.errors import RejectReason
from domain.events import CommandRejected, Event
from domain.fees import flat_fees
from domain.market_rules import MarketRules
from domain.perpetual_record import Holding, ScopeMargin
from domain.perpetual_terms import MAX_SOURCES, BracketRow, PerpetualTerms
from tests.matching.desk import BTC, LISTING, USDT, Desk

PERP = 7
RULES = MarketRules(
    symbol_id=PERP,
    base_asset_id=BTC,
    quote_asset_id=USDT,
    base_units_per_lot=100_000,
    quote_units_per_tick_lot=10,
    fees=flat_fees(200, 500),
    max_taker_fee_ppm=1_000,
    band_ppm=100_000,
    listing_price_ticks=1_000,
    max_order_lots=1_000_000,
    max_open_orders=100,
)
TERMS = PerpetualTerms(
    brackets=(BracketRow(0, 10_000, 20_000), BracketRow(50_000_000, 20_000, 40_000)),
    cap_units=10_000_000_000,
    impact_units=50_000,
    max_leverage=50,
    slice_min_units=1_000,
)
PRICE = 1_000  # what the desk opens at
MINUTE = 60


class PerpetualDesk(Desk):
    """A desk whose perpetual trades: fresh mark, both sides quoted by account 90, state OPEN."""

    def __init__(
        self,
        terms: PerpetualTerms = TERMS,
        rules: MarketRules = RULES,
        *,
        is_open: bool = True,
    ) -> None:
        super().__init__(listings=(LISTING,))
        self.rules = rules
        self.run(r.ListPerpetual(rules, terms))
        if is_open:
            self.open()

    def order(self, account: int, side: Any, price: int, lots: int, **other: Any) -> Any:
        """Place an order, in the perpetual unless told otherwise."""
        return super().order(account, side, price, lots, **{"symbol_id": PERP, **other})

    def fund(self, *accounts: int, units: int = 10**9, assets: tuple[int, ...] = (USDT,)) -> None:
        """Credit each account with collateral."""
        super().fund(*accounts, units=units, assets=assets)

    def index(self, *prices: int, symbol_id: int = PERP, age_us: int = 0) -> tuple[Event, ...]:
        """Let sources say prices, a single one three times; as old as `age_us`."""
        said = prices * 3 if len(prices) == 1 else prices
        padded = (*said, *(0,) * (MAX_SOURCES - len(said)))
        times = tuple(self.time_us + 1 - age_us if price else 0 for price in padded)
        return self.run(r.SetIndex(symbol_id, padded, times))

    def open(self, price: int = PRICE, lots: int = 1_000) -> None:
        """Let account 90 quote both sides and the index stand until the mark is fresh."""
        self.fund(90)
        self.run(r.SetLeverage(90, PERP, 10))
        self.index(price)
        self.buy(90, price - 20, lots)
        self.sell(90, price + 20, lots)
        self.stand(price)

    def stand(self, price: int, seconds: int = 160) -> None:
        """Let the index stay at a price for so long."""
        for _ in range(seconds // 5):
            self.time_us += 5_000_000
            self.index(price)

    def move(self, price: int, *, wait: int = 61) -> None:
        """Bring quotes, last price, index and so the mark to a price, late enough for the breaker.

        Accounts 91 and 92 trade one lot there; within the band a single move is enough.
        """
        self.fund(91, 92)
        self.cancel_all(90, PERP)
        self.time_us += wait * 1_000_000
        self.index(self.perpetual.mark_ticks)
        self.sell(91, price, 1)
        self.buy(92, price, 1)
        self.buy(90, price - 20, 1_000)
        self.sell(90, price + 20, 1_000)
        self.index(price)

    def leverage(self, account: int, leverage: int) -> tuple[Event, ...]:
        """Choose a leverage."""
        return self.run(r.SetLeverage(account, PERP, leverage))

    def pair(self, long: int, short: int, lots: int, price: int = PRICE) -> None:
        """Give two accounts opposite positions at a price between the quotes."""
        self.sell(short, price, lots)
        self.buy(long, price, lots)

    def position(self, account: int, symbol_id: int = PERP) -> Holding | None:
        """Return an account's position."""
        found = {one.symbol_id: one for one in self.engine.positions(account)}
        return found.get(symbol_id)

    def lots(self, account: int) -> int:
        """Return an account's lots."""
        found = self.position(account)
        return found.lots if found else 0

    def scope(self, account: int, symbol_id: int = 0) -> ScopeMargin:
        """Return a scope."""
        return self.engine.scope(account, symbol_id)

    @property
    def perpetual(self) -> Any:
        """Return the market."""
        return {one.symbol_id: one for one in self.engine.perpetuals()}[PERP]

    @property
    def phase(self) -> Any:
        """Return the market's state."""
        return self.perpetual.phase

    def is_conserved(self) -> bool:
        """Return whether positions sum to 0 and collateral to what came in."""
        seats = self.engine.seats()
        lots, cost = sum(one.lots for one in seats), sum(one.cost_units for one in seats)
        isolated = sum(one.margin_units for one in seats)
        cash = sum(t for (_, asset), (t, _) in self.engine.balances().items() if asset == USDT)
        fees, issued = self.engine.fees()[USDT], self.engine.issued()[USDT]
        return lots == 0 and issued == cash + isolated + fees + self.engine.dust() - cost


def terms(**changed: Any) -> PerpetualTerms:
    """Return the desk's terms with changes."""
    return replace(TERMS, **changed)


def refusal(events: tuple[Event, ...]) -> RejectReason:
    """Return why a command was refused, whatever it said besides; NONE when it was not."""
    first = events[0]
    return first.reason if isinstance(first, CommandRejected) else RejectReason.NONE
