"""Requests over a WebSocket: `{"id", "method", "params"}`, answered by the REST routes' handlers.

Signed methods carry `apiKey`, `timestamp` and `signature` among their parameters; the signature
covers the others as `name=value`, sorted by name and joined by `&`. Key, scope, limits and refusals
are those of the REST route. `userDataStream.subscribe.signature` makes the connection tell the
account's events, too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
import structlog
from fastapi import WebSocket
from pydantic import ValidationError

from api import auth
from api.auth import Caller
from api.binance.call import Call, Row, refusal_of, used_limits
from api.binance.errors import Refusal, malformed
from api.binance.general import ping
from api.binance.parameters import LARGEST_PARAMETER_COUNT, Parameters, Signed
from api.binance.user_stream import UserStream
from api.errors import Problem
from api.limits import Allowance
from api.nesting import nested_too_deep
from api.services import Services
from api.websocket.line import Line
from domain.customer import Scope

LARGEST_CALL_COUNT = 16
"""How many requests of a connection are answered at a time; the next ones wait to be read."""
LARGEST_SUBSCRIPTION_COUNT = 4
CLOSE_DEFECT = 1011
_LONGEST_ID = 64
_encode = msgspec.json.Encoder().encode
log = structlog.get_logger(__name__)

_COMMON = {
    "order.place": ("POST", "order"),
    "order.test": ("POST", "order/test"),
    "order.cancel": ("DELETE", "order"),
    "order.status": ("GET", "order"),
    "ping": ("GET", "ping"),
    "time": ("GET", "time"),
    "depth": ("GET", "depth"),
    "ticker.price": ("GET", "ticker/price"),
    "ticker.book": ("GET", "ticker/bookTicker"),
    "openOrders.status": ("GET", "openOrders"),
    "exchangeInfo": ("GET", "exchangeInfo"),
    "trades.recent": ("GET", "trades"),
    "trades.aggregate": ("GET", "aggTrades"),
    "klines": ("GET", "klines"),
}
_SPOT_ONLY = {
    "order.cancelReplace": ("POST", "order/cancelReplace"),
    "openOrders.cancelAll": ("DELETE", "openOrders"),
    "allOrders": ("GET", "allOrders"),
    "myTrades": ("GET", "myTrades"),
    "account.status": ("GET", "account"),
    "ticker.24hr": ("GET", "ticker/24hr"),
    "avgPrice": ("GET", "avgPrice"),
    "trades.historical": ("GET", "historicalTrades"),
    "uiKlines": ("GET", "uiKlines"),
}
# What is called over a WebSocket -> method and path of the REST route that answers it.
SPOT_METHODS = {
    name: (method, f"/api/v3/{path}") for name, (method, path) in (_COMMON | _SPOT_ONLY).items()
}
FUTURES_METHODS = {
    **{name: (method, f"/fapi/v1/{path}") for name, (method, path) in _COMMON.items()},
    "order.modify": ("PUT", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.status": ("GET", "/fapi/v3/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "account.balance": ("GET", "/fapi/v3/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.position": ("GET", "/fapi/v3/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
}
SUBSCRIBE = "userDataStream.subscribe.signature"
UNSUBSCRIBE = "userDataStream.unsubscribe"
_SUBSCRIBE_ROW = Row("GET", "/userDataStream", ping, Scope.READ, weight=2)
"""What `SUBSCRIBE` needs and costs; it has no REST route, and this handler is never called."""


class _Number(str):
    """A number of JSON as it was written: decimals keep their digits."""

    __slots__ = ()


class ApiConnection(Line):
    """One connection that asks, and may hear its account."""

    def __init__(
        self, socket: WebSocket, services: Services, rows: Mapping[str, Row], *, perpetual: bool
    ) -> None:
        super().__init__(socket)
        self._services = services
        self._rows = rows
        self._perpetual = perpetual
        self._users: dict[int, UserStream] = {}
        self._next_user = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(LARGEST_CALL_COUNT)

    async def _finish(self) -> None:
        if self._calls:
            await asyncio.wait(self._calls)

    async def _leave(self) -> None:
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        for user in self._users.values():
            await user.close()

    async def _answer(self, raw: str | bytes) -> None:
        """Begin to answer a request; reading goes on while there is room for more."""
        await self._room.acquire()
        call = asyncio.create_task(self._serve(raw))
        self._calls.add(call)
        call.add_done_callback(self._done)

    def _done(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._room.release()
        if not call.cancelled() and call.exception() is not None:
            log.error("answering a request ended", exc_info=call.exception())
            self._end(CLOSE_DEFECT, "internal error")

    async def _serve(self, raw: str | bytes) -> None:
        request_id: Any = None
        allowance: Allowance | None = None
        wants_limits = True
        try:
            request = _request(raw)
            request_id = _id_of(request)
            signed, key_id = _signed(request)
            wants_limits = signed.parameters.text("returnRateLimits") != "false"
            result, allowance = await self._call(request["method"], key_id, signed)
        except (Refusal, Problem, ConnectionError, ValidationError) as error:
            refusal = refusal_of(error, futures=self._perpetual)
            answer: dict[str, Any] = {"status": refusal.status, "error": refusal.body()}
        else:
            answer = {"status": 200, "result": result}
        if allowance is not None and wants_limits:
            answer["rateLimits"] = used_limits(allowance)
        self.offer(_encode({"id": request_id, **answer}))

    async def _call(
        self, method: str, key_id: str | None, signed: Signed
    ) -> tuple[Any, Allowance | None]:
        if method == UNSUBSCRIBE:
            return await self._unsubscribe(signed.parameters), None
        row = _SUBSCRIBE_ROW if method == SUBSCRIBE else self._rows.get(method)
        if row is None or (method == SUBSCRIBE and self._perpetual):
            raise Refusal(-1000, "Unknown method.", status=404)
        caller, allowance = await row.admit(self._services, self._address, key_id, signed)
        if method == SUBSCRIBE:
            assert caller is not None, "it wants a key"
            return await self._subscribe(caller), allowance
        call = Call(self._services, signed.parameters, known=caller)
        return await row.handler(call), allowance

    async def _subscribe(self, caller: Caller) -> dict[str, int]:
        """Tell the caller's events on this connection, wrapped with the subscription's number."""
        if len(self._users) >= LARGEST_SUBSCRIPTION_COUNT:
            raise Refusal(-1128, f"At most {LARGEST_SUBSCRIPTION_COUNT} subscriptions here.")
        await self._services.limiter.once(caller.signature, auth.REMEMBERED_SECONDS)
        number, self._next_user = self._next_user, self._next_user + 1

        def tell(event: bytes) -> None:
            self.offer(b'{"subscriptionId":%d,"event":%b}' % (number, event))

        user = self._users[number] = UserStream(
            self._services, tell, self._end, perpetual=self._perpetual
        )
        try:
            await user.open(caller)
        except BaseException:
            del self._users[number]
            await user.close()
            raise
        return {"subscriptionId": number}

    async def _unsubscribe(self, parameters: Parameters) -> dict[str, Any]:
        """End one subscription, or all of the connection."""
        number = parameters.integer("subscriptionId")
        for one in [one for one in self._users if number in (None, one)]:
            await self._users.pop(one).close()
        return {}


def _request(raw: str | bytes) -> dict[str, Any]:
    """Return a request whose numbers are kept as they were written."""
    body = raw.encode() if isinstance(raw, str) else raw
    if nested_too_deep(body):
        raise Refusal(-1135, "This request is nested too deep.")
    try:
        found = json.loads(body, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    except ValueError as error:
        raise Refusal(-1135, "This request is not valid JSON.") from error
    if not isinstance(found, dict) or not isinstance(found.get("method"), str):
        raise Refusal(-1135, "A request is an object with `id`, `method` and `params`.")
    return found


def _id_of(request: dict[str, Any]) -> int | str | None:
    found = request.get("id")
    if found is None:
        return None
    if isinstance(found, str) and found.isprintable() and len(found) <= _LONGEST_ID:
        if not isinstance(found, _Number):
            return found
        if found.lstrip("-").isdecimal() and len(found) < 20:
            return int(found)
    raise malformed("id")


def _signed(request: dict[str, Any]) -> tuple[Signed, str | None]:
    """Return the parameters with what their signature covers, and the API key that is named."""
    params = request.get("params") or {}
    if not isinstance(params, dict) or len(params) > LARGEST_PARAMETER_COUNT:
        raise malformed("params")
    values = {name: _text(name, value) for name, value in sorted(params.items())}
    signature = values.pop("signature", None)
    messages = _covered(values)
    key_id = values.pop("apiKey", None)
    return Signed(Parameters(values), messages[0], signature, messages[1:]), key_id


def _covered(values: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return the bytes that may have been signed: values percent-encoded, or as they are.

    Where a sign among them could change what is read (`&`, `=`), only percent-encoded.
    """
    encoded = urlencode(values).encode()
    if any(sign in text for pair in values.items() for text in pair for sign in "&="):
        return (encoded,)
    return encoded, "&".join(f"{name}={text}" for name, text in values.items()).encode()


def _text(name: str, value: Any) -> str:
    if not name.isprintable():
        raise malformed("params")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.isprintable():
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return json.dumps(value, separators=(",", ":"))
    raise malformed(name[:32])
