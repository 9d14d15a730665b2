"""One look for all who ask: at most one at a time, none decided by a stale one."""

from __future__ import annotations

import asyncio

import pytest

from activities.shared_look import SharedLook


class Sight:
    """Counts looks; each waits until it is let go, or fails."""

    def __init__(self) -> None:
        self.looks = 0
        self.failure: Exception | None = None
        self.begun, self.open = asyncio.Event(), asyncio.Event()
        self.open.set()

    async def look(self) -> int:
        self.looks += 1
        self.begun.set()
        seen = self.looks
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return seen


async def test_all_who_ask_meanwhile_are_told_of_one_look() -> None:
    """A hundred who wait for the chain ask its node once."""
    sight = Sight()
    shared = SharedLook(sight.look, 60.0)
    assert await asyncio.gather(*(shared.get() for _ in range(100))) == [1] * 100
    assert await shared.get() == 1  # still fresh
    assert sight.looks == 1


async def test_what_is_not_fresh_is_looked_at_again() -> None:
    """Without any time to keep, each question after an answer is a look of its own."""
    sight = Sight()
    shared = SharedLook(sight.look, 0.0)
    assert [await shared.get() for _ in range(3)] == [1, 2, 3]


async def test_a_failed_look_fails_for_those_who_asked_and_is_made_again() -> None:
    """Who asks afterwards has a node that is back."""
    sight = Sight()
    shared = SharedLook(sight.look, 0.0)
    sight.failure = ConnectionError("no node")
    found = await asyncio.gather(*(shared.get() for _ in range(3)), return_exceptions=True)
    assert [type(it) for it in found] == [ConnectionError] * 3
    assert sight.looks == 1
    sight.failure = None
    assert await shared.get() == 2


async def test_one_who_gives_up_leaves_the_look_to_the_others() -> None:
    """A step that is cancelled takes nothing from those that wait beside it."""
    sight = Sight()
    sight.open.clear()
    shared = SharedLook(sight.look, 60.0)
    first, second = (asyncio.create_task(shared.get()) for _ in range(2))
    await asyncio.wait_for(sight.begun.wait(), 30)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    sight.open.set()
    assert await second == 1
