"""An ASGI application of a test's own, on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from infra.embedded.ports import LOOPBACK


@asynccontextmanager
async def serving(app: Any, port: int = 0, **options: Any) -> AsyncIterator[int]:
    """Serve `app` on loopback and give its port (0: any); connections are cut at the end."""
    config = uvicorn.Config(app, host=LOOPBACK, port=port, log_config=None, **options)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not task.done(), "the application did not start"
            await asyncio.sleep(0.01)
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = server.force_exit = True
        await task
