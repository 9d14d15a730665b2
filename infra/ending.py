"""Ending asyncio tasks, also those that miss their first cancellation."""

import asyncio
from typing import Any

_AGAIN_SECONDS = 0.5


async def end(*futures: "asyncio.Future[Any]") -> None:
    """Cancel the tasks and return when all have ended; what they raise stays in them.

    One `cancel()` does not always end a task: `asyncio.wait_for` (inside many clients) of
    Python 3.11 returns its result when the cancellation arrives as the result does, and the
    task goes on. Whoever then only waits for it waits for ever; so cancel again, until it ended.
    """
    running = {future for future in futures if not future.done()}
    while running:
        for future in running:
            future.cancel()
        _, running = await asyncio.wait(running, timeout=_AGAIN_SECONDS)
    for future in futures:
        if not future.cancelled():
            future.exception()  # seen: asyncio shall not warn of it when the task is collected
