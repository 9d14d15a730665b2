"""Tasks end, also when one of their waits swallows the cancellation."""

import asyncio

import pytest

from infra.ending import end


async def _deaf(times: int, heard: list[int]) -> None:
    """Go on after the first `times` cancellations."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard.append(len(heard))
            if len(heard) > times:
                raise


async def test_a_task_that_misses_two_cancellations_is_ended() -> None:
    """It is cancelled again until it has ended."""
    heard: list[int] = []
    task = asyncio.create_task(_deaf(2, heard))
    await asyncio.sleep(0)
    await asyncio.wait_for(end(task), 30)
    assert task.cancelled()
    assert heard == [0, 1, 2]


async def test_tasks_that_ended_before_keep_their_results_and_their_exceptions() -> None:
    """Only what runs is cancelled; asyncio is told that the exception was seen."""

    async def fail() -> None:
        raise LookupError("a defect")

    failed = asyncio.create_task(fail())
    answered = asyncio.ensure_future(asyncio.sleep(0, "answer"))
    never = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0.01)
    await end(failed, answered, never)
    assert answered.result() == "answer"
    assert never.cancelled()
    with pytest.raises(LookupError):
        failed.result()


async def test_nothing_to_end_returns_at_once() -> None:
    """`asyncio.wait` refuses an empty set; this does not."""
    await asyncio.wait_for(end(), 30)
