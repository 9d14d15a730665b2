"""How many channels a connection may have."""

from __future__ import annotations

import msgspec
import pytest

from api.websocket import connection as module
from domain.candles import INTERVALS
from tests.api.exchange import Exchange
from tests.api.websocket.trading import OfflineConnection


class Listener(OfflineConnection):
    """Somebody who asks for channels."""

    async def ask(self, op: str, channel: str, **more: str) -> str:
        """Send a request; return the answer's op, or the code of the refusal."""
        self.heard.clear()
        request = {"op": op, "channel": channel, "symbol": "ETH/USDT", **more}
        await self._answer(msgspec.json.encode(request))
        answer = next(item for item in self.heard if "op" in item)
        return str(answer.get("code", answer["op"]))


async def test_a_full_connection_can_still_resubscribe(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit a gap can be healed; one channel more is refused."""
    monkeypatch.setattr(module, "LARGEST_SUBSCRIPTION_COUNT", 2)
    listener = Listener(exchange.services)
    answers = [
        await listener.ask(op, channel)
        for op, channel in (
            ("subscribe", "book"),
            ("subscribe", "trades"),
            ("resubscribe", "book"),
            ("subscribe", "candles"),
            ("resubscribe", "candles"),
            ("unsubscribe", "book"),
            ("subscribe", "candles"),
        )
    ]
    assert answers == [
        *("subscribed", "subscribed", "subscribed"),
        *("too_many_subscriptions", "too_many_subscriptions"),
        *("unsubscribed", "subscribed"),
    ]


async def test_each_interval_of_candles_is_a_subscription(exchange: Exchange) -> None:
    """Without an interval it is the minute; one that there is not, or of another channel, is no."""
    listener = Listener(exchange.services)
    for interval in INTERVALS:
        assert await listener.ask("subscribe", "candles", interval=interval) == "subscribed"
        assert [one["interval"] for one in listener.heard] == [interval, interval]
    assert await listener.ask("subscribe", "candles") == "already_subscribed"
    assert await listener.ask("subscribe", "candles", interval="7m") == "unknown_interval"
    assert await listener.ask("subscribe", "book", interval="1m") == "unknown_interval"
    assert await listener.ask("unsubscribe", "candles", interval="1h") == "unsubscribed"
    assert await listener.ask("subscribe", "candles", interval="1h") == "subscribed"
