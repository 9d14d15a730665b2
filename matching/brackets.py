"""Children of brackets: what becomes of them when their entry ended, as the reference acts.

They are seen to once the command has acted, market by market, in order of their lists. A child is
armed for what the entry has filled: it holds, and stands in the book or waits for its trigger, or
it may not and closes. Children of an entry that has filled nothing close. `triggers.py` says when.
"""

from __future__ import annotations

from domain.errors import RejectReason
from domain.order import CloseReason
from matching.admission import refuse_armed
from matching.book import Market, Order
from matching.reach import would_trigger
from matching.trading import Trading

_NONE = RejectReason.NONE


class Brackets(Trading):
    """Trading, and what it leaves to do for the children of brackets."""

    def see_to(self, market: Market, list_id: int) -> None:
        """Arm or close the pending orders of a list whose entry ended."""
        children = list(market.pending[list_id].values())
        if children[0].entry_lots:
            self._arm(market, children)
        else:
            self.close_all(children, CloseReason.ORDER_LIST_DONE)

    def _arm(self, market: Market, children: list[Order]) -> None:
        """Let the children of an entry stand for what it has filled, as an OCO if both may."""
        state, before = self.state, [child.quantity_lots for child in children]
        refusals = []
        for child in children:
            state.take_out(market, child)
            child.pending, child.quantity_lots = 0, child.entry_lots
            refusals.append(refuse_armed(state, market, child))
        if refusals == [_NONE, _NONE]:
            market.link(*children)
        for child, lots, refusal in zip(children, before, refusals, strict=True):
            hold = 0 if refusal else market.held_units(child)
            self.events.armed(child, lots, hold, refusal)
            if refusal or not child.is_waiting:
                self.finish(market, child, CloseReason.REFUSED_AT_TRIGGER if refusal else None)
                continue
            self.hold(market, child, hold)
            state.rest(market, child)
            if would_trigger(market, child):
                market.reached[child.source].note(market.price_of(child.source))
