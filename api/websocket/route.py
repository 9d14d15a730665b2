"""`/v1/ws`: market data, the account, orders. The messages are described in `docs/websocket.md`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from fastapi import APIRouter, WebSocket

from api.errors import Problem
from api.services import Services
from api.websocket.connection import Connection
from api.websocket.line import CLOSE_TOO_MANY_CONNECTIONS, Line, Lines

LARGEST_CONNECTION_COUNT = 5_000
LARGEST_ADDRESS_COUNT = 2_500  # so that one address cannot take all the places
CONNECT_WEIGHT = 5  # of what an address may ask in ten seconds, as of public requests
DRAIN_SECONDS = 3.0

Begin = Callable[[], Awaitable[bool]]

router = APIRouter(prefix="/v1")


@router.websocket("/ws")
async def market_data_socket(socket: WebSocket) -> None:
    """Serve one WebSocket until either side ends it."""
    services: Services = socket.app.state.services
    await serve(socket, Connection(socket, services))


async def serve(socket: WebSocket, connection: Line, begin: Begin | None = None) -> None:
    """Run a connection until either side ends it, unless this gateway has too many.

    `begin` is done first; where it says False, the connection has been closed. Who connects too
    often is refused before the handshake, with 429.
    """
    connections: Lines = socket.app.state.connections
    services: Services = socket.app.state.services
    try:
        await services.limiter.charge_address(connection.address, CONNECT_WEIGHT)
    except Problem as problem:
        await socket.send_denial_response(problem.response(""))
        return
    await socket.accept()
    if not _has_room(connections, connection.address):
        await socket.close(CLOSE_TOO_MANY_CONNECTIONS, "too many connections")
        return
    connections.add(connection)
    try:
        if begin is None or await begin():
            await connection.run()
    finally:
        connections.discard(connection)


def _has_room(connections: Lines, address: str) -> bool:
    """Return whether one more may come from an address."""
    if len(connections) >= LARGEST_CONNECTION_COUNT:
        return False
    if len(connections) < LARGEST_ADDRESS_COUNT:
        return True
    return sum(1 for one in connections if one.address == address) < LARGEST_ADDRESS_COUNT


async def drain(connections: Iterable[Line]) -> None:
    """Answer what was asked over all connections and close them; who takes longer is left."""
    ending = [asyncio.create_task(one.drain()) for one in connections]
    if ending:
        _, late = await asyncio.wait(ending, timeout=DRAIN_SECONDS)
        for task in late:
            task.cancel()
