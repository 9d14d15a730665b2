"""Requests over a WebSocket: `{"id", "method", "params"}`, answered by the REST routes' handlers.

Signed methods carry `apiKey`, `timestamp` and `signature` among their parameters; the signature
covers the others as `name=value`, sorted by name and joined by `&`. Key, scope, limits and refusals
are those of the REST route. `userDataStream.subscribe.signature` makes the connection tell the
account's events, too. After `session.logon`, signed methods need neither key nor signature.
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
from api.binance.auth import Session, logged_on
from api.binance.call import Call, Row, refusal_of, used_limits
from api.binance.errors import Refusal, malformed
from api.binance.general import ping
from api.binance.parameters import LARGEST_PARAMETER_COUNT, Parameters, Signed, json_of
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
    "orderList.place": ("POST", "order/oco"),
    "orderList.place.oco": ("POST", "orderList/oco"),
    "orderList.place.oto": ("POST", "orderList/oto"),
    "orderList.place.otoco": ("POST", "orderList/otoco"),
    "orderList.status": ("GET", "orderList"),
    "orderList.cancel": ("DELETE", "orderList"),
    "openOrderLists.status": ("GET", "openOrderList"),
    "allOrderLists": ("GET", "allOrderList"),
    "allOrders": ("GET", "allOrders"),
    "myTrades": ("GET", "myTrades"),
    "account.status": ("GET", "account"),
    "ticker.24hr": ("GET", "ticker/24hr"),
    "avgPrice": ("GET", "avgPrice"),
    "trades.historical": ("GET", "historicalTrades"),
    "uiKlines": ("GET", "uiKlines"),
    "userDataStream.start": ("POST", "userDataStream"),
    "userDataStream.ping": ("PUT", "userDataStream"),
    "userDataStream.stop": ("DELETE", "userDataStream"),
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
    "userDataStream.start": ("POST", "/fapi/v1/listenKey"),
    "userDataStream.ping": ("PUT", "/fapi/v1/listenKey"),
    "userDataStream.stop": ("DELETE", "/fapi/v1/listenKey"),
}
LOGON, LOGOUT, STATUS = "session.logon", "session.logout", "session.status"
SUBSCRIBE, SUBSCRIBE_SIGNED = "userDataStream.subscribe", "userDataStream.subscribe.signature"
UNSUBSCRIBE, SUBSCRIPTIONS = "userDataStream.unsubscribe", "session.subscriptions"
_OWN_ROW = Row("GET", "/session", ping, Scope.READ, weight=2)
"""What `LOGON`, `SUBSCRIBE` and `SUBSCRIBE_SIGNED` need and cost; they have no REST route, and this
handler is never called."""
_OF_SPOT = (SUBSCRIBE, SUBSCRIBE_SIGNED, UNSUBSCRIBE, SUBSCRIPTIONS)


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
        self._connected_ms = services.now_ms()
        self._session: Session | None = None
        self._changing_session = asyncio.Lock()
        self._users: dict[int, UserStream] = {}
        self._session_users: set[int] = set()  # numbers of those that a session has asked for
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
        """Return the answer; what comes behind a logon waits until that is answered."""
        async with self._changing_session:
            if method in (LOGON, LOGOUT):
                return await self._change_session(method, key_id, signed)
            session = self._session if key_id is None and signed.signature is None else None
        if method == STATUS:
            await self._look_at_key()
            return self._status(), None
        if method in _OF_SPOT and not self._perpetual:
            return await self._call_about_events(method, key_id, signed, session)
        row = self._rows.get(method)
        if row is None:
            raise Refusal(-1000, "Unknown method.", status=404)
        if row.keyed and session is not None:
            key_id = session.logged_on.key_id
        caller, allowance = await row.admit(self._services, self._address, key_id, signed, session)
        call = Call(self._services, signed.parameters, known=caller)
        return await row.handler(call), allowance

    async def _change_session(
        self, method: str, key_id: str | None, signed: Signed
    ) -> tuple[Any, Allowance | None]:
        """Log on, which needs a signature of its own, or out: then the session's events end."""
        if method == LOGOUT:
            self._session = None
            await self._forget(self._session_users.copy())
            return self._status(), None
        caller, allowance = await _OWN_ROW.admit(self._services, self._address, key_id, signed)
        assert caller is not None, "it wants a key"
        self._session = await logged_on(self._services, caller, self._address)
        return self._status(), allowance

    async def _look_at_key(self) -> None:
        """Forget who has logged on by a key that is not valid any more."""
        session, services = self._session, self._services
        if session is None:
            return
        key_id = session.logged_on.key_id
        key = await auth.valid_key(services.keys, key_id, services.now_ms)
        if key is None and self._session is session:
            self._session = None

    def _status(self) -> dict[str, Any]:
        session = self._session
        return {
            "apiKey": None if session is None else session.logged_on.key_id,
            "authorizedSince": None if session is None else session.since_ms,
            "connectedSince": self._connected_ms,
            "returnRateLimits": True,
            "serverTime": self._services.now_ms(),
            "userDataStream": bool(self._session_users),
        }

    async def _call_about_events(
        self, method: str, key_id: str | None, signed: Signed, session: Session | None
    ) -> tuple[Any, Allowance | None]:
        if method == UNSUBSCRIBE:
            number = signed.parameters.integer("subscriptionId")
            await self._forget({one for one in self._users if number in (None, one)})
            return {}, None
        if method == SUBSCRIPTIONS:
            return [{"subscriptionId": number} for number in self._users], None
        if method == SUBSCRIBE and session is None:
            raise Refusal(-2015, "Log on first: the method is `session.logon`.", status=401)
        caller, allowance = await _OWN_ROW.admit(
            self._services, self._address, key_id, signed, session
        )
        assert caller is not None, "it wants a key"
        return await self._subscribe(caller, session), allowance

    async def _subscribe(self, caller: Caller, session: Session | None) -> dict[str, int]:
        """Tell the caller's events on this connection, wrapped with the subscription's number."""
        if len(self._users) >= LARGEST_SUBSCRIPTION_COUNT:
            raise Refusal(-1128, f"At most {LARGEST_SUBSCRIPTION_COUNT} subscriptions here.")
        number, self._next_user = self._next_user, self._next_user + 1

        def tell(event: bytes) -> None:
            self.offer(b'{"subscriptionId":%d,"event":%b}' % (number, event))

        user = self._users[number] = UserStream(
            self._services, tell, self._end, perpetual=self._perpetual
        )
        try:
            await self._services.limiter.once(caller.signature, auth.REMEMBERED_SECONDS)
            await user.open(caller)
            if session is not None:
                if session is not self._session:
                    raise Refusal(-2015, "Logged out meanwhile.", status=401)  # noqa: TRY301
                self._session_users.add(number)
        except BaseException:
            self._users.pop(number, None)
            await user.close()
            raise
        return {"subscriptionId": number}

    async def _forget(self, numbers: set[int]) -> None:
        """End subscriptions."""
        self._session_users -= numbers
        for number in numbers:
            user = self._users.pop(number, None)
            if user is not None:
                await user.close()


def _request(raw: str | bytes) -> dict[str, Any]:
    """Return a request whose numbers are kept as they were written."""
    body = raw.encode() if isinstance(raw, str) else raw
    if nested_too_deep(body):
        raise Refusal(-1135, "This request is nested too deep.")
    try:
        found = json_of(body, _Number)
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
