"""All markets of one shard as the market data process publishes them; no IO."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from api.market_answers import candle_members, trade_members
from domain.candles import Candle, CandleBoard, interval_name
from domain.events import Event, PerpetualTrade, SymbolDelisted, SymbolListed, Trade
from domain.instrument import Instrument
from domain.market_data import (
    CHECKSUM_DEPTH,
    BookEvent,
    BookMirror,
    BookMirrorError,
    Level,
    PublicTrade,
    checksum,
    level_texts,
)
from domain.perpetual_record import PerpetualNow
from workers.perpetual_feed import PerpetualEvent, PerpetualFeed

TAPE_LENGTH = 100
HOT_EVERY_SECONDS = 1.0

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class MarketState:
    """One market: mirror, tape, candles, and what has not been written out yet."""

    instrument: Instrument
    mirror: BookMirror
    candles: CandleBoard
    tape: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=TAPE_LENGTH))
    new_trades: list[dict[str, Any]] = field(default_factory=list)
    expected: tuple[int, list[Level], list[Level]] | None = None
    is_changed: bool = True
    is_over: bool = False  # delisted: no candle follows the last one
    hot_at: float = 0.0
    perpetual: PerpetualFeed | None = None


class MarketBooks:
    """Applies events to every market and hands out encoded messages."""

    def __init__(self) -> None:
        self._markets: dict[int, MarketState] = {}
        self._time_us = 0
        self._sequence = 0
        self.check_count = 0

    def open(
        self,
        instrument: Instrument,
        sequence: int,
        bids: Iterable[Level],
        asks: Iterable[Level],
        candles: CandleBoard | None = None,
        tape: Iterable[PublicTrade] = (),
        *,
        is_over: bool = False,
        perpetual: PerpetualNow | None = None,
    ) -> None:
        """Add a market with its book at `sequence`; events up to there leave the book alone.

        `candles` go on after what was stored. `is_over`: it is delisted, and nothing happens in it
        any more. `perpetual` is a perpetual market as it is now.
        """
        symbol_id = instrument.symbol_id
        self._markets[symbol_id] = MarketState(
            instrument=instrument,
            mirror=BookMirror(symbol_id, sequence, bids, asks),
            candles=candles or CandleBoard(symbol_id),
            tape=deque((trade_members(trade, instrument) for trade in tape), maxlen=TAPE_LENGTH),
            is_over=is_over,
            perpetual=PerpetualFeed(instrument, perpetual) if instrument.terms else None,
        )

    def symbol_ids(self) -> list[int]:
        """Return the markets' numbers."""
        return sorted(self._markets)

    def unknown_symbols(self, events: Iterable[Event]) -> list[int]:
        """Return markets that these events list and that are not open here."""
        listed = {event.symbol_id for event in events if isinstance(event, SymbolListed)}
        return sorted(listed - self._markets.keys())

    def apply(self, events: Iterable[Event]) -> None:
        """Apply the events of whole commands, in order."""
        for said in events:
            event = self._as_spot(said) if isinstance(said, PerpetualTrade) else said
            self._sequence = event.sequence
            if event.index == 0:
                self._time_us = getattr(event, "time_us", self._time_us)
            if isinstance(said, PerpetualEvent):
                self._perpetual(said)
            if isinstance(event, Trade):
                self._trade(event)
            if isinstance(event, SymbolDelisted):
                self._markets[event.symbol_id].is_over = True
            if isinstance(event, BookEvent):
                market = self._markets[event.symbol_id]
                self._check(market, event.sequence)
                market.mirror.apply(event)

    def _perpetual(self, event: PerpetualEvent) -> None:
        market = self._markets[event.symbol_id]
        assert market.perpetual is not None, f"{market.instrument.symbol} is listed without terms"
        market.perpetual.apply(event, self._time_us)
        market.is_changed = True

    def _as_spot(self, event: PerpetualTrade) -> Trade:
        """Return a perpetual's fill as what book, tape and candles need of it."""
        lot_units = self._markets[event.symbol_id].instrument.base_units_per_lot
        return Trade(
            event.sequence,
            event.index,
            event.symbol_id,
            event.trade_id,
            event.taker_side,
            event.maker_order_id,
            event.taker_order_id,
            event.maker_account_id,
            event.taker_account_id,
            event.price_ticks,
            event.quantity_lots,
            event.quantity_lots * lot_units,
            event.quote_units,
            event.maker_fee_units,
            event.taker_fee_units,
        )

    def _trade(self, trade: Trade) -> None:
        market = self._markets[trade.symbol_id]
        members = trade_members(PublicTrade.of(trade, self._time_us), market.instrument)
        market.tape.append(members)
        market.new_trades.append(members)
        market.candles.add(trade, self._time_us)
        market.is_changed = True

    def expect(self, symbol_id: int, sequence: int, bids: list[Level], asks: list[Level]) -> None:
        """Compare the mirror with the engine's book when it has reached exactly `sequence`."""
        self._markets[symbol_id].expected = (sequence, bids, asks)

    def _check(self, market: MarketState, next_sequence: int) -> None:
        if market.expected is None or next_sequence <= market.expected[0]:
            return
        sequence, bids, asks = market.expected
        market.expected = None
        if market.mirror.sequence > sequence:
            return  # the mirror was past it already when the engine was asked
        self.check_count += 1
        if market.mirror.bids() != bids or market.mirror.asks() != asks:
            raise BookMirrorError(f"{market.instrument.symbol} differs from the engine: {sequence}")

    def take_messages(self) -> list[bytes]:
        """Return what subscribers have to be told, and forget it."""
        messages = []
        for market in self._markets.values():
            delta = market.mirror.take_delta()
            if delta is not None:
                market.is_changed = True
                messages.append(self._delta_message(market, delta.sequence, delta))
            if market.new_trades:
                messages.append(self._message(market, "trades", trades=market.new_trades))
                market.new_trades = []
            if market.perpetual is not None:
                for channel, body in market.perpetual.take():
                    messages.append(self._message(market, channel, **body))
            if not market.is_over:
                market.candles.fill_until(self._time_us, self._sequence)
            market.candles.gather()
            minutes = market.candles.take_untold(minutes=True)
            messages += (self._candle_message(market, minute) for minute in minutes)
        return messages

    def _delta_message(self, market: MarketState, sequence: int, delta: Any) -> bytes:
        return self._message(
            market,
            "book",
            kind="delta",
            seq=sequence,
            prev_seq=delta.previous_sequence,
            time_us=self._time_us,
            bids=level_texts(market.instrument, delta.bids),
            asks=level_texts(market.instrument, delta.asks),
            checksum=self._checksum(market),
        )

    def _candle_message(self, market: MarketState, candle: Candle) -> bytes:
        members = candle_members(candle, market.instrument)
        interval = interval_name(candle.interval_seconds)
        return self._message(market, "candles", interval=interval, candle=members)

    def _candle_copy(self, market: MarketState) -> bytes:
        """Return the newest candle of each interval, by its name."""
        newest = {
            interval_name(candle.interval_seconds): candle_members(candle, market.instrument)
            for candle in market.candles.newest()
        }
        return self._message(market, "candles", candles=newest)

    def take_hot_copies(self, now: float) -> tuple[list[bytes], list[tuple[str, str, bytes]]]:
        """Return messages and (kind, symbol, body): of changed markets, of all once a second.

        The messages are heartbeats, and the candles other than minutes that have changed.
        """
        messages, copies = [], []
        for market in self._markets.values():
            for candle in market.candles.take_untold(minutes=False):
                messages.append(self._candle_message(market, candle))
                market.is_changed = True
            if not market.is_changed and now - market.hot_at < HOT_EVERY_SECONDS:
                continue
            market.is_changed = False
            market.hot_at = now
            symbol = market.instrument.symbol
            sequence = market.mirror.published_sequence
            beat = {"seq": sequence, "checksum": self._checksum(market)}
            messages.append(self._message(market, "book", kind="heartbeat", **beat))
            copies.append(("book", symbol, self._snapshot(market)))
            copies.append(
                ("trades", symbol, self._message(market, "trades", trades=list(market.tape)))
            )
            copies.append(("candles", symbol, self._candle_copy(market)))
            if market.perpetual is not None:
                for channel, body in market.perpetual.copies():
                    copies.append((channel, symbol, self._message(market, channel, **body)))
        return messages, copies

    def _snapshot(self, market: MarketState) -> bytes:
        return self._message(
            market,
            "book",
            kind="snapshot",
            seq=market.mirror.published_sequence,
            bids=level_texts(market.instrument, market.mirror.bids()),
            asks=level_texts(market.instrument, market.mirror.asks()),
            checksum=self._checksum(market),
        )

    def mark_all_changed(self) -> None:
        """Write every hot copy again: messages were lost."""
        for market in self._markets.values():
            market.is_changed = True

    def unsaved_candles(self) -> list[Candle]:
        """Return copies of the candles that changed since they were last saved."""
        return [
            replace(candle)
            for market in self._markets.values()
            for candle in market.candles.unsaved()
        ]

    def forget_saved(self, candles: Iterable[Candle]) -> None:
        """Forget candles that were stored as they are now."""
        for candle in candles:
            self._markets[candle.symbol_id].candles.forget_saved(candle)

    def _checksum(self, market: MarketState) -> int:
        return checksum(
            level_texts(market.instrument, market.mirror.bids(CHECKSUM_DEPTH)),
            level_texts(market.instrument, market.mirror.asks(CHECKSUM_DEPTH)),
        )

    @staticmethod
    def _message(market: MarketState, channel: str, *, kind: str = "update", **body: Any) -> bytes:
        return _encode(
            {"channel": channel, "symbol": market.instrument.symbol, "type": kind, **body}
        )
