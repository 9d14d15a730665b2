"""What the reference engine knows of a perpetual market, and of each account in it.

A *seat* is what an account has in one perpetual: its position, what backs it, and how much its
open orders may add. The formulas are `domain/`'s; here is only what they are asked about.
"""

from __future__ import annotations

from collections import deque

from domain.margin import Exposure
from domain.mark_price import Basis, FundingClock, is_mark_fresh
from domain.market_rules import MarketRules
from domain.order import Side
from domain.order_guards import closable_lots, price_band
from domain.perpetual_state import PerpetualState, band_ppm_in
from domain.perpetual_terms import PerpetualTerms
from domain.position import Position, PositionChange, after_fill

REDUCE_ONLY, CLOSE_POSITION = 1 << 14, 1 << 15  # of an order's flags
REDUCES = REDUCE_ONLY | CLOSE_POSITION
SECOND_US = 1_000_000


class Seat:
    """An account in a perpetual market. Lots by side: index 0 buys, 1 sells.

    `adding` is what is left of its orders in the book, `reducing` of the reduce-only ones; orders
    that wait for a trigger count nowhere.
    """

    __slots__ = (
        "account_id",
        "adding",
        "cost_units",
        "is_isolated",
        "leverage",
        "lots",
        "margin_units",
        "reducing",
    )

    def __init__(self, account_id: int) -> None:
        self.account_id = account_id
        self.lots = 0
        self.cost_units = 0
        self.leverage = 1
        self.is_isolated = False
        self.margin_units = 0  # cash of an isolated position
        self.adding = [0, 0]
        self.reducing = [0, 0]

    @property
    def is_used(self) -> bool:
        """Return whether there is a position, or an order that may open one."""
        return bool(self.lots or self.adding[0] or self.adding[1])

    @property
    def is_kept(self) -> bool:
        """Return whether the state has to remember the seat beside its orders."""
        return bool(self.lots or self.is_isolated or self.margin_units or self.leverage != 1)

    @property
    def position(self) -> Position:
        """Return lots and cost basis."""
        return Position(self.lots, self.cost_units)

    def count(self, side: int, flags: int, lots: int) -> None:
        """Count `lots` more (or less) of the account's orders in the book."""
        counted = self.reducing if flags & REDUCES else self.adding
        counted[side] += lots

    def closable(self, side: int) -> int:
        """Return how many lots an order of a side can close."""
        return closable_lots(self.lots, Side(side))


class Perpetual:
    """A perpetual market's own state: terms, index, mark, funding, who is in it.

    Prices are 0 where there never was one; `index_time_us` and `begun_us` are 0 after a start.
    """

    __slots__ = (
        "basis",
        "basis_half_ticks",
        "begun_us",
        "brackets",
        "empty_since_us",
        "fund_stopped",
        "funding_time_us",
        "in_shortfall",
        "index_ticks",
        "index_time_us",
        "mark_ticks",
        "marks",
        "open_lots",
        "phase",
        "premium_count",
        "premium_minute",
        "premium_ppm",
        "rate_ppm",
        "seats",
        "sources",
        "terms",
        "units_per_tick_lot",
    )

    def __init__(self, rules: MarketRules, terms: PerpetualTerms) -> None:
        self.terms = terms
        self.brackets = terms.table()
        self.units_per_tick_lot = rules.quote_units_per_tick_lot
        self.phase = PerpetualState.GUARDED
        self.index_ticks = 0
        self.index_time_us = 0  # of the last index
        self.begun_us = 0  # when the basis window began
        self.sources = 0  # how many counted in the last index command
        self.mark_ticks = 0
        self.empty_since_us = 0  # since when a side of the book has been empty; 0: neither is
        self.rate_ppm = 0  # of the last funding
        self.funding_time_us = 0  # its instant
        self.premium_ppm = 0  # sum of the samples since then
        self.premium_count = 0
        self.premium_minute = 0  # of the last sample
        self.fund_stopped = 0  # 1: the fund takes nothing over here, for its drawdown
        self.in_shortfall = 0  # 1: told of one, and not resumed since
        self.open_lots = 0  # all longs
        self.basis: deque[tuple[int, int]] = deque()  # (time, half ticks) of the basis window
        self.basis_half_ticks = 0  # their sum
        self.marks: deque[tuple[int, int]] = deque()  # (time, mark) of the breaker's window
        self.seats: dict[int, Seat] = {}

    def set_terms(self, terms: PerpetualTerms) -> None:
        """Take lawful terms."""
        self.terms = terms
        self.brackets = terms.table()

    def seat(self, account_id: int) -> Seat:
        """Return the account's seat, made when it is first asked for."""
        found = self.seats.get(account_id)
        if found is None:
            found = self.seats[account_id] = Seat(account_id)
        return found

    def look(self, account_id: int) -> Seat:
        """Return the account's seat; one that is empty and not kept when it has none."""
        return self.seats.get(account_id) or Seat(account_id)

    @property
    def gates_collateral(self) -> bool:
        """Return whether a loss is uncovered here; without positions there is none any more."""
        return bool(self.in_shortfall and self.open_lots)

    def band(self, band_ppm: int, reference_ticks: int = 0) -> tuple[int, int]:
        """Return (lowest, highest) price around the mark or a given price; narrow when guarded."""
        width = band_ppm_in(self.phase, band_ppm)
        found = price_band(reference_ticks or self.mark_ticks, width)
        return found.lowest_ticks, found.highest_ticks

    def is_fresh(self, now_us: int) -> bool:
        """Return whether positions may be closed at the mark."""
        at = self.index_time_us or None
        terms = self.terms
        return is_mark_fresh(
            now_us, at, self.begun_us, terms.index_max_age_us, terms.basis_window_us
        )

    def notional_units(self, lots: int) -> int:
        """Return the value at mark of a number of lots."""
        return self.mark_ticks * self.units_per_tick_lot * lots

    def exposure(self, symbol_id: int, seat: Seat) -> Exposure:
        """Return a position with all that values it."""
        return Exposure(
            symbol_id, seat.position, self.mark_ticks, self.units_per_tick_lot, self.brackets
        )

    def funding_clock(self, now_us: int) -> FundingClock:
        """Return the last rate and the seconds to the next whole interval since 1970."""
        interval = self.terms.funding_interval_seconds
        left = interval - now_us // SECOND_US % interval
        return FundingClock(self.rate_ppm, left, interval)

    def mean_basis(self) -> Basis:
        """Return the samples of the basis window."""
        return Basis(self.basis_half_ticks, len(self.basis))

    def change(self, seat: Seat, lots: int, cost_units: int) -> PositionChange:
        """Change a position by a fill of `lots` (> 0 bought) at a cost signed like them."""
        changed = after_fill(seat.position, lots, cost_units)
        before = max(0, seat.lots)
        seat.lots, seat.cost_units = changed.position.lots, changed.position.cost_units
        self.open_lots += max(0, seat.lots) - before
        return changed
