"""One look at what changes by itself, shared by all who wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Seen = TypeVar("Seen")


class SharedLook(Generic[Seen]):
    """Looks when somebody asks, at most once in `fresh_seconds`; everybody is told what was seen.

    What is told may be as old as that, or from a look that began before the question: it says when
    to look for oneself, and nothing is decided by it. A look that fails has failed for all.
    """

    def __init__(self, look: Callable[[], Awaitable[Seen]], fresh_seconds: float) -> None:
        self._look = look
        self._fresh_seconds = fresh_seconds
        self._task: asyncio.Task[Seen] | None = None
        self._ended = 0.0

    async def get(self) -> Seen:
        """Return what was seen last, or is seen now; raises what the look has raised."""
        task = self._task
        if task is None or (task.done() and self._is_old()):
            task = self._task = asyncio.create_task(self._seen())
        return await asyncio.shield(task)  # one who gives up leaves the others theirs

    def _is_old(self) -> bool:
        return time.monotonic() - self._ended >= self._fresh_seconds

    async def _seen(self) -> Seen:
        try:
            return await self._look()
        finally:
            self._ended = time.monotonic()
