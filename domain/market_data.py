"""Public market data, rebuilt from the engine's events: book mirror and trades. Pure.

The mirror keeps quantities per price level (L2). It needs no order ids: a rested order adds to a
level, a trade takes from the maker's level, a resting order that closes takes its remainder, and
an iceberg adds what it shows, slice by slice.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from domain.events import (
    Event,
    OrderAmended,
    OrderClosed,
    OrderRefilled,
    OrderRested,
    SelfTradePrevented,
    Trade,
)
from domain.instrument import Instrument
from domain.order import Side

CHECKSUM_DEPTH = 10

BookEvent = Trade | SelfTradePrevented | OrderAmended | OrderRested | OrderRefilled | OrderClosed
Level = tuple[int, int]  # (price_ticks, quantity_lots)


@dataclass(frozen=True, slots=True)
class BookDelta:
    """New quantities of the levels that changed; 0 lots removes a level.

    `sequence` is the last command that changed the book, `previous_sequence` that of the delta
    before: a reader whose last sequence is not `previous_sequence` has missed something.
    """

    symbol_id: int
    sequence: int
    previous_sequence: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class BookMirror:
    """One market's price levels at `sequence`, kept equal to the engine's book."""

    def __init__(
        self,
        symbol_id: int,
        sequence: int = 0,
        bids: Iterable[Level] = (),
        asks: Iterable[Level] = (),
    ) -> None:
        self.symbol_id = symbol_id
        self.sequence = sequence
        self._levels: dict[Side, dict[int, int]] = {Side.BUY: dict(bids), Side.SELL: dict(asks)}
        self._changed: dict[Side, set[int]] = {Side.BUY: set(), Side.SELL: set()}
        self._published_sequence = sequence

    def apply(self, event: Event) -> None:
        """Apply one event of this market; events up to `sequence` are in the book already."""
        if event.sequence <= self._published_sequence:
            return
        if isinstance(event, OrderRested | OrderRefilled):
            shown = event.remaining_lots - event.hidden_lots
            self._add(event.side, event.price_ticks, shown, event.sequence)
        elif isinstance(event, Trade):
            maker_side = event.taker_side.opposite
            self._add(maker_side, event.price_ticks, -event.quantity_lots, event.sequence)
        elif isinstance(event, SelfTradePrevented):
            self._add(event.taker_side.opposite, event.price_ticks, -event.lots, event.sequence)
        elif isinstance(event, OrderAmended) and not event.is_waiting:
            lost = event.previous_quantity_lots - event.previous_hidden_lots
            lost -= (
                event.quantity_lots - event.hidden_lots if event.kept_place else event.filled_lots
            )
            if lost:
                self._add(event.side, event.previous_price_ticks, -lost, event.sequence)
        elif isinstance(event, OrderClosed) and event.resting:
            shown = event.remaining_lots - event.hidden_lots
            if shown:
                self._add(event.side, event.price_ticks, -shown, event.sequence)

    def take_delta(self) -> BookDelta | None:
        """Return what changed since the last call, or None; call it between whole commands."""
        if self.sequence == self._published_sequence:
            return None
        delta = BookDelta(
            symbol_id=self.symbol_id,
            sequence=self.sequence,
            previous_sequence=self._published_sequence,
            bids=self._changed_levels(Side.BUY),
            asks=self._changed_levels(Side.SELL),
        )
        self._published_sequence = self.sequence
        for changed in self._changed.values():
            changed.clear()
        return delta

    def apply_delta(self, delta: BookDelta) -> bool:
        """Apply a published delta; False when one before it is missing (the book is unchanged)."""
        if delta.sequence <= self.sequence:
            return True
        if delta.previous_sequence > self.sequence:
            return False
        for side, levels in ((Side.BUY, delta.bids), (Side.SELL, delta.asks)):
            for price_ticks, quantity_lots in levels:
                if quantity_lots:
                    self._levels[side][price_ticks] = quantity_lots
                else:
                    self._levels[side].pop(price_ticks, None)
        self.sequence = self._published_sequence = delta.sequence
        return True

    @property
    def published_sequence(self) -> int:
        """Return the sequence of the last delta taken, or of the start."""
        return self._published_sequence

    def bids(self, depth: int | None = None) -> list[Level]:
        """Return the bids, best (highest) first."""
        levels = self._levels[Side.BUY].items()
        return heapq.nlargest(depth, levels) if depth else sorted(levels, reverse=True)

    def asks(self, depth: int | None = None) -> list[Level]:
        """Return the asks, best (lowest) first."""
        levels = self._levels[Side.SELL].items()
        return heapq.nsmallest(depth, levels) if depth else sorted(levels)

    def _add(self, side: Side, price_ticks: int, lots: int, sequence: int) -> None:
        quantity = self._levels[side].get(price_ticks, 0) + lots
        if quantity < 0:
            raise BookMirrorError(f"level {price_ticks} below zero at sequence {sequence}")
        if quantity:
            self._levels[side][price_ticks] = quantity
        else:
            del self._levels[side][price_ticks]
        self._changed[side].add(price_ticks)
        self.sequence = sequence

    def _changed_levels(self, side: Side) -> tuple[Level, ...]:
        levels = self._levels[side]
        ordered = sorted(self._changed[side], reverse=side is Side.BUY)
        return tuple((price, levels.get(price, 0)) for price in ordered)


class BookMirrorError(RuntimeError):
    """The mirror disagrees with the events: a defect; rebuild from a snapshot."""


def checksum(bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]]) -> int:
    """Return the CRC32 of the top 10 levels as they are published in decimal text.

    The text is `price:quantity` of up to 10 bids (best first), then of up to 10 asks (best
    first), all joined by `:`.
    """
    top = [*list(bids)[:CHECKSUM_DEPTH], *list(asks)[:CHECKSUM_DEPTH]]
    return zlib.crc32(":".join(f"{price}:{quantity}" for price, quantity in top).encode())


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """A trade as everyone sees it."""

    symbol_id: int
    trade_id: int
    sequence: int
    time_us: int
    taker_side: Side
    price_ticks: int
    quantity_lots: int

    @staticmethod
    def of(trade: Trade, time_us: int) -> PublicTrade:
        """Return the public part of an engine's trade; `time_us` is its command's."""
        return PublicTrade(
            symbol_id=trade.symbol_id,
            trade_id=trade.trade_id,
            sequence=trade.sequence,
            time_us=time_us,
            taker_side=trade.taker_side,
            price_ticks=trade.price_ticks,
            quantity_lots=trade.quantity_lots,
        )


def level_texts(instrument: Instrument, levels: Iterable[Level]) -> list[tuple[str, str]]:
    """Return levels as (price, quantity) decimal text."""
    return [
        (instrument.price_text(price), instrument.quantity_text(quantity))
        for price, quantity in levels
    ]
