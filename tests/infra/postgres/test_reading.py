"""PostgreSQL goes and comes back: whoever reads hears one kind of error and goes on."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from sqlalchemy import text

from infra.embedded.ports import own_port
from infra.embedded.postgres import PostgresServer
from infra.postgres import engine as postgres
from infra.postgres.reading import reading, writing

pytestmark = pytest.mark.servers


def _server(folder: Path, port: int) -> PostgresServer:
    return PostgresServer(folder / "data", folder / "log", port, password_path=folder / "password")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
async def test_a_server_that_comes_and_goes_is_away_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, number: signal.Signals
) -> None:
    """While it stops, is gone, starts and recovers: `ConnectionError`, then answers again."""
    folder = tmp_path_factory.mktemp("pg")
    port = own_port()
    server = _server(folder, port)
    await asyncio.to_thread(server.start)
    pool = postgres.create(server.url)
    heard: list[ConnectionError] = []
    answers = 0
    answered = asyncio.Event()

    async def ask() -> None:
        nonlocal answers
        while True:
            for way in (reading, writing):
                try:
                    async with way(pool) as connection:
                        await connection.execute(text("SELECT pg_sleep(0.001)"))
                        answers += 1
                        answered.set()
                except ConnectionError as error:
                    heard.append(error)

    async def more() -> None:
        """Wait for fifty answers more, as long as everybody goes on asking."""
        enough = answers + 50
        while answers < enough and not any(task.done() for task in asking):
            answered.clear()
            await asyncio.wait_for(answered.wait(), 60)

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    try:
        for _ in range(3):
            await more()
            assert server.process is not None
            server.process.send_signal(number)
            await asyncio.to_thread(server.process.wait)
            server = _server(folder, port)
            await asyncio.to_thread(server.start)
        await more()
    finally:
        for task in asking:
            task.cancel()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        await pool.dispose()
        await asyncio.to_thread(server.stop)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)
    assert heard
