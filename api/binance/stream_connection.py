"""A client of the dialect's streams: what it subscribes to, and how its requests are answered.

Requests are `{"method": "SUBSCRIBE", "params": ["ethusdt@trade"], "id": 1}`; events go out as they
are, or on a combined connection as `{"stream": name, "data": event}`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from api.binance.errors import Refusal
from api.binance.stream_board import StreamBoard
from api.binance.stream_names import LISTEN_KEY, StreamName, parsed
from api.binance.user_stream import UserStream
from api.errors import Problem
from api.nesting import nested_too_deep
from api.websocket.line import Line

LARGEST_STREAM_COUNT = 200
SUBSCRIBE_WEIGHT = 2
CLOSE_UNKNOWN_STREAM = 1008
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_LONGEST_ID = 64

_encode = msgspec.json.Encoder().encode


class InvalidRequest(Exception):  # noqa: N818 - an answer on its way to the client
    """A request that is answered with an error; the connection stays."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class StreamConnection(Line):
    """One connection to the streams of spot or of futures."""

    def __init__(
        self, socket: WebSocket, board: StreamBoard, *, perpetual: bool, combined: bool = False
    ) -> None:
        super().__init__(socket)
        self._board = board
        self._services = board.services
        self._perpetual = perpetual
        self._combined = combined
        self._names: dict[str, StreamName] = {}
        self._users: dict[str, UserStream] = {}
        self._greetings: list[tuple[str, bytes]] = []

    def hear(self, name: str, event: bytes) -> None:
        """Queue an event of a stream."""
        if self._combined:
            event = b'{"stream":"%b","data":%b}' % (name.encode(), event)
        self.offer(event)

    async def begin(self, names: Sequence[str], time_unit: str = "") -> bool:
        """Subscribe to the streams that the address names; one that is unknown closes it."""
        try:
            _require_milliseconds(time_unit)
            await self._subscribe(list(names))
        except InvalidRequest as error:
            await self._leave()
            with suppress(RuntimeError, WebSocketDisconnect):
                await self._socket.send_text(_encode(_refusal(error, None)).decode())
            await self._close(CLOSE_UNKNOWN_STREAM, error.message[:100])
            return False
        self._greet()
        return True

    async def _leave(self) -> None:
        for name in self._names:
            self._board.leave(self, name, perpetual=self._perpetual)
        for user in self._users.values():
            await user.close()

    async def _answer(self, raw: str | bytes) -> None:
        request_id: Any = None
        try:
            request = _request(raw)
            request_id = _id_of(request)
            result = await self._result(request)
        except InvalidRequest as error:
            self._reply(_refusal(error, request_id))
        else:
            self._reply({"result": result, "id": request_id})
            self._greet()

    async def _result(self, request: dict[str, Any]) -> Any:
        method, params = request.get("method"), request.get("params", [])
        if method not in METHODS:
            known = ", ".join(f"`{one}`" for one in METHODS)
            raise InvalidRequest(2, f"Invalid request: unknown method, expected one of {known}")
        if not isinstance(params, list):
            raise InvalidRequest(2, "Invalid request: params must be a list")
        if method == "LIST_SUBSCRIPTIONS":
            return [*self._names, *self._users]
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(method, params)
        if not params or not all(isinstance(one, str) for one in params):
            raise InvalidRequest(2, "Invalid request: params must be names of streams")
        if method == "SUBSCRIBE":
            await self._subscribe(params)
        else:
            await self._unsubscribe(params)
        return None

    def _property(self, method: str, params: list[Any]) -> bool | None:
        if not params or params[0] != "combined":
            raise InvalidRequest(0, "Unknown property")
        if method == "GET_PROPERTY":
            return self._combined
        if len(params) != 2 or not isinstance(params[1], bool):
            raise InvalidRequest(1, "Invalid value type: expected Boolean")
        self._combined = params[1]
        return None

    async def _subscribe(self, names: list[str]) -> None:
        """Subscribe to all of these streams, or to none and say which one is wrong."""
        fresh = list(dict.fromkeys(one for one in names if one not in self._names))
        keys = [one for one in fresh if LISTEN_KEY.fullmatch(one) and one not in self._users]
        wanted = []
        for text in (one for one in fresh if not LISTEN_KEY.fullmatch(one)):
            name = parsed(text, perpetual=self._perpetual)
            if name is None:
                raise InvalidRequest(2, f"Invalid request: unknown stream {text[:64]!a}")
            wanted.append(name)
        total = len(self._names) + len(self._users) + len(wanted) + len(keys)
        if total > LARGEST_STREAM_COUNT:
            raise InvalidRequest(
                2, f"Invalid request: at most {LARGEST_STREAM_COUNT} streams a connection"
            )
        if not wanted and not keys:
            return
        try:
            await self._services.limiter.charge_address(self._address, SUBSCRIBE_WEIGHT)
        except Problem as problem:
            raise InvalidRequest(-1003, f"Too many requests. {problem.detail}") from problem
        followed: dict[str, UserStream] = {}
        try:
            for key in keys:
                followed[key] = await self._follow(key)
            self._join(wanted)
        except BaseException:
            for user in followed.values():
                await user.close()
            raise
        self._users |= followed

    def _join(self, wanted: list[StreamName]) -> None:
        joined: list[StreamName] = []
        greetings = []
        for name in wanted:
            try:
                last = self._board.join(self, name, perpetual=self._perpetual)
            except Refusal as refusal:
                for one in joined:
                    self._board.leave(self, one.text, perpetual=self._perpetual)
                message = f"Invalid request: no such market: {name.text}"
                raise InvalidRequest(2, message) from refusal
            joined.append(name)
            if last is not None:
                greetings.append((name.text, last))
        self._names |= {name.text: name for name in joined}
        self._greetings += greetings

    def _greet(self) -> None:
        """Tell the newcomer what was told last on the streams that it has joined."""
        greetings, self._greetings = self._greetings, []
        for name, event in greetings:
            self.hear(name, event)

    async def _follow(self, key: str) -> UserStream:
        """Follow the account of a listen key."""
        tell = partial(self.hear, key)
        user = UserStream(self._services, tell, self._end, perpetual=self._perpetual)
        try:
            await user.open_by_key(key, self._address)
        except (Problem, Refusal, ConnectionError) as error:
            await user.close()
            detail = error.message if isinstance(error, Refusal) else str(error)
            raise InvalidRequest(-1125, detail or "This listenKey does not exist.") from error
        except BaseException:
            await user.close()
            raise
        return user

    async def _unsubscribe(self, names: list[str]) -> None:
        for name in names:
            if self._names.pop(name, None) is not None:
                self._board.leave(self, name, perpetual=self._perpetual)
            user = self._users.pop(name, None)
            if user is not None:
                await user.close()

    def _reply(self, message: dict[str, Any]) -> None:
        self.offer(_encode(message))


def _require_milliseconds(time_unit: str) -> None:
    if time_unit.lower() not in ("", "millisecond"):
        raise InvalidRequest(2, "Invalid request: times are in milliseconds")


def _refusal(error: InvalidRequest, request_id: int | str | None) -> dict[str, Any]:
    return {"error": {"code": error.code, "msg": error.message}, "id": request_id}


def _request(raw: str | bytes) -> dict[str, Any]:
    body = raw.encode() if isinstance(raw, str) else raw
    if nested_too_deep(body):
        raise InvalidRequest(3, "Invalid JSON: nested too deep")
    try:
        found = json.loads(body)
    except ValueError as error:
        raise InvalidRequest(3, "Invalid JSON: expected an object in JSON") from error
    if not isinstance(found, dict):
        raise InvalidRequest(3, "Invalid JSON: expected an object")
    return found


def _id_of(request: dict[str, Any]) -> int | str | None:
    found = request.get("id")
    is_number = isinstance(found, int) and not isinstance(found, bool) and abs(found) < 2**63
    is_text = isinstance(found, str) and found.isprintable() and len(found) <= _LONGEST_ID
    if found is not None and not is_number and not is_text:
        raise InvalidRequest(2, "Invalid request: request ID must be a number or a short text")
    return found if is_number or is_text else None
