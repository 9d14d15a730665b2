"""One WebSocket: its subscriptions, its bounded queue, and the codes with which it is closed."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import msgspec
from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from api.errors import Problem
from api.services import Services
from api.websocket.account import AccountChannel
from api.websocket.hub import CHANNELS

QUEUE_MESSAGES = 1_000
LARGEST_SUBSCRIPTION_COUNT = 60
LARGEST_REQUEST_RATE = 50  # a second, averaged over the connection's last ten
HEARTBEAT_SECONDS = 5.0
GOODBYE_SECONDS = 5.0  # how long a slow reader may take to reach the close frame

CLOSE_SLOW_READER = 4008
CLOSE_TOO_MANY_REQUESTS = 4029
CLOSE_TOO_MANY_CONNECTIONS = 4013


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


class Connection:
    """Reads the client's requests and writes the queue; ends when either side gives up."""

    def __init__(self, socket: WebSocket, services: Services) -> None:
        self._socket = socket
        self._services = services
        self._address = socket.client.host if socket and socket.client else "unknown"
        self._hub = services.hub
        self._account = AccountChannel(services, self.offer, self._end)
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_MESSAGES)
        self._subscriptions: set[tuple[str, str]] = set()
        self._ended = asyncio.Event()
        self._goodbye = (CLOSE_SLOW_READER, "you read too slowly")
        self._request_tokens = float(LARGEST_REQUEST_RATE * 10)
        self._last_request = time.monotonic()

    def offer(self, message: bytes) -> None:
        """Queue a message; a full queue means a slow reader, who is let go."""
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self._ended.set()

    def _end(self, code: int, reason: str) -> None:
        """Have the connection closed with a code of ours."""
        self._goodbye = (code, reason)
        self._ended.set()

    async def run(self) -> None:
        """Serve the connection until it ends."""
        tasks = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._write()),
            asyncio.create_task(self._heartbeat()),
            asyncio.create_task(self._ended.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for channel, symbol in self._subscriptions:
                self._hub.unsubscribe(self, channel, symbol)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, self._account.close(), return_exceptions=True)
        if self._ended.is_set():
            await self._close(*self._goodbye)

    async def _read(self) -> None:
        with suppress(WebSocketDisconnect):
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                if not self._take_token():
                    await self._close(CLOSE_TOO_MANY_REQUESTS, "too many requests")
                    return
                await self._answer(message.get("text") or message.get("bytes") or b"")

    def _take_token(self) -> bool:
        now = time.monotonic()
        earned = (now - self._last_request) * LARGEST_REQUEST_RATE
        self._request_tokens = min(LARGEST_REQUEST_RATE * 10.0, self._request_tokens + earned) - 1
        self._last_request = now
        return self._request_tokens >= 0

    async def _write(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            while True:
                message = await self._queue.get()
                await self._socket.send_text(message.decode())

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

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is WebSocketState.DISCONNECTED:
            return
        with suppress(RuntimeError, TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._socket.close(code, reason)
