"""`/v1/ws`: public market data. The messages are described in `docs/websocket.md`."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from api.services import Services
from api.websocket.connection import Connection
from api.websocket.line import CLOSE_TOO_MANY_CONNECTIONS

LARGEST_CONNECTION_COUNT = 1_000

router = APIRouter(prefix="/v1")


@router.websocket("/ws")
async def market_data_socket(socket: WebSocket) -> None:
    """Serve one WebSocket until either side ends it."""
    services: Services = socket.app.state.services
    connections: set[Connection] = socket.app.state.connections
    await socket.accept()
    if len(connections) >= LARGEST_CONNECTION_COUNT:
        await socket.close(CLOSE_TOO_MANY_CONNECTIONS, "too many connections")
        return
    connection = Connection(socket, services)
    connections.add(connection)
    try:
        await connection.run()
    finally:
        connections.discard(connection)
