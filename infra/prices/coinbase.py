"""Coinbase Exchange's public ticker channel.

Sent once: `{"type": "subscribe", "product_ids": ["BTC-USDT"], "channels": ["ticker",
"heartbeat"]}`. Received at each match, and once at the beginning: `{"type": "ticker",
"product_id": "BTC-USDT", "price": "67000.1", "time": "2026-11-27T10:00:00.123456Z", ...}`.
Message types that are not known are to be ignored, says the venue.
Format: Coinbase, "Exchange WebSocket Channels".
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from infra.prices.source import Quote
from infra.prices.venue import GarbageError, VenueError
from infra.prices.venue_time import VenueTime, microseconds


class _Message(msgspec.Struct):
    type: str
    product_id: str = ""
    price: str = ""
    time: VenueTime | None = None
    message: str = ""
    reason: str = ""


_decode = msgspec.json.Decoder(_Message).decode


class Coinbase:
    """The last trade of each pair."""

    name = "coinbase"
    url = "wss://ws-feed.exchange.coinbase.com"

    def pair(self, base: str, quote: str) -> str:
        """Return e.g. `BTC-USDT`."""
        return f"{base}-{quote}"

    def address(self, url: str, pairs: Sequence[str]) -> str:
        """Return the one address of all pairs."""
        del pairs
        return url

    def subscriptions(self, pairs: Sequence[str]) -> Sequence[str]:
        """Return the one subscription; without it the venue hangs up after 5 seconds."""
        wanted = {
            "type": "subscribe",
            "product_ids": list(pairs),
            "channels": ["ticker", "heartbeat"],
        }
        return (msgspec.json.encode(wanted).decode(),)

    def quotes(self, frame: str | bytes) -> Sequence[Quote]:
        """Return a ticker's last price."""
        try:
            message = _decode(frame)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise GarbageError(str(error)) from error
        if message.type == "error":
            raise VenueError(f"{message.message}: {message.reason}"[:100])
        if message.type != "ticker":
            return ()
        if message.time is None:
            raise GarbageError("a ticker without a time")
        return (Quote(message.product_id, message.price, microseconds(message.time)),)
