"""A client of `/v1/ws`: its requests, its subscriptions, its account, its orders."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from fastapi import WebSocket

from api.errors import Problem
from api.json_text import repeats_a_member
from api.services import Services
from api.websocket.account import AccountChannel
from api.websocket.disconnect_guard import DisconnectGuard
from api.websocket.hub import CHANNELS, DEFAULT_INTERVAL, channel_of
from api.websocket.line import Line
from api.websocket.order_entry import OrderEntry
from api.websocket.order_operations import OPERATIONS
from api.websocket.requests import ClientRequest, encode, error, read_request
from api.websocket.wire import CLOSE_GOING_AWAY
from domain.candles import INTERVALS

LARGEST_SUBSCRIPTION_COUNT = 60
HEARTBEAT_SECONDS = 5.0

_CREDENTIALS = ("key", "timestamp", "window", "signature", "token")
_KNOWN = ", ".join(("login", "subscribe", "unsubscribe", "resubscribe", "ping", *OPERATIONS))


class Connection(Line):
    """A client of `/v1/ws`: what it asks for and hears."""

    def __init__(self, socket: WebSocket, services: Services) -> None:
        super().__init__(socket)
        self._services = services
        self._hub = services.hub
        self._account = AccountChannel(services, self.offer, self._end)
        self._orders: OrderEntry | None = None
        self._guard: DisconnectGuard | None = None
        self._subscriptions: set[tuple[str, str]] = set()
        self._beating: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve the connection until it ends."""
        self._beat_later()
        await super().run()

    async def _finish(self) -> None:
        if self._orders is not None:
            await self._orders.finish()

    async def _leave(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
        for channel, symbol in self._subscriptions:
            self._hub.unsubscribe(self, channel, symbol)
        await asyncio.gather(self._let_go(), self._account.close())

    async def _let_go(self) -> None:
        """End the lane of orders; then nothing of it comes after the guard's cancel."""
        if self._orders is not None:
            await self._orders.close()
        if self._guard is not None:
            stays = self._ended.is_set() and self._goodbye[0] == CLOSE_GOING_AWAY
            await self._services.accounts.guards.release(self._guard, cancels=not stays)

    def _admits(self, raw: str | bytes) -> bool:
        """Admit a batch of who is logged in; orders are counted with the limits of REST."""
        return self._orders is not None or super()._admits(raw)

    def _beat_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._beating = loop.call_later(HEARTBEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        """Say how far each channel is, now and again in five seconds."""
        beat: dict[str, Any] = {"channel": "heartbeat", "time_ms": time.time_ns() // 10**6}
        beat |= self._hub.sequences(self._subscriptions)
        if self._account.sequences:
            beat["account"] = self._account.sequences
        self.offer(encode(beat))
        self._beat_later()

    def _count(self) -> bool:
        """Count a request of who is logged in; a stranger's was counted when it came."""
        return self._orders is None or self._spend()

    async def _answer(self, raw: str | bytes) -> None:
        text = raw.encode() if isinstance(raw, str) else raw
        try:
            request, is_clear = read_request(text), not repeats_a_member(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._misread("Send one JSON object with op, channel, symbol")
            return
        if not is_clear:
            self._misread("A name is repeated in the object.")
            return
        if request.op in OPERATIONS:
            self._ask_for_orders(request)
            return
        if not self._count():
            return
        if request.op == "ping":
            self._reply({"op": "pong", "id": request.id, "time_ms": time.time_ns() // 10**6})
        elif request.op == "login":
            await self._login(request)
        elif request.op not in ("subscribe", "unsubscribe", "resubscribe"):
            self._refuse(request.id, "unknown_op", f"Known: {_KNOWN}")
        elif request.channel == "account":
            await self._follow_account(request)
        elif request.channel not in CHANNELS:
            self._refuse(request.id, "unknown_channel", f"Known: {', '.join(CHANNELS)}, account")
        else:
            self._follow(request)

    def _misread(self, message: str) -> None:
        """Refuse what is no request, and count it."""
        self._refuse(None, "malformed_request", message)
        self._count()

    def _follow(self, request: ClientRequest) -> None:
        market = self._services.listings.market(request.symbol)
        if market is None:
            self._refuse(request.id, "unknown_symbol", "There is no such market")
            return
        if request.channel != "candles" and request.interval:
            self._refuse(request.id, "unknown_interval", "Only `candles` have one")
            return
        if request.interval and request.interval not in INTERVALS:
            self._refuse(request.id, "unknown_interval", f"Known: {', '.join(INTERVALS)}")
            return
        self._change(request, market.instrument.symbol)

    def _ask_for_orders(self, request: ClientRequest) -> None:
        """Pass a request on to the lane of orders; it is limited as REST is, not as the rest."""
        if self._orders is None:
            self._refuse(request.id, "missing_credentials", "Log in first: the op is `login`.")
            return
        self._orders.accept(request)

    async def _login(self, request: ClientRequest) -> None:
        named = {name: getattr(request, name) for name in _CREDENTIALS}
        given = {name: text for name, text in named.items() if text}
        guarded = request.cancel_on_disconnect
        try:
            caller = await self._account.login(given, self._address, trades=guarded)
        except (Problem, ConnectionError) as failure:
            self._refuse_for(request.id, failure)
            return
        if guarded:
            try:
                self._guard = await self._services.accounts.guards.arm(self._services, caller)
            except (Problem, ConnectionError) as failure:
                self._account.log_out()  # without a guard it is not what was asked for
                self._refuse_for(request.id, failure)
                return
        self._orders = OrderEntry(self._services, caller, self.offer, self._spend)
        self._reply({"op": "logged_in", "id": request.id, "cancel_on_disconnect": guarded})

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
        except (Problem, ConnectionError) as failure:
            self._refuse_for(request.id, failure)

    def _refuse_for(self, request_id: int | str | None, failure: Problem | ConnectionError) -> None:
        problem = failure if isinstance(failure, Problem) else Problem("store_unavailable")
        self._refuse(request_id, problem.code, problem.detail)

    def _change(self, request: ClientRequest, symbol: str) -> None:
        key = (channel_of(request.channel, request.interval), symbol)
        answer = {"id": request.id, "channel": request.channel, "symbol": symbol}
        if request.channel == "candles":
            answer["interval"] = request.interval or DEFAULT_INTERVAL
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
        self.offer(error(request_id, code, message))

    def _reply(self, message: dict[str, Any]) -> None:
        self.offer(encode(message))
