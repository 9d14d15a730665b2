"""Heartbeats of steps that wait, and look around far more often than anybody needs to hear."""

from __future__ import annotations

import time

from temporalio import activity

_EVERY_SECONDS = 2.0  # their time limits are ten seconds


class Beat:
    """The heartbeats of one attempt: each is sealed for the server, so only one in two seconds."""

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self, detail: object) -> None:
        """Say that the step still waits, if that was not said just now."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _EVERY_SECONDS
            activity.heartbeat(detail)
