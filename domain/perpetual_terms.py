"""The terms of a perpetual market as they are listed: whole numbers, checked once.

`domain.risk_parameters` has the defaults and says what each is for; `docs/risk.md` the formulas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from domain.brackets import BracketFault, Brackets, bracket_table
from domain.circuit_breaker import BreakerRules
from domain.errors import RejectReason
from domain.funding import funding_cap_ppm
from domain.index_price import IndexRules
from domain.liquidation import SliceRules
from domain.margin import OpenInterest
from domain.money import PPM
from domain.order_guards import PositionShare
from domain.risk_bounds import MAX_INTERVAL_SECONDS, MAX_RATE_PPM, MAX_VALUE_UNITS
from domain.risk_parameters import RiskParameters

MAX_BRACKETS = 8
MAX_SOURCES = 8
"""How many index sources a market can have; a source is its place among them, from 0."""
MINUTE_US = 60_000_000
_LONGEST_US = 3_600_000_000  # of an age or a window that the engine keeps samples for

BRACKET_REFUSALS = {
    BracketFault.EMPTY: RejectReason.BRACKETS_EMPTY,
    BracketFault.FIRST_FLOOR: RejectReason.BRACKETS_FIRST_FLOOR,
    BracketFault.FLOORS: RejectReason.BRACKETS_FLOORS,
    BracketFault.CAP: RejectReason.BRACKETS_CAP,
    BracketFault.RATES: RejectReason.BRACKETS_RATES,
    BracketFault.MMR_FALLS: RejectReason.BRACKETS_MMR_FALLS,
    BracketFault.IMR_FALLS: RejectReason.BRACKETS_IMR_FALLS,
    BracketFault.MMR_ABOVE_IMR: RejectReason.BRACKETS_MMR_ABOVE_IMR,
    BracketFault.AMOUNT: RejectReason.BRACKETS_AMOUNT,
}
"""The registered number of each fault of a bracket table."""


@dataclass(frozen=True, slots=True)
class BracketRow:
    """A bracket as it is listed; its maintenance amount follows from the rows before it."""

    floor_units: int
    mmr_ppm: int
    imr_ppm: int


NO_ROW = BracketRow(0, 0, 0)
_DEFAULT = RiskParameters()


@dataclass(frozen=True, slots=True)
class PerpetualTerms:
    """What a perpetual market has beside `MarketRules`. Rates in ppm, money in quote units.

    `brackets` are at most `MAX_BRACKETS` rows, none of them `NO_ROW` (which fills the wire).
    `oi_upper_units` 0 switches the scaling by open interest off, `share_ppm` 0 the position share.
    """

    brackets: tuple[BracketRow, ...]
    cap_units: int
    impact_units: int
    max_leverage: int
    oi_lower_units: int = 0
    oi_upper_units: int = 0
    share_ppm: int = 0
    share_free_units: int = 0
    liquidation_fee_ppm: int = _DEFAULT.liquidation_fee_ppm
    exit_buffer_ppm: int = _DEFAULT.exit_buffer_ppm
    slice_min_units: int = _DEFAULT.slices.min_units
    slice_whole_below_units: int = _DEFAULT.slices.whole_below_units
    slice_max_portion_ppm: int = _DEFAULT.slices.max_portion_ppm
    max_slices: int = _DEFAULT.max_slices
    slices_seconds: int = _DEFAULT.slices_seconds
    takeover_ppm: int = _DEFAULT.takeover_ppm
    fund_cap_ppm: int = _DEFAULT.fund_cap_ppm
    fund_stop_ppm: int = _DEFAULT.fund_stop_ppm
    fund_resume_ppm: int = _DEFAULT.fund_resume_ppm
    funding_interval_seconds: int = _DEFAULT.funding_interval_seconds
    interest_ppm: int = _DEFAULT.interest_ppm
    damper_ppm: int = _DEFAULT.damper_ppm
    funding_cap_factor_ppm: int = _DEFAULT.funding_cap_factor_ppm
    max_premium_ppm: int = _DEFAULT.max_premium_ppm
    transfer_floor_ppm: int = _DEFAULT.transfer_floor_ppm
    index_min_sources: int = _DEFAULT.index.min_sources
    index_max_age_us: int = _DEFAULT.index.max_age_us
    index_max_deviation_ppm: int = _DEFAULT.index.max_deviation_ppm
    breaker_max_move_ppm: int = _DEFAULT.breaker.max_move_ppm
    breaker_window_us: int = _DEFAULT.breaker.window_us
    breaker_min_sources: int = _DEFAULT.breaker.min_sources
    breaker_max_empty_us: int = _DEFAULT.breaker.max_empty_us
    basis_window_us: int = _DEFAULT.basis_window_us

    def table(self) -> Brackets:
        """Return the bracket table; `ValueError` with a `BracketFault` when it is not lawful."""
        rows = [(row.floor_units, row.mmr_ppm, row.imr_ppm) for row in self.brackets]
        return bracket_table(rows, self.cap_units)

    @property
    def index_rules(self) -> IndexRules:
        """Return which sources an index takes."""
        return IndexRules(
            self.index_min_sources, self.index_max_age_us, self.index_max_deviation_ppm
        )

    @property
    def breaker_rules(self) -> BreakerRules:
        """Return what trips the circuit breaker."""
        return BreakerRules(
            self.breaker_max_move_ppm,
            self.breaker_window_us,
            self.breaker_min_sources,
            self.breaker_max_empty_us,
        )

    @property
    def slices(self) -> SliceRules:
        """Return how large a slice of a liquidation is."""
        return SliceRules(
            self.slice_min_units, self.slice_whole_below_units, self.slice_max_portion_ppm
        )

    @property
    def share(self) -> PositionShare:
        """Return how large a part of the market one account may be."""
        return PositionShare(self.share_ppm, self.share_free_units)

    def open_interest(self, notional_units: int) -> OpenInterest:
        """Return the market's open interest with the range that it raises the initial rate over."""
        return OpenInterest(notional_units, self.oi_lower_units, self.oi_upper_units)

    @property
    def funding_cap_ppm(self) -> int:
        """Return the most that funding takes an interval; by the first bracket."""
        first = self.brackets[0]
        return funding_cap_ppm(self.funding_cap_factor_ppm, first.imr_ppm, first.mmr_ppm)


TERM_NAMES = tuple(field.name for field in fields(PerpetualTerms) if field.name != "brackets")
"""Every number of `PerpetualTerms`, in the order of the wire."""

_RATES = tuple(name for name in TERM_NAMES if name.endswith("_ppm"))
_MONEY = tuple(name for name in TERM_NAMES if name.endswith("_units"))
_POSITIVE = (
    "impact_units",
    "max_leverage",
    "max_slices",
    "slices_seconds",
    "slice_min_units",
    "slice_max_portion_ppm",
    "index_min_sources",
    "index_max_age_us",
    "breaker_max_move_ppm",
    "breaker_window_us",
    "breaker_min_sources",
    "breaker_max_empty_us",
    "basis_window_us",
)
_NEGATIVE = ("fund_stop_ppm", "fund_resume_ppm")  # drawdowns


def terms_record(terms: PerpetualTerms) -> dict[str, Any]:
    """Return the terms as rows and signed statements have them: whole numbers by name.

    A bracket is [floor in quote units, maintenance ppm, initial ppm].
    """
    rows = [[row.floor_units, row.mmr_ppm, row.imr_ppm] for row in terms.brackets]
    return {name: getattr(terms, name) for name in TERM_NAMES} | {"brackets": rows}


def terms_of_record(record: Mapping[str, Any]) -> PerpetualTerms:
    """Return the terms of a `terms_record`; names that it has not keep their defaults."""
    brackets = tuple(BracketRow(*row) for row in record["brackets"])
    return PerpetualTerms(**{**record, "brackets": brackets})


def refuse_terms(terms: PerpetualTerms) -> RejectReason:
    """Return why a market may not have these terms, or NONE; brackets first.

    What is within these bounds keeps a 64-bit mirror from overflowing (`domain.risk_bounds`).
    """
    try:
        terms.table()
    except ValueError as error:
        return BRACKET_REFUSALS[error.args[0]]
    numbers = {name: getattr(terms, name) for name in TERM_NAMES}
    if any(numbers[name] <= 0 for name in _POSITIVE):
        return RejectReason.INVALID_RISK_PARAMETERS
    if any(value < 0 for name, value in numbers.items() if name not in _NEGATIVE):
        return RejectReason.INVALID_RISK_PARAMETERS
    if any(abs(numbers[name]) > MAX_RATE_PPM for name in _RATES):
        return RejectReason.INVALID_RISK_PARAMETERS
    if any(numbers[name] > MAX_VALUE_UNITS for name in _MONEY):
        return RejectReason.INVALID_RISK_PARAMETERS
    return _refuse_ranges(terms)


def _refuse_ranges(terms: PerpetualTerms) -> RejectReason:
    """Return NONE when the rest of the numbers fit each other."""
    fits = (
        terms.max_leverage <= PPM,
        terms.max_slices <= MAX_INTERVAL_SECONDS,
        terms.slices_seconds <= MAX_INTERVAL_SECONDS,
        terms.oi_upper_units == 0 or terms.oi_lower_units < terms.oi_upper_units,
        -PPM <= terms.fund_stop_ppm <= terms.fund_resume_ppm <= 0,
        terms.transfer_floor_ppm <= PPM,
        terms.slice_max_portion_ppm <= PPM,
        terms.liquidation_fee_ppm < PPM,
        terms.max_premium_ppm <= PPM,
        0 < terms.funding_interval_seconds <= MAX_INTERVAL_SECONDS,
        terms.funding_interval_seconds % 60 == 0,
        terms.index_min_sources <= MAX_SOURCES,
        terms.breaker_min_sources <= MAX_SOURCES,
        max(terms.index_max_age_us, terms.breaker_window_us) <= _LONGEST_US,
        max(terms.breaker_max_empty_us, terms.basis_window_us) <= _LONGEST_US,
    )
    return RejectReason.NONE if all(fits) else RejectReason.INVALID_RISK_PARAMETERS
