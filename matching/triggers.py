"""What a command leaves to do: orders that its prices set off, and children of ended entries.

After each command the prices it traded, and the mark and index it brought, are held against the
triggers, market by market. An order that is set off acts at once, and what it trades may set off
others. When nothing is reached any
more, the children of the next bracket whose entry ended are seen to, which may be reached in turn.
Only as much is done as the command's events allow; the rest follows with the next command.
"""

from __future__ import annotations

from domain.limits import TRIGGER_ROOM
from domain.order import CloseReason
from matching.admission import closed_to_orders, refuse_triggered
from matching.book import BUY, Market, Order
from matching.brackets import Brackets
from matching.reach import follow, is_touched, next_source, next_triggered


class Triggers(Brackets):
    """Trading, and what it sets off and ends."""

    def run_triggers(self) -> None:
        """Set off what the prices traded have reached and end brackets, in order of markets."""
        state = self.state
        for symbol_id in sorted(state.touched):
            market = state.markets[symbol_id]
            if closed_to_orders(state, market):
                continue
            while self.events.index <= TRIGGER_ROOM and self._see_to_next(market):
                pass
            if not is_touched(market):
                state.touched.discard(symbol_id)

    def _see_to_next(self, market: Market) -> bool:
        """Do what comes next in a market, prices first; return whether there was anything."""
        source = next_source(market)
        if source is None:
            if market.ended:
                self.see_to(market, min(market.ended))
                return True
            return False
        order = next_triggered(market, source)
        if order is None:
            follow(market, source)
        else:
            self.set_off(market, order)
        return True

    def set_off(self, market: Market, order: Order) -> None:
        """Let an order act that waited; what the book does not allow now closes it."""
        prices = market.reached[order.source]
        reached = prices.high_ticks if order.rises else prices.low_ticks
        self.hold(market, order, -market.held_units(order))
        order.covered_units = 0
        self.state.take_out(market, order)
        order.is_waiting = False
        if order.is_market:  # its own limit is what it holds for, the band's edge is for all
            lowest, highest = market.band()
            edge = order.limit_ticks
            order.limit_ticks = min(edge, highest) if order.side == BUY else max(edge, lowest)
        refusal = refuse_triggered(self.state, market, order)
        self.events.triggered(order, reached, refusal)
        self.end_list(market, order)
        stopped = CloseReason.REFUSED_AT_TRIGGER if refusal else self.trade(market, order)
        self.finish(market, order, stopped)
