"""How many channels a connection may have."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from fastapi import WebSocket

from api.websocket import connection as module
from api.websocket.connection import Connection
from api.websocket.hub import FeedHub
from tests.api.memory import LISTINGS, Memory


class Listener(Connection):
    """A connection whose answers are kept instead of sent."""

    def __init__(self, hub: FeedHub) -> None:
        super().__init__(cast("WebSocket", None), hub, LISTINGS)
        self.answers: list[dict[str, Any]] = []

    def offer(self, message: bytes) -> None:
        """Keep it."""
        self.answers.append(msgspec.json.decode(message))

    def ask(self, op: str, channel: str) -> str:
        """Send a request; return the answer's op, or the code of the refusal."""
        self.answers.clear()
        request = {"op": op, "channel": channel, "symbol": "ETH/USDT"}
        self._answer(msgspec.json.encode(request))
        answer = next(item for item in self.answers if "op" in item)
        return str(answer.get("code", answer["op"]))


def test_a_full_connection_can_still_resubscribe(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit a gap can be healed; one channel more is refused."""
    monkeypatch.setattr(module, "LARGEST_SUBSCRIPTION_COUNT", 2)
    listener = Listener(FeedHub(Memory(), lambda: ["ETH/USDT"]))
    answers = [
        listener.ask(op, channel)
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
