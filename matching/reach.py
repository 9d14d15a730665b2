"""Prices held against the orders that wait for them: of each source, market by market.

What is traded, and of a perpetual the mark and the index as they come, is remembered until all
orders that wait for that source have been held against it.
"""

from __future__ import annotations

from domain.order import TriggerSource
from matching.book import Market, Order


def is_touched(market: Market) -> bool:
    """Return whether there are prices, or ended brackets, that nothing was held against yet."""
    return bool(market.ended) or any(reached.low_ticks for reached in market.reached)


def next_source(market: Market) -> int | None:
    """Return whose prices come first: those traded, the mark, the index; None: there are none."""
    for source in TriggerSource:
        if market.reached[source].low_ticks:
            return int(source)
    return None


def would_trigger(market: Market, order: Order) -> bool:
    """Return whether its source's price, or one not yet looked at, is through the trigger."""
    reached, now = market.reached[order.source], market.price_of(order.source)
    low, high = reached.low_ticks or now, reached.high_ticks or now
    return low > 0 and order.is_reached(low, high)


def next_triggered(market: Market, source: int) -> Order | None:
    """Return the order of a source to be set off next: first those that waited for a rise.

    Each way the nearest trigger first, then the oldest.
    """
    reached = market.reached[source]
    low, high = reached.low_ticks, reached.high_ticks
    waiting = market.waiting.values()
    due = [one for one in waiting if one.source == source and one.is_reached(low, high)]

    def turn(order: Order) -> tuple[bool, int, int]:
        trigger = order.trigger_ticks
        return not order.rises, trigger if order.rises else -trigger, order.order_id

    return min(due, key=turn, default=None)


def follow(market: Market, source: int) -> None:
    """Let trailing stops of a source follow; if one moved, its price is to be looked at again."""
    reached = market.reached[source]
    low, high = reached.low_ticks, reached.high_ticks
    moved = [
        one for one in market.waiting.values() if one.source == source and one.follow(low, high)
    ]
    reached.low_ticks = reached.high_ticks = market.price_of(source) if moved else 0
