"""One side of a book: price levels and who stands first at them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from domain.order import Side

if TYPE_CHECKING:
    from matching.book import Order

_BUY = int(Side.BUY)


class BookSide:
    """Price levels of one side. A level's rank grows with its priority; the best is last."""

    __slots__ = ("levels", "ranks", "sign")

    def __init__(self, side: int) -> None:
        self.sign = 1 if side == _BUY else -1
        self.levels: dict[int, OrderedDict[int, Order]] = {}
        self.ranks: list[int] = []

    def add(self, order: Order) -> None:
        """Put `order` at the end of its level."""
        rank = order.price_ticks * self.sign
        level = self.levels.get(rank)
        if level is None:
            level = self.levels[rank] = OrderedDict()
            insort(self.ranks, rank)
        level[order.order_id] = order

    def remove(self, order: Order) -> None:
        """Take `order` out; a level that becomes empty goes with it."""
        rank = order.price_ticks * self.sign
        level = self.levels[rank]
        del level[order.order_id]
        if not level:
            del self.levels[rank]
            if self.ranks[-1] == rank:
                self.ranks.pop()
            else:
                del self.ranks[bisect_left(self.ranks, rank)]

    def first(self, limit_rank: int) -> Order | None:
        """Return the order to be met first at `limit_rank` or better."""
        if not self.ranks or self.ranks[-1] < limit_rank:
            return None
        return next(iter(self.levels[self.ranks[-1]].values()))

    def walk(self) -> Iterator[Order]:
        """Yield all orders, best price first, in time order within a price."""
        for rank in reversed(self.ranks):
            yield from self.levels[rank].values()

    def depth(self, levels: int) -> list[tuple[int, int]]:
        """Return (price_ticks, shown lots) of the best `levels` levels."""
        return [
            (
                rank * self.sign,
                sum(order.shown_lots for order in self.levels[rank].values()),
            )
            for rank in self.ranks[: -levels - 1 : -1]
        ]
