"""A step that waits says so, and not each time it looks around."""

from __future__ import annotations

import pytest
from temporalio.testing import ActivityEnvironment

from activities import beat
from activities.beat import Beat


@pytest.mark.parametrize(("every", "heard"), [(60.0, [0]), (0.0, [0, 1, 2])])
async def test_heartbeats_are_far_between(
    monkeypatch: pytest.MonkeyPatch, every: float, heard: list[int]
) -> None:
    """The first is sent at once, the next when it is due."""
    monkeypatch.setattr(beat, "_EVERY_SECONDS", every)
    said: list[object] = []
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: said.extend(details)

    async def wait() -> None:
        own = Beat()
        for turn in range(3):
            own(turn)

    await environment.run(wait)
    assert said == heard
