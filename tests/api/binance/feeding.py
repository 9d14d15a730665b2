"""The small exchange with its market data: what the engine does reaches the gateway's feed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from fastapi import WebSocket

from api.binance.stream_board import StreamBoard
from api.binance.stream_connection import StreamConnection
from tests.api.memory import ETH_USDT
from tests.api.perpetual_exchange import ETH_PERP, PerpetualExchange
from workers.market_books import MarketBooks


class Feeding:
    """An exchange whose books are mirrored and published as the market data process does it."""

    def __init__(self) -> None:
        self.exchange = PerpetualExchange()
        self.books = MarketBooks()
        self._hot: dict[tuple[str, str], bytes] = {}
        self._seen = len(self.exchange.door.events)
        engine = self.exchange.door.engine
        for market in (ETH_USDT, ETH_PERP):
            bids, asks = engine.book(market.symbol_id, 1_000)
            self.books.open(market, engine.sequence, bids, asks)

    async def begin(self) -> None:
        """Let the gateway's hub load the hot copies."""
        hub = self.exchange.services.hub
        hub._source = cast("Any", self)
        for kind, symbol, body in self.books.take_hot_copies(0.0)[1]:
            self._hot[kind, symbol] = body
        for symbol in ("ETH/USDT", "ETH/USDT-PERP"):
            await hub._load(hub.feed(symbol))

    async def hot(self, kind: str, symbol: str) -> bytes | None:
        """Return a hot copy, as the hub's source."""
        return self._hot.get((kind, symbol))

    def flow(self, lose: Callable[[dict[str, Any]], bool] = lambda _: False) -> None:
        """Publish what the engine has done since, without the messages that are lost."""
        events = self.exchange.door.events
        self.books.apply(events[self._seen :])
        self._seen = len(events)
        for message in self.books.take_messages():
            if not lose(json.loads(message)):
                self.exchange.services.hub._take(message)

    def beat(self) -> None:
        """Publish the candles that are told a few times a second."""
        for message in self.books.take_hot_copies(0.0)[0]:
            if b'"candles"' in message:
                self.exchange.services.hub._take(message)


class Ear(StreamConnection):
    """A connection whose messages are kept instead of sent."""

    def __init__(self, board: StreamBoard, *, perpetual: bool = False, **more: Any) -> None:
        super().__init__(cast("WebSocket", None), board, perpetual=perpetual, **more)
        self.heard: list[Any] = []
        self.ended: tuple[int, str] | None = None

    def offer(self, message: bytes) -> None:
        """Keep it."""
        self.heard.append(json.loads(message))

    def _end(self, code: int, reason: str) -> None:
        self.ended = (code, reason)

    async def ask(self, method: Any, *params: Any, **more: Any) -> Any:
        """Send a request; return the answer to it."""
        before = len(self.heard)
        await self._answer(json.dumps({"method": method, "params": params, "id": 1, **more}))
        return next(one for one in self.heard[before:] if isinstance(one, dict) and "id" in one)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of one kind."""
        return [one for one in self.heard if isinstance(one, dict) and one.get("e") == kind]
