"""Who is connected to the dialect's sockets, without a network: messages are kept, not sent."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, cast

from fastapi import WebSocket

from api.binance.auth import sign
from api.binance.routes import ROWS
from api.binance.stream_board import StreamBoard
from api.binance.ws_api import FUTURES_METHODS, SPOT_METHODS, ApiConnection
from tests.api.binance.clients import ask
from tests.api.binance.feeding import Ear
from tests.api.perpetual_exchange import PerpetualExchange
from tests.api.waiting import eventually

_TABLE = {(row.method, row.path): row for row in ROWS}


class Asker(ApiConnection):
    """A connection to a request API whose answers are kept instead of sent."""

    def __init__(self, exchange: PerpetualExchange, *, perpetual: bool = False) -> None:
        methods = FUTURES_METHODS if perpetual else SPOT_METHODS
        rows = {name: _TABLE[place] for name, place in methods.items() if place in _TABLE}
        super().__init__(cast("WebSocket", None), exchange.services, rows, perpetual=perpetual)
        self.heard: list[dict[str, Any]] = []
        self.ended: tuple[int, str] | None = None

    def offer(self, message: bytes) -> None:
        """Keep it."""
        self.heard.append(json.loads(message))

    def _end(self, code: int, reason: str) -> None:
        self.ended = (code, reason)

    async def raw(self, frame: str | bytes) -> dict[str, Any]:
        """Send a frame; return the answer to it."""
        before = len(self.heard)
        await self._answer(frame)
        await eventually(lambda: any("status" in one for one in self.heard[before:]))
        return next(one for one in self.heard[before:] if "status" in one)

    async def ask(self, method: str, *, key_id: str = "", **params: Any) -> dict[str, Any]:
        """Send a request, signed by a key if one is named."""
        if key_id:
            params |= {"apiKey": key_id, "timestamp": self._services.now_ms()}
            text = "&".join(f"{name}={params[name]}" for name in sorted(params))
            params["signature"] = sign(key_id[::-1].encode(), text.encode())
        return await self.raw(json.dumps({"id": "7", "method": method, "params": params}))

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Return the account's events of one kind."""
        events = [one["event"] for one in self.heard if "event" in one]
        return [one for one in events if one["e"] == kind]

    async def reports(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many reports about orders, and return all of them."""
        await eventually(lambda: len(self.told("executionReport")) >= count)
        return self.told("executionReport")


class Desk:
    """An exchange whose log is followed, and who is connected."""

    def __init__(self) -> None:
        self.exchange = PerpetualExchange()
        self.board = StreamBoard(self.exchange.services)
        self.lines: list[Asker | Ear] = []
        services = self.exchange.services
        self.running = asyncio.create_task(services.accounts.run(services))

    def asker(self, **how: Any) -> Asker:
        """Return a connection to a request API."""
        self.lines.append(made := Asker(self.exchange, **how))
        return made

    def ear(self, **how: Any) -> Ear:
        """Return a connection to the streams."""
        self.lines.append(made := Ear(self.board, **how))
        return made

    async def listen(self, path: str, key_id: str = "key-1") -> str:
        """Return a listen key."""
        answer = await ask(self.exchange, "POST", path, key_id=key_id, signed=False)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["listenKey"])

    async def futures(self) -> Ear:
        """Return somebody who hears the first customer's futures account."""
        ear = self.ear(perpetual=True)
        answer = await ear.ask("SUBSCRIBE", await self.listen("/fapi/v1/listenKey"))
        assert answer == {"result": None, "id": 1}
        return ear

    async def spot(self) -> Asker:
        """Return somebody who hears the first customer's spot account."""
        asker = self.asker()
        answer = await asker.ask("userDataStream.subscribe.signature", key_id="key-1")
        assert answer["result"] == {"subscriptionId": 0}, answer
        return asker

    async def close(self) -> None:
        for line in self.lines:
            await line._leave()
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running
        await self.exchange.http.aclose()
