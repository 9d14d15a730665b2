"""A client of `/v1/ws`: its requests, its subscriptions, its account."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec
from fastapi import WebSocket

from api.errors import Problem
from api.services import Services
from api.websocket.account import AccountChannel
from api.websocket.hub import CHANNELS
from api.websocket.line import Line

LARGEST_SUBSCRIPTION_COUNT = 60
HEARTBEAT_SECONDS = 5.0


class ClientRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What a client may send; the last four are a login's, `after` is of the channel `account`."""

    op: str
    channel: str = ""
    symbol: str = ""
    id: int | str | None = None
    after: dict[str, int] = {}
    key: str = ""
    timestamp: str = ""
    window: str = ""
    signature: str = ""


_CREDENTIALS = ("key", "timestamp", "window", "signature")
_decode = msgspec.json.Decoder(ClientRequest).decode
_encode = msgspec.json.Encoder().encode


class Connection(Line):
    """A client of `/v1/ws`: what it asks for and hears."""

    def __init__(self, socket: WebSocket, services: Services) -> None:
        super().__init__(socket)
        self._services = services
        self._hub = services.hub
        self._account = AccountChannel(services, self.offer, self._end)
        self._subscriptions: set[tuple[str, str]] = set()

    def _work(self) -> Sequence[Coroutine[Any, Any, None]]:
        return (self._heartbeat(),)

    async def _leave(self) -> None:
        for channel, symbol in self._subscriptions:
            self._hub.unsubscribe(self, channel, symbol)
        await self._account.close()

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            sequences = {
                symbol: self._hub.feed(symbol).sequence
                for channel, symbol in self._subscriptions
                if channel == "book"
            }
            beat = {"channel": "heartbeat", "time_ms": time.time_ns() // 10**6, "seq": sequences}
            if self._account.sequences:
                beat["account"] = self._account.sequences
            self._reply(beat)

    async def _answer(self, raw: str | bytes) -> None:
        try:
            request = _decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._refuse(None, "malformed_request", "Send one JSON object with op, channel, symbol")
            return
        if request.op == "ping":
            self._reply({"op": "pong", "id": request.id, "time_ms": time.time_ns() // 10**6})
            return
        if request.op == "login":
            await self._login(request)
            return
        if request.op not in ("subscribe", "unsubscribe", "resubscribe"):
            self._refuse(
                request.id, "unknown_op", "Known: login, subscribe, unsubscribe, resubscribe, ping"
            )
            return
        if request.channel == "account":
            await self._follow_account(request)
            return
        if request.channel not in CHANNELS:
            self._refuse(request.id, "unknown_channel", f"Known: {', '.join(CHANNELS)}, account")
            return
        market = self._services.listings.market(request.symbol)
        if market is None:
            self._refuse(request.id, "unknown_symbol", "There is no such market")
            return
        self._change(request, market.instrument.symbol)

    async def _login(self, request: ClientRequest) -> None:
        named = {name: getattr(request, name) for name in _CREDENTIALS}
        given = {name: text for name, text in named.items() if text}
        try:
            await self._account.login(given, self._address)
        except (Problem, ConnectionError) as error:
            self._refuse_for(request.id, error)
            return
        self._reply({"op": "logged_in", "id": request.id})

    async def _follow_account(self, request: ClientRequest) -> None:
        """Follow the account of the login: from `after`, or from a snapshot."""
        answer = {"id": request.id, "channel": "account"}
        if request.op == "unsubscribe":
            self._account.unsubscribe()
            self._reply({"op": "unsubscribed", **answer})
            return
        if request.op == "subscribe" and self._account.sequences:
            self._refuse(request.id, "already_subscribed", "Use resubscribe for a new snapshot")
            return
        try:
            self._account.require()
            self._reply({"op": "subscribed", **answer})
            await self._account.follow(request.after)
        except (Problem, ConnectionError) as error:
            self._refuse_for(request.id, error)

    def _refuse_for(self, request_id: int | str | None, error: Problem | ConnectionError) -> None:
        problem = error if isinstance(error, Problem) else Problem("store_unavailable")
        self._refuse(request_id, problem.code, problem.detail)

    def _change(self, request: ClientRequest, symbol: str) -> None:
        key = (request.channel, symbol)
        answer = {"id": request.id, "channel": request.channel, "symbol": symbol}
        if request.op == "unsubscribe":
            self._hub.unsubscribe(self, *key)
            self._subscriptions.discard(key)
            self._reply({"op": "unsubscribed", **answer})
            return
        if key in self._subscriptions and request.op == "subscribe":
            self._refuse(request.id, "already_subscribed", "Use resubscribe for a new snapshot")
            return
        if key not in self._subscriptions and (
            len(self._subscriptions) >= LARGEST_SUBSCRIPTION_COUNT
        ):
            self._refuse(request.id, "too_many_subscriptions", "Unsubscribe first")
            return
        self._subscriptions.add(key)
        self._reply({"op": "subscribed", **answer})
        self._hub.subscribe(self, *key)

    def _refuse(self, request_id: int | str | None, code: str, message: str) -> None:
        self._reply({"op": "error", "id": request_id, "code": code, "message": message})

    def _reply(self, message: dict[str, Any]) -> None:
        self.offer(_encode(message))
