"""What everybody may know of a perpetual market as it happens: mark, funding, liquidations; pure.

Marks come every second or two; of those between two looks only the newest is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from domain.events import (
    Deleveraged,
    Event,
    FundingSettled,
    IndexSet,
    LiquidationPlaced,
    PerpetualStateSet,
    PerpetualTrade,
    TakenOver,
)
from domain.instrument import Instrument
from domain.perpetual_record import PerpetualNow
from domain.perpetual_state import PerpetualState
from domain.rounding import half_even_div

KEPT_LIQUIDATIONS = 100
PerpetualEvent = (
    IndexSet
    | PerpetualStateSet
    | FundingSettled
    | LiquidationPlaced
    | PerpetualTrade
    | TakenOver
    | Deleveraged
)


class PerpetualFeed:
    """One perpetual market. `mark`, `funding` are the newest messages' bodies, {} at first."""

    def __init__(self, instrument: Instrument, now: PerpetualNow | None = None) -> None:
        self._instrument = instrument
        self._state = PerpetualState.GUARDED if now is None else now.phase
        self._liquidating = (0, 0)  # sequence and order id of the liquidation that meets the book
        self._changed: set[str] = set()
        self._new: list[dict[str, Any]] = []
        self.mark: dict[str, Any] = {}
        self.funding: dict[str, Any] = {}
        self.liquidations: deque[dict[str, Any]] = deque(maxlen=KEPT_LIQUIDATIONS)
        if now is not None:
            self._tell_mark(now, now.index_time_us, 0)
            self._changed.clear()

    def apply(self, event: Event, time_us: int) -> None:
        """Take an event of this market; `time_us` is its command's."""
        match event:
            case IndexSet():
                self._tell_mark(event, event.time_us, event.sequence)
            case PerpetualStateSet():
                self._state = event.state
                if self.mark:
                    self.mark = {**self.mark, "state": _word(event.state)}
                    self._changed.add("mark")
            case FundingSettled():
                self._tell_funding(event)
            case LiquidationPlaced():
                self._liquidating = (event.sequence, event.order_id)
            case PerpetualTrade() if (event.sequence, event.taker_order_id) == self._liquidating:
                sold = event.taker_side.name == "SELL"
                side = "long" if sold else "short"
                self._tell("book", side, event.quantity_lots, event.price_ticks, event, time_us)
            case TakenOver() | Deleveraged():
                how = "takeover" if isinstance(event, TakenOver) else "deleveraged"
                units = abs(event.delta_lots) * self._instrument.quote_units_per_tick_lot
                ticks = half_even_div(abs(event.quote_units), units)
                side = "long" if event.delta_lots < 0 else "short"
                self._tell(how, side, abs(event.delta_lots), ticks, event, time_us)
            case _:
                pass

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """Return (channel, body) of what is new since the last call."""
        found: list[tuple[str, dict[str, Any]]] = []
        if "mark" in self._changed:
            found.append(("mark", {"mark": self.mark}))
        if "funding" in self._changed:
            found.append(("funding", {"funding": self.funding}))
        if self._new:
            found.append(("liquidations", {"liquidations": self._new}))
        self._changed.clear()
        self._new = []
        return found

    def copies(self) -> list[tuple[str, dict[str, Any]]]:
        """Return (channel, body) of everything that a newcomer should know."""
        return [
            ("mark", {"mark": self.mark}),
            ("funding", {"funding": self.funding}),
            ("liquidations", {"liquidations": list(self.liquidations)}),
        ]

    def _tell_mark(self, said: IndexSet | PerpetualNow, time_us: int, sequence: int) -> None:
        text: Callable[[int], str] = self._instrument.price_text
        self.mark = {
            "state": _word(self._state),
            "index_price": text(said.index_ticks) if said.index_ticks else None,
            "mark_price": text(said.mark_ticks) if said.mark_ticks else None,
            "mark_is_fresh": said.mark_is_fresh,
            "sources": said.sources,
            "open_interest": self._instrument.quantity_text(said.open_lots),
            "time_us": time_us,
            "sequence": sequence,
        }
        self._changed.add("mark")

    def _tell_funding(self, event: FundingSettled) -> None:
        terms = self._instrument.terms
        assert terms is not None
        next_us = event.funding_time_us + terms.funding_interval_seconds * 1_000_000
        self.funding = {
            "rate_ppm": event.rate_ppm,
            "premium_ppm": event.premium_ppm,
            "mark_price": self._instrument.price_text(event.mark_ticks),
            "funding_time_us": event.funding_time_us,
            "next_funding_us": next_us,
            "positions": event.entries,
            "sequence": event.sequence,
        }
        self._changed.add("funding")

    def _tell(
        self,
        how: str,
        side: str,
        lots: int,
        ticks: int,
        event: PerpetualTrade | TakenOver | Deleveraged,
        time_us: int,
    ) -> None:
        body = {
            "how": how,
            "side": side,
            "quantity": self._instrument.quantity_text(lots),
            "price": self._instrument.price_text(ticks),
            "time_us": time_us,
            "sequence": event.sequence,
        }
        self.liquidations.append(body)
        self._new.append(body)


def _word(state: PerpetualState) -> str:
    return state.name.lower()
