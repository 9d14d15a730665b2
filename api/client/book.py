"""A market's book as a reader of the stream keeps it: by the published rules, each step checked."""

from __future__ import annotations

import heapq
from decimal import Decimal

from api.websocket.hub import FeedMessage
from domain.market_data import CHECKSUM_DEPTH, checksum

Line = tuple[str, str]  # (price, quantity), as they were told


class Book:
    """The levels of one market at `sequence`; not `is_live` before a snapshot and after a gap.

    `gap_count` is how often something was missing, `mismatch_count` how often nothing was and the
    checksum differed all the same.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.sequence = -1
        self.is_live = False
        self.gap_count = 0
        self.mismatch_count = 0
        self._bids: dict[Decimal, Line] = {}
        self._asks: dict[Decimal, Line] = {}

    def take(self, message: FeedMessage) -> bool:
        """Apply a message of the channel; False: something is missing, and it must be resynced.

        A snapshot replaces everything. A delta is applied when `prev_seq` <= `sequence` < `seq`
        and ignored when its `seq` is not newer. After each the checksum of the best ten levels of
        both sides has to be the one that came with it.
        """
        if message.type == "snapshot":
            self._bids, self._asks = {}, {}
        elif not self.is_live:
            return True  # what comes between a gap and its snapshot is in the snapshot
        elif message.seq <= self.sequence:
            return True
        elif message.prev_seq > self.sequence:
            self.is_live = False
            self.gap_count += 1
            return False
        _change(self._bids, message.bids)
        _change(self._asks, message.asks)
        self.sequence = message.seq
        best = self.bids(CHECKSUM_DEPTH), self.asks(CHECKSUM_DEPTH)
        self.is_live = checksum(*best) == message.checksum
        self.mismatch_count += not self.is_live
        return self.is_live

    def lose(self) -> None:
        """Forget that it is up to date: the connection ended."""
        self.is_live = False

    def bids(self, depth: int | None = None) -> list[Line]:
        """Return the bids, best first."""
        count = len(self._bids) if depth is None else depth
        return [self._bids[price] for price in heapq.nlargest(count, self._bids)]

    def asks(self, depth: int | None = None) -> list[Line]:
        """Return the asks, best first."""
        count = len(self._asks) if depth is None else depth
        return [self._asks[price] for price in heapq.nsmallest(count, self._asks)]


def _change(levels: dict[Decimal, Line], changes: list[Line]) -> None:
    for price, quantity in changes:
        if quantity == "0":
            levels.pop(Decimal(price), None)
        else:
            levels[Decimal(price)] = (price, quantity)
