"""One engine on a desk: a conformance run drives it with plain commands and reads its events."""

from __future__ import annotations

from collections.abc import Iterable

from domain.commands import Command, Credit, ListSymbol
from domain.events import (
    Event,
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderRested,
    SelfTradePrevented,
    Trade,
)
from domain.fees import flat_fees
from domain.order import Side
from matching.codec import decode_events, encode_command
from matching.engine import create_engine

TIME_US = 1_700_000_000_000_000
NO_LIMIT = 10**9


def market(symbol_id: int, listing_price_ticks: int, band_ppm: int) -> ListSymbol:
    """Return a market without fees or limits: one unit a lot, one quote unit a tick and lot.

    Its base asset has the id 2 x symbol - 1, its quote asset 2 x symbol.
    """
    return ListSymbol(
        symbol_id=symbol_id,
        base_asset_id=2 * symbol_id - 1,
        quote_asset_id=2 * symbol_id,
        base_units_per_lot=1,
        quote_units_per_tick_lot=1,
        fees=flat_fees(0, 0),
        max_taker_fee_ppm=0,
        band_ppm=band_ppm,
        listing_price_ticks=listing_price_ticks,
        max_order_lots=10**15,
        max_open_orders=NO_LIMIT,
    )


class DivergenceError(RuntimeError):
    """Two engines answered the same command with different events."""


class Desk:
    """Engines under the same commands: one, or several whose events must be equal byte for byte.

    Time stands still: no expiry and no window plays a part.
    """

    def __init__(self, *kinds: str) -> None:
        """Start empty engines: "core", "reference" or "auto"."""
        self.engines = [create_engine(kind=kind) for kind in kinds]
        self._next_key = 1

    def run(self, command: Command) -> list[Event]:
        """Apply one command and return its events; `DivergenceError` where the engines differ."""
        return decode_events(self.apply([command]))

    def apply(self, commands: Iterable[Command]) -> bytes:
        """Apply commands as one batch and return their event stripes."""
        first = self.engines[0].sequence + 1
        batch = b"".join(
            encode_command(command, sequence=sequence, time_us=TIME_US)
            for sequence, command in enumerate(commands, first)
        )
        out, *others = (engine.apply(batch) for engine in self.engines)
        if any(other != out for other in others):
            raise DivergenceError(f"the engines differ after command {self.engines[0].sequence}")
        return out

    def fund(self, account_id: int, asset_id: int, units: int) -> None:
        """Credit an account under a fresh key."""
        self.run(Credit(self._next_key, account_id, asset_id, units, TIME_US))
        self._next_key += 1

    def digest(self) -> bytes:
        """Return the digest of the state; `DivergenceError` where the engines differ."""
        first, *others = (engine.digest() for engine in self.engines)
        if any(other != first for other in others):
            raise DivergenceError(f"the states differ after command {self.engines[0].sequence}")
        return first


class Queue:
    """The resting orders of all markets in priority, rebuilt from events alone."""

    def __init__(self) -> None:
        self._accepted: dict[int, OrderAccepted] = {}
        self._resting: dict[int, list[int]] = {}  # order id -> [price, lots], in order of arrival

    def read(self, events: Iterable[Event]) -> None:
        """Take in events in order."""
        for event in events:
            match event:
                case OrderAccepted():
                    self._accepted[event.order_id] = event
                case OrderRested():
                    self._resting[event.order_id] = [event.price_ticks, event.remaining_lots]
                case Trade():
                    self._resting[event.maker_order_id][1] -= event.quantity_lots
                case SelfTradePrevented():
                    self._resting[event.maker_order_id][1] -= event.lots
                case OrderAmended() if event.kept_place:
                    remaining = event.quantity_lots - event.filled_lots
                    self._resting[event.order_id][1] = remaining
                case OrderAmended():
                    del self._resting[event.order_id]
                case OrderClosed():
                    self._resting.pop(event.order_id, None)
                    del self._accepted[event.order_id]
                case _:
                    pass

    def side(self, symbol_id: int, side: Side) -> list[tuple[int, int, int]]:
        """Return (order id, price in ticks, remaining lots) of a side, best and oldest first."""
        mine = [
            (order_id, price, lots)
            for order_id, (price, lots) in self._resting.items()
            if (self._accepted[order_id].symbol_id, self._accepted[order_id].side)
            == (symbol_id, side)
        ]
        return sorted(mine, key=lambda line: -line[1] if side is Side.BUY else line[1])
