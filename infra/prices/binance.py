"""Binance's public trade streams.

One combined stream an address: `{"stream": "btcusdt@trade", "data": {"e": "trade", "s":
"BTCUSDT", "p": "67000.10", "T": 1732700000123, ...}}`, times in milliseconds. The server pings
every 20 seconds and ends each connection after a day; both are the session's matter.
Format: Binance, "WebSocket Streams".
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from infra.prices.source import Quote
from infra.prices.venue import GarbageError, VenueError

_US_PER_MS = 1_000
_MAX_MS = 1 << 43


class _Payload(msgspec.Struct):
    e: str = ""
    s: str = ""
    p: str = ""
    T: int = 0


class _Frame(msgspec.Struct):
    data: _Payload | None = None
    e: str = ""
    error: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Frame).decode


class Binance:
    """The last trade of each pair."""

    name = "binance"
    url = "wss://stream.binance.com:9443"

    def pair(self, base: str, quote: str) -> str:
        """Return e.g. `BTCUSDT`."""
        return f"{base}{quote}"

    def address(self, url: str, pairs: Sequence[str]) -> str:
        """Return the combined stream of the pairs' trades; here names are in lower case."""
        streams = "/".join(f"{pair.lower()}@trade" for pair in pairs)
        return f"{url.rstrip('/')}/stream?streams={streams}"

    def subscriptions(self, pairs: Sequence[str]) -> Sequence[str]:
        """Return nothing: the address says it all."""
        del pairs
        return ()

    def quotes(self, frame: str | bytes) -> Sequence[Quote]:
        """Return a trade's price."""
        try:
            message = _decode(frame)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise GarbageError(str(error)) from error
        if message.error:
            raise VenueError(bytes(message.error)[:100].decode("utf-8", "replace"))
        payload = message.data
        if "serverShutdown" in (message.e, payload.e if payload else ""):
            raise VenueError("the server shuts down")
        if payload is None or payload.e != "trade":
            return ()
        if not 0 < payload.T < _MAX_MS:
            raise GarbageError(f"no time in milliseconds: {payload.T}")
        return (Quote(payload.s, payload.p, payload.T * _US_PER_MS),)
