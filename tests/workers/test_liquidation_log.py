"""A liquidation told from the engine's log alone is the one that its record tells."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from domain.liquidation_story import StepRecord
from infra.settings import Settings
from tests.activities.test_liquidation import advance
from tests.chaos.engine_process import EngineProcess
from tests.workflows.risk_rig import RiskDesk, fallen, without_bids
from workers.liquidation_log import LogReader, record_in_logs


def _numbers(steps: list[StepRecord]) -> list[tuple[object, ...]]:
    return [
        (step.number, step.kind, step.key, step.lots, step.sequence, step.fills, step.after)
        for step in steps
    ]


def _with_fund() -> RiskDesk:
    desk = without_bids(945)
    desk.top_up(10**8)
    return desk


@pytest.mark.parametrize("scene", [fallen, _with_fund])
async def test_the_log_alone_tells_the_story(scene: Callable[[], RiskDesk]) -> None:
    """Number for number what took effect, and how it ended; an unknown id tells nothing."""
    desk = scene()
    await desk.watch()
    request = desk.request()
    told = (await advance(desk, request)).steps
    assert told[-1].kind == "release"
    reader, halfway = (LogReader(0, request.liquidation_id) for _ in range(2))
    other = LogReader(0, f"{1:032x}")
    for sequence in sorted(desk.by_sequence):
        for one in (reader, other):
            one.take(desk.by_sequence[sequence])
        if sequence < told[-1].sequence:
            halfway.take(desk.by_sequence[sequence])
    assert reader.record is not None
    assert halfway.record is not None
    assert (reader.record.request, reader.record.ended) == (request, "released")
    assert reader.record.last_sequence == told[-1].sequence
    assert _numbers(reader.record.steps) == _numbers(told[:-1])
    assert (halfway.record.ended, halfway.record.steps) == ("open", reader.record.steps)
    assert other.record is None


@pytest.mark.servers
async def test_a_real_log_without_it_says_nothing() -> None:
    """The whole log of a running engine is read, and has no such liquidation."""
    engine = EngineProcess("os")
    await engine.start()
    try:
        settings = Settings(
            data_dir=engine.folder,
            database_url="none",
            redis_url="none",
            temporal_address="none",
            chain_url="none",
        )
        assert await record_in_logs(settings, "ab" * 16) is None
    finally:
        engine.kill()
        shutil.rmtree(engine.folder)
