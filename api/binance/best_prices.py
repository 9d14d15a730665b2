"""The best bid and ask of a book, kept from its changes without sorting it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

Level = tuple[str, str]  # (price, quantity) in decimal text; quantity "0" removes the level


class _Side:
    def __init__(self, sign: int) -> None:
        self._sign = sign  # 1 where the highest price is the best one
        self._value: Decimal | None = None
        self.best: Level | None = None

    def start(self, levels: Mapping[str, str]) -> None:
        """Look through a whole side."""
        price = max(levels, key=lambda text: self._sign * Decimal(text), default=None)
        self._value = None if price is None else Decimal(price)
        self.best = None if price is None else (price, levels[price])

    def change(self, changes: Iterable[Level], levels: Mapping[str, str]) -> None:
        """Take changes; `levels` is the side after them, looked through if its best one went."""
        for price, quantity in changes:
            value = Decimal(price)
            if quantity == "0":
                if value == self._value:
                    self.start(levels)
                    return
            elif self._value is None or self._sign * (value - self._value) >= 0:
                self._value, self.best = value, (price, quantity)


class BestPrices:
    """One market's best bid and ask. What changes them returns whether they differ."""

    def __init__(self) -> None:
        self._bids = _Side(1)
        self._asks = _Side(-1)

    def book(self) -> tuple[list[Level], list[Level]]:
        """Return (bids, asks), each with one level or none."""
        bid, ask = self._bids.best, self._asks.best
        return [bid] if bid else [], [ask] if ask else []

    def start(self, bids: Iterable[Level], asks: Iterable[Level]) -> bool:
        """Take a whole book."""
        before = self.book()
        self._bids.start(dict(bids))
        self._asks.start(dict(asks))
        return self.book() != before

    def change(
        self,
        bids: Iterable[Level],
        asks: Iterable[Level],
        all_bids: Mapping[str, str],
        all_asks: Mapping[str, str],
    ) -> bool:
        """Take a delta, with the sides as they are after it."""
        before = self.book()
        self._bids.change(bids, all_bids)
        self._asks.change(asks, all_asks)
        return self.book() != before
