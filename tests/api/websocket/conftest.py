"""Connections that are logged in, for tests of orders and guards over a WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from tests.api.exchange import Exchange
from tests.api.websocket.trading import Client, LogIn


@pytest_asyncio.fixture
async def log_in(exchange: Exchange) -> AsyncIterator[LogIn]:
    """Give a way to open a connection that is logged in."""
    clients: list[Client] = []

    async def make(key_id: str = "key-1", **other: Any) -> Client:
        client = Client(exchange.services)
        clients.append(client)
        await client.say(op="login", id=1, **exchange.credentials(key_id), **other)
        assert client.heard[-1]["op"] == "logged_in", client.heard[-1]
        return client

    yield make
    for client in clients:
        await client._let_go()
        await client._account.close()
