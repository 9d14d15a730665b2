"""An order and a fill as their owner sees them: what the engine, the history and the API tell."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from operator import attrgetter
from typing import NamedTuple, Self

from domain.errors import RejectReason
from domain.order import (
    CloseReason,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerSource,
)
from domain.quick_values import quickly_made


@quickly_made
@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What most orders do not have; 0 is none. The fields are named as in `PlaceOrder`.

    The engine gives the orders of a list their `list_id`, which is the first one's order id.

    Commands, events, the gRPC message and the history's columns use the same names, so that a new
    term is one line here and one in each of them.
    """

    quote_budget_units: int = 0
    expires_at_us: int = 0
    display_lots: int = 0
    trigger_price_ticks: int = 0
    trailing_offset_ticks: int = 0
    list_id: int = 0

    @classmethod
    def of(cls, source: object) -> Self:
        """Return the terms of anything that has fields of these names."""
        found = _ORDER_TERMS(source)
        return cls(*found) if any(found) else cls()

    def by_name(self) -> dict[str, int]:
        """Return the terms by their names."""
        return asdict(self)


NO_TERMS = OrderTerms()
_ORDER_TERMS = attrgetter(*(field.name for field in fields(OrderTerms)))


@quickly_made
@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One order at one moment: its terms as they are now, and how far it is.

    `quantity_lots` is the whole quantity, what is filled included; an amend or a prevented self
    trade changes it, and with a quote budget it is what the order has bought. An order that
    `is_waiting` for its trigger does not stand in the book, nor does a bracket's child that
    `is_pending` until its entry ends; where a trailing stop's trigger has moved to is
    `trigger_price_ticks` of the engine's record, and 0 in the history. The engine does not keep the
    totals of the fills (quote engine units) nor why an order closed, nor which `refusal` it met
    when it was to act: None there.
    """

    order_id: int
    account_id: int
    symbol_id: int
    client_order_id: str
    client_key: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    self_trade: SelfTrade
    price_ticks: int
    quantity_lots: int
    filled_lots: int
    status: OrderStatus
    accepted_sequence: int
    accepted_at_us: int
    terms: OrderTerms = NO_TERMS
    is_waiting: bool = False
    is_pending: bool = False
    filled_quote_units: int | None = None
    fee_units: int | None = None
    close_reason: CloseReason | None = None
    refusal: RejectReason | None = None
    trigger_source: TriggerSource = TriggerSource.LAST_PRICE
    reduce_only: bool = False
    close_position: bool = False

    def as_history(self) -> OrderRecord:
        """Return the engine's record without where a trailing stop has moved to: no event tells."""
        if not self.terms.trailing_offset_ticks:
            return self
        return replace(self, terms=replace(self.terms, trigger_price_ticks=0))

    def as_engine(self) -> OrderRecord:
        """Return the record without what only the history knows."""
        return replace(
            self, filled_quote_units=None, fee_units=None, close_reason=None, refusal=None
        )


class DryRun(NamedTuple):
    """What would come of an order or a list: a refusal, or (NONE) what it would hold.

    `list_position` is which order of a list is at fault, from 1; 0 the whole, or no list.
    """

    reason: RejectReason
    hold_units: int = 0
    list_position: int = 0


@dataclass(frozen=True, slots=True)
class FillRecord:
    """One side of a trade as its owner sees it; units are quote engine units.

    On a perpetual `realised_units` is the profit that it made, and `insurance_units` what went to
    the insurance fund (negative: came from it); None on a spot market.
    """

    shard: int
    sequence: int
    index: int
    time_us: int
    trade_id: int
    order_id: int
    symbol_id: int
    side: Side
    is_maker: bool
    price_ticks: int
    quantity_lots: int
    quote_units: int
    fee_units: int
    realised_units: int | None = None
    insurance_units: int | None = None
