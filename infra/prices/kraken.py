"""Kraken's public trade channel, version 2 of its WebSocket.

Sent once: `{"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USDT"],
"snapshot": false}}`. Received: `{"channel": "trade", "type": "update", "data": [{"symbol":
"BTC/USDT", "price": 67000.1, "timestamp": "2026-11-27T10:00:00.123456Z", ...}]}`; the price is a
JSON number, and its digits are read as they are written. Each second without news: a heartbeat.
Format: Kraken, "Spot WebSocket v2: trade".
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from infra.prices.source import Quote
from infra.prices.venue import GarbageError, VenueError
from infra.prices.venue_time import VenueTime, microseconds


class _Trade(msgspec.Struct):
    symbol: str
    price: msgspec.Raw
    timestamp: VenueTime


class _Message(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()
    success: bool = True
    error: str = ""


_decode = msgspec.json.Decoder(_Message).decode
_decode_trades = msgspec.json.Decoder(list[_Trade]).decode


class Kraken:
    """The last trade of each pair."""

    name = "kraken"
    url = "wss://ws.kraken.com/v2"

    def pair(self, base: str, quote: str) -> str:
        """Return e.g. `BTC/USDT`."""
        return f"{base}/{quote}"

    def address(self, url: str, pairs: Sequence[str]) -> str:
        """Return the one address of all pairs."""
        del pairs
        return url

    def subscriptions(self, pairs: Sequence[str]) -> Sequence[str]:
        """Return the one subscription; trades before it are not asked for."""
        params = {"channel": "trade", "symbol": list(pairs), "snapshot": False}
        return (msgspec.json.encode({"method": "subscribe", "params": params}).decode(),)

    def quotes(self, frame: str | bytes) -> Sequence[Quote]:
        """Return the prices of a frame's trades, in its order."""
        try:
            message = _decode(frame)
            trades = _decode_trades(message.data) if message.channel == "trade" else []
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise GarbageError(str(error)) from error
        if not message.success:
            raise VenueError(message.error[:100])
        return [
            Quote(
                trade.symbol,
                bytes(trade.price).decode("utf-8", "replace"),
                microseconds(trade.timestamp),
            )
            for trade in trades
        ]
