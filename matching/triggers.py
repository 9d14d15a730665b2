"""Orders that wait for a price: setting them off, as the reference engine acts.

After each command the prices it traded are held against the triggers, market by market. An order
that is set off acts at once, and what it trades may set off others. Only as many are set off as
the command's events allow; the rest follow with the next command.
"""

from __future__ import annotations

from domain.limits import TRIGGER_ROOM
from domain.order import CloseReason
from matching.admission import closed_to_orders, order_rules
from matching.book import BUY, Market, Order
from matching.trading import Trading


class Triggers(Trading):
    """Trading, and what it sets off."""

    def run_triggers(self) -> None:
        """Set off what the prices traded have reached, in order of markets."""
        state = self.state
        for symbol_id in sorted(state.touched):
            market = state.markets[symbol_id]
            if closed_to_orders(state, market):
                continue
            while self.events.index <= TRIGGER_ROOM:
                order = market.next_triggered()
                if order is not None:
                    self.set_off(market, order)
                elif not market.follow():
                    state.touched.discard(symbol_id)
                    break

    def set_off(self, market: Market, order: Order) -> None:
        """Let an order act that waited; what the book does not allow now closes it."""
        reached = market.high_ticks if order.rises else market.low_ticks
        self.hold(market, order, -market.held_units(order))
        order.covered_units = 0
        self.state.take_out(market, order)
        order.is_waiting = False
        if order.is_market:  # its own limit is what it holds for, the band's edge is for all
            lowest, highest = market.band()
            edge = order.limit_ticks
            order.limit_ticks = min(edge, highest) if order.side == BUY else max(edge, lowest)
        refusal = order_rules(self.state, market, order)
        self.events.triggered(order, reached, refusal)
        self.end_list(market, order)
        stopped = CloseReason.REFUSED_AT_TRIGGER if refusal else self.trade(market, order)
        self.finish(market, order, stopped)
