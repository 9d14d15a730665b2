"""Events about perpetuals. Deltas are exact, so that nobody computes them again.

Cash of a scope changes by `realised_units` less fees and what went to the fund, of a funding entry
by its units. A position after each change is told with its lots and its cost basis, signed like
the lots (`domain.position`); change of basis = cost of the fill + realised. `..._isolated` says
that the change concerns the cash of an isolated position, not the account's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from domain.circuit_breaker import Trip
from domain.event_type import EventType
from domain.order import Side
from domain.perpetual_state import PerpetualState, StateTrigger
from domain.perpetual_terms import PerpetualTerms
from domain.risk_commands import MarginMode


@dataclass(frozen=True, slots=True)
class PerpetualTrade:
    """One fill on a perpetual; the first fields are a `Trade`'s.

    Each leg's cash changes by realised - fee, the taker's by - `insurance_units` besides, which
    the fund receives (> 0) or pays (< 0): not 0 only in a liquidation, whose taker pays no fee.
    `..._lots` and `..._cost_units` are the positions after the fill.
    """

    event_type: ClassVar[EventType] = EventType.PERPETUAL_TRADE
    sequence: int
    index: int
    symbol_id: int
    trade_id: int
    taker_side: Side
    maker_order_id: int
    taker_order_id: int
    maker_account_id: int
    taker_account_id: int
    price_ticks: int
    quantity_lots: int
    quote_units: int
    maker_fee_units: int
    taker_fee_units: int
    insurance_units: int
    maker_lots: int
    maker_cost_units: int
    maker_realised_units: int
    taker_lots: int
    taker_cost_units: int
    taker_realised_units: int
    maker_isolated: bool
    taker_isolated: bool


@dataclass(frozen=True, slots=True)
class RiskParametersSet:
    """Outcome, or after SYMBOL_LISTED: a perpetual market's terms are these from here on."""

    event_type: ClassVar[EventType] = EventType.RISK_PARAMETERS_SET
    sequence: int
    index: int
    time_us: int
    symbol_id: int
    terms: PerpetualTerms


@dataclass(frozen=True, slots=True)
class IndexSet:
    """Outcome: what an index command led to. Prices are 0 where there never was one.

    `index_ticks` is the last index, from now when at least the market's `sources` counted;
    `mark_ticks` the mark, which follows. `open_lots` are the market's long lots.
    """

    event_type: ClassVar[EventType] = EventType.INDEX_SET
    sequence: int
    index: int
    time_us: int
    symbol_id: int
    index_ticks: int
    sources: int
    mark_ticks: int
    open_lots: int
    mark_is_fresh: bool


@dataclass(frozen=True, slots=True)
class PerpetualStateSet:
    """A perpetual market came into another state; outcome when an operator wanted it.

    `trip` says what tripped the breaker; `actor` and `reason` are an operator's.
    """

    event_type: ClassVar[EventType] = EventType.PERPETUAL_STATE_SET
    sequence: int
    index: int
    time_us: int
    symbol_id: int
    state: PerpetualState
    previous_state: PerpetualState
    trigger: StateTrigger
    trip: Trip | None
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LeverageSet:
    """Outcome: a position's leverage is this from here on."""

    event_type: ClassVar[EventType] = EventType.LEVERAGE_SET
    sequence: int
    index: int
    time_us: int
    account_id: int
    symbol_id: int
    leverage: int
    previous_leverage: int


@dataclass(frozen=True, slots=True)
class MarginModeSet:
    """Outcome: what backs a position; `released_units` went from it to the account's cash."""

    event_type: ClassVar[EventType] = EventType.MARGIN_MODE_SET
    sequence: int
    index: int
    time_us: int
    account_id: int
    symbol_id: int
    mode: MarginMode
    released_units: int


@dataclass(frozen=True, slots=True)
class MarginMoved:
    """Outcome: `amount_units` went into (> 0) or out of an isolated position's cash."""

    event_type: ClassVar[EventType] = EventType.MARGIN_MOVED
    sequence: int
    index: int
    time_us: int
    key: int
    account_id: int
    symbol_id: int
    amount_units: int
    margin_units: int


@dataclass(frozen=True, slots=True)
class FundingSettled:
    """Outcome: a funding was paid; `entries` FUNDING_PAID follow, by account.

    Their units and `rounding_units`, which the rounding account receives, sum to 0.
    """

    event_type: ClassVar[EventType] = EventType.FUNDING_SETTLED
    sequence: int
    index: int
    time_us: int
    symbol_id: int
    funding_time_us: int
    rate_ppm: int
    premium_ppm: int
    mark_ticks: int
    rounding_units: int
    entries: int


@dataclass(frozen=True, slots=True)
class FundingPaid:
    """One position received (> 0) or paid (< 0) `amount_units` of funding."""

    event_type: ClassVar[EventType] = EventType.FUNDING_PAID
    sequence: int
    index: int
    symbol_id: int
    account_id: int
    lots: int
    amount_units: int
    isolated: bool


@dataclass(frozen=True, slots=True)
class ScopeFrozen:
    """Outcome: a liquidation begins; `closed_count` orders close next, then SCOPE_STATE."""

    event_type: ClassVar[EventType] = EventType.SCOPE_FROZEN
    sequence: int
    index: int
    time_us: int
    key: int
    account_id: int
    symbol_id: int
    closed_count: int


@dataclass(frozen=True, slots=True)
class ScopeUnfrozen:
    """Outcome: a liquidation is over; SCOPE_STATE follows."""

    event_type: ClassVar[EventType] = EventType.SCOPE_UNFROZEN
    sequence: int
    index: int
    time_us: int
    key: int
    account_id: int
    symbol_id: int


@dataclass(frozen=True, slots=True)
class ScopeState:
    """A scope as it is now: after each step of a liquidation, and after SCOPE_CHANGED."""

    event_type: ClassVar[EventType] = EventType.SCOPE_STATE
    sequence: int
    index: int
    account_id: int
    symbol_id: int
    version: int
    cash_units: int
    equity_units: int
    maintenance_units: int
    shortage_units: int
    frozen: bool


@dataclass(frozen=True, slots=True)
class LiquidationPlaced:
    """Outcome: an order to liquidate meets the book; trades, then SCOPE_STATE follow."""

    event_type: ClassVar[EventType] = EventType.LIQUIDATION_PLACED
    sequence: int
    index: int
    time_us: int
    key: int
    account_id: int
    symbol_id: int
    order_id: int
    side: Side
    lots: int
    limit_ticks: int
    fund_may_pay: bool


@dataclass(frozen=True, slots=True)
class UnwindPlaced:
    """Outcome: an order to sell the fund's position meets the book; trades follow."""

    event_type: ClassVar[EventType] = EventType.UNWIND_PLACED
    sequence: int
    index: int
    time_us: int
    key: int
    account_id: int
    symbol_id: int
    order_id: int
    side: Side
    lots: int
    limit_ticks: int


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Outcome: the fund took over a position; SCOPE_STATE follows.

    `delta_lots` and `quote_units` are the liquidated's: what closed, and the cash it is worth to
    it. The fund's change of position is the opposite. No cash is moved but what is realised.
    """

    event_type: ClassVar[EventType] = EventType.TAKEN_OVER
    sequence: int
    index: int
    time_us: int
    key: int
    account_id: int
    symbol_id: int
    delta_lots: int
    quote_units: int
    lots: int
    cost_units: int
    realised_units: int
    fund_lots: int
    fund_cost_units: int
    fund_realised_units: int
    isolated: bool


@dataclass(frozen=True, slots=True)
class Deleveraged:
    """Two positions closed against each other at the liquidated's bankruptcy quote, no fees.

    `delta_lots` and `quote_units` are the liquidated's; `haircut_units` is how much worse than at
    mark it was for the counterparty. Outcome of a command, whose `key` it has; without a key
    (0) a step of another command.
    """

    event_type: ClassVar[EventType] = EventType.DELEVERAGED
    sequence: int
    index: int
    time_us: int
    key: int
    account_id: int
    counterparty_id: int
    symbol_id: int
    delta_lots: int
    quote_units: int
    haircut_units: int
    lots: int
    cost_units: int
    realised_units: int
    counterparty_lots: int
    counterparty_cost_units: int
    counterparty_realised_units: int
    isolated: bool
    counterparty_isolated: bool


@dataclass(frozen=True, slots=True)
class FundToppedUp:
    """Outcome: the fund's cash grew by `amount_units` that came from outside."""

    event_type: ClassVar[EventType] = EventType.FUND_TOPPED_UP
    sequence: int
    index: int
    time_us: int
    key: int
    account_id: int
    asset_id: int
    amount_units: int


@dataclass(frozen=True, slots=True)
class DustSwept:
    """Outcome: `amount_units` of rounding dust went to the fund."""

    event_type: ClassVar[EventType] = EventType.DUST_SWEPT
    sequence: int
    index: int
    time_us: int
    key: int
    account_id: int
    asset_id: int
    amount_units: int


@dataclass(frozen=True, slots=True)
class PositionSettled:
    """A position of `lots` was closed at its market's final price."""

    event_type: ClassVar[EventType] = EventType.POSITION_SETTLED
    sequence: int
    index: int
    symbol_id: int
    account_id: int
    lots: int
    cost_units: int
    realised_units: int
    isolated: bool


@dataclass(frozen=True, slots=True)
class MarketSettled:
    """Outcome: a market ends; DELEVERAGED and then `entries` POSITION_SETTLED follow."""

    event_type: ClassVar[EventType] = EventType.MARKET_SETTLED
    sequence: int
    index: int
    time_us: int
    key: int
    symbol_id: int
    price_ticks: int
    entries: int


RiskEvent = (
    PerpetualTrade
    | RiskParametersSet
    | IndexSet
    | PerpetualStateSet
    | LeverageSet
    | MarginModeSet
    | MarginMoved
    | FundingSettled
    | FundingPaid
    | ScopeFrozen
    | ScopeUnfrozen
    | ScopeState
    | LiquidationPlaced
    | UnwindPlaced
    | TakenOver
    | Deleveraged
    | FundToppedUp
    | DustSwept
    | PositionSettled
    | MarketSettled
)
