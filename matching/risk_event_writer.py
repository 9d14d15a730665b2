"""What the reference engine says about perpetuals. Written as objects, encoded by the codec."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from domain import risk_events as e
from domain.circuit_breaker import Trip
from domain.perpetual_state import PerpetualState, StateTrigger
from domain.position import PositionChange
from domain.risk_commands import MarginMode
from domain.trading_status import StatusReason
from matching.book import Market, Order
from matching.event_batch import EventBatch
from matching.event_codec import encode_event
from matching.perpetual import Perpetual, Seat
from matching.wire import STRIPE

_TIMED = frozenset(
    kind for kind in e.RiskEvent.__args__ if any(field.name == "time_us" for field in fields(kind))
)


class RiskEvents(EventBatch):
    """Write the events of perpetuals."""

    __slots__ = ()

    def say(self, kind: type[e.RiskEvent], **values: Any) -> None:
        """Write an event of these values; number and time are the command's."""
        if kind in _TIMED:
            values["time_us"] = self.time_us
        raw = encode_event(kind(sequence=self.sequence, index=self.next_index(), **values))
        self.out += [raw[at : at + STRIPE] for at in range(0, len(raw), STRIPE)]

    def perpetual_trade(
        self,
        trade_id: int,
        maker: Order,
        taker: Order,
        lots: int,
        amounts: tuple[int, int, int, int],
        made: tuple[PositionChange, Seat],
        took: tuple[PositionChange, Seat],
    ) -> None:
        """One fill; `amounts` are quote, maker fee, taker fee and insurance units."""
        quote, maker_fee, taker_fee, insurance = amounts
        self.say(
            e.PerpetualTrade,
            symbol_id=taker.symbol_id,
            trade_id=trade_id,
            taker_side=taker.side,
            maker_order_id=maker.order_id,
            taker_order_id=taker.order_id,
            maker_account_id=maker.account_id,
            taker_account_id=taker.account_id,
            price_ticks=maker.price_ticks,
            quantity_lots=lots,
            quote_units=quote,
            maker_fee_units=maker_fee,
            taker_fee_units=taker_fee,
            insurance_units=insurance,
            maker_lots=made[0].position.lots,
            maker_cost_units=made[0].position.cost_units,
            maker_realised_units=made[0].realised_units,
            taker_lots=took[0].position.lots,
            taker_cost_units=took[0].position.cost_units,
            taker_realised_units=took[0].realised_units,
            maker_isolated=made[1].is_isolated,
            taker_isolated=took[1].is_isolated,
        )

    def risk_parameters_set(self, market: Market, perpetual: Perpetual) -> None:
        """Outcome, or behind it: a market has terms."""
        symbol_id = market.rules.symbol_id
        self.say(e.RiskParametersSet, symbol_id=symbol_id, terms=perpetual.terms)

    def index_set(self, market: Market, perpetual: Perpetual) -> None:
        """Outcome: sources were heard."""
        self.say(
            e.IndexSet,
            symbol_id=market.rules.symbol_id,
            index_ticks=perpetual.index_ticks,
            sources=perpetual.sources,
            mark_ticks=perpetual.mark_ticks,
            open_lots=perpetual.open_lots,
            mark_is_fresh=perpetual.is_fresh(self.time_us),
        )

    def perpetual_state_set(
        self,
        market: Market,
        before: PerpetualState,
        trigger: StateTrigger,
        trip: Trip | None = None,
        said: StatusReason | None = None,
    ) -> None:
        """Say that a market came into another state; `said` is an operator's."""
        assert market.perpetual is not None
        self.say(
            e.PerpetualStateSet,
            symbol_id=market.rules.symbol_id,
            state=market.perpetual.phase,
            previous_state=before,
            trigger=trigger,
            trip=trip,
            actor=said.actor if said else "",
            reason=said.reason if said else "",
        )

    def leverage_set(self, market: Market, seat: Seat, previous: int) -> None:
        """Outcome: a seat has another leverage."""
        self.say(
            e.LeverageSet,
            symbol_id=market.rules.symbol_id,
            account_id=seat.account_id,
            leverage=seat.leverage,
            previous_leverage=previous,
        )

    def margin_mode_set(self, market: Market, seat: Seat, released_units: int) -> None:
        """Outcome: a seat is backed otherwise."""
        self.say(
            e.MarginModeSet,
            symbol_id=market.rules.symbol_id,
            account_id=seat.account_id,
            mode=MarginMode(seat.is_isolated),
            released_units=released_units,
        )
