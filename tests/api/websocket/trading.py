"""Connections without a network: messages are kept, not sent; and who trades over one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
from fastapi import WebSocket

from api.services import Services
from api.websocket.connection import Connection

ORDER = {"symbol": "ETH/USDT", "side": "buy", "price": "2500", "quantity": "1"}
LogIn = Callable[..., Any]


class OfflineConnection(Connection):
    """A connection whose messages are kept instead of sent."""

    def __init__(self, services: Services) -> None:
        super().__init__(cast("WebSocket", None), services)
        self.heard: list[dict[str, Any]] = []

    def offer(self, message: bytes) -> None:
        """Keep it."""
        self.heard.append(msgspec.json.decode(message))


class Client(OfflineConnection):
    """Somebody who places orders."""

    async def say(self, **request: Any) -> None:
        """Send a request."""
        await self._answer(msgspec.json.encode(request))

    async def answer(self, request_id: int) -> dict[str, Any]:
        """Wait for the answer to a request."""
        async with asyncio.timeout(30):
            while True:
                for one in self.heard:
                    if one.get("id") == request_id:
                        return one
                await asyncio.sleep(0.001)

    async def ask(self, op: str, **params: Any) -> dict[str, Any]:
        """Send a request of orders; return its answer."""
        number = len(self.heard) + 1_000
        await self.say(op=op, id=number, params=params)
        return await self.answer(number)
