"""Where the dialect's WebSockets are: streams of spot and futures, and the two request APIs.

Clients build these addresses in several ways: streams named in the path or the query, a number for
a connection of its own, and of futures a category, which changes nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from api.binance.call import Row
from api.binance.stream_board import StreamBoard
from api.binance.stream_connection import StreamConnection
from api.binance.ws_api import FUTURES_METHODS, SPOT_METHODS, ApiConnection
from api.services import Services
from api.websocket.route import serve

_CATEGORIES = ("", "/public", "/market", "/private")
Endpoint = Callable[[WebSocket], Coroutine[Any, Any, None]]


def stream_routes(rows: Sequence[Row]) -> list[BaseRoute]:
    """Return the routes; methods of the request APIs are answered by the REST routes `rows`."""
    found: list[BaseRoute] = []
    bases = [("/stream", False), *((f"/fstream{one}", True) for one in _CATEGORIES)]
    for base, perpetual in bases:
        raw = _streams(perpetual=perpetual, combined=False)
        combined = _streams(perpetual=perpetual, combined=True)
        found += [
            WebSocketRoute(f"{base}/ws", raw),
            WebSocketRoute(f"{base}/ws/{{names:path}}", raw),
            WebSocketRoute(f"{base}/stream", combined),
        ]
    found.append(WebSocketRoute("/ws-api/v3", _requests(SPOT_METHODS, rows, perpetual=False)))
    found.append(WebSocketRoute("/ws-fapi/v1", _requests(FUTURES_METHODS, rows, perpetual=True)))
    return found


def board_of(connection: HTTPConnection) -> StreamBoard:
    """Return the gateway's streams, made when they are first asked for."""
    state = connection.app.state
    services: Services = state.services
    board: StreamBoard | None = getattr(state, "stream_board", None)
    if board is None or board.services is not services:
        board = state.stream_board = StreamBoard(services)
    return board


def _streams(*, perpetual: bool, combined: bool) -> Endpoint:
    async def endpoint(socket: WebSocket) -> None:
        connection = StreamConnection(
            socket, board_of(socket), perpetual=perpetual, combined=combined
        )
        names = _names(socket)

        async def begin() -> bool:
            return await connection.begin(names, socket.query_params.get("timeUnit", ""))

        await serve(socket, connection, begin)

    return endpoint


def _names(socket: WebSocket) -> list[str]:
    """Return the streams that an address names; a number only tells connections apart."""
    query = socket.query_params
    listed = socket.path_params.get("names", "").split("/") + query.get("streams", "").split("/")
    return [one for one in (*listed, query.get("listenKey", "")) if one and not one.isdecimal()]


def _requests(
    methods: dict[str, tuple[str, str]], rows: Sequence[Row], *, perpetual: bool
) -> Endpoint:
    table = {(row.method, row.path): row for row in rows}
    served = {name: table[place] for name, place in methods.items() if place in table}

    async def endpoint(socket: WebSocket) -> None:
        services: Services = socket.app.state.services
        await serve(socket, ApiConnection(socket, services, served, perpetual=perpetual))

    return endpoint
