"""`/v1/ws`: public market data. The messages are described in `docs/websocket.md`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, WebSocket

from api.services import Services
from api.websocket.connection import Connection
from api.websocket.line import CLOSE_TOO_MANY_CONNECTIONS, Line

LARGEST_CONNECTION_COUNT = 1_000

Begin = Callable[[], Awaitable[bool]]

router = APIRouter(prefix="/v1")


@router.websocket("/ws")
async def market_data_socket(socket: WebSocket) -> None:
    """Serve one WebSocket until either side ends it."""
    services: Services = socket.app.state.services
    await serve(socket, Connection(socket, services))


async def serve(socket: WebSocket, connection: Line, begin: Begin | None = None) -> None:
    """Run a connection until either side ends it, unless this gateway has too many.

    `begin` is done first; where it says False, the connection has been closed.
    """
    connections: set[Line] = socket.app.state.connections
    await socket.accept()
    if len(connections) >= LARGEST_CONNECTION_COUNT:
        await socket.close(CLOSE_TOO_MANY_CONNECTIONS, "too many connections")
        return
    connections.add(connection)
    try:
        if begin is None or await begin():
            await connection.run()
    finally:
        connections.discard(connection)
