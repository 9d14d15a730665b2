"""The orphan sweep: every page, every row for itself, and it never gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from temporalio.testing import ActivityEnvironment

from activities.orphan_sweep import (
    OrphanSweepActivities,
    SweepRequest,
    SweepResult,
    kinds_of,
)

ONCE = SweepRequest(page=3, run_seconds=0)


class Rows:
    """So many open rows, by id."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.cancelled: list[str] = []
        self.closed: set[str] = set()
        self.away = False

    async def cancellations(self, limit: int) -> list[str]:
        return self.cancelled[:limit]

    async def final(self, names: Sequence[str]) -> set[str]:
        return self.closed & set(names)

    async def unfinished(self, after: str | None, limit: int) -> list[str]:
        if self.away:
            raise ConnectionError("the database is away")
        return [name for name in self.names if after is None or name > after][:limit]


class Starter:
    """Knows what runs; some ids make it fail."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.bad: set[str] = set()
        self.signals: list[tuple[str, str]] = []
        self.ended: list[tuple[str, str]] = []
        self.runs: dict[str, list[tuple[str, str]]] = {}

    async def open_runs(self, workflow: str) -> list[tuple[str, str]]:
        return self.runs.get(workflow, [])

    async def end(self, workflow_id: str, run_id: str, reason: str) -> None:
        self.ended.append((workflow_id, run_id))

    async def signal(self, workflow_id: str, name: str) -> None:
        if workflow_id in self.bad:
            raise ConnectionError("not now")
        self.signals.append((workflow_id, name))

    async def ensure_running(
        self, workflow: str, workflow_id: str, request: object, task_queue: str = ""
    ) -> bool:
        signed = workflow_id.startswith(("adjustment-", "market-change-"))
        assert (task_queue == "settlement") == signed
        if workflow_id in self.bad:
            raise ValueError("8 is not a valid WorkflowExecutionStatus")
        new = workflow_id not in self.running
        self.running.add(workflow_id)
        return new


@pytest.fixture
def starter() -> Starter:
    """Give a Temporal in which nothing runs."""
    return Starter()


def _sweep(rows: Rows, starter: Starter) -> OrphanSweepActivities:
    deposits = Rows([f"deposit-{number:02}" for number in range(7)])
    transfers = Rows([f"{number:02}" for number in range(4)])
    adjustments = Rows([f"{number:02}" for number in range(5)])
    kinds = kinds_of(
        withdrawals=rows,
        deposits=deposits,
        shard_transfers=transfers,
        wallet_payments=Rows([]),
        adjustments=adjustments,
        market_changes=Rows(["a", "b"]),
    )
    return OrphanSweepActivities(kinds, rows, starter, _nothing, lambda: 42.0)  # type: ignore[arg-type]


async def _nothing() -> list[str]:
    return []


async def _run(sweep: OrphanSweepActivities, request: SweepRequest = ONCE) -> SweepResult:
    result: SweepResult = await ActivityEnvironment().run(sweep.sweep, request)
    return result


async def test_every_page_is_looked_at(starter: Starter) -> None:
    """More rows than a page has are all found, and found running the second time."""
    sweep = _sweep(Rows([f"{number:02}" for number in range(11)]), starter)
    result = await _run(sweep)
    assert (result.open_rows, result.restarted, len(starter.running)) == (29, 29, 29)
    again = await _run(sweep)
    assert (again.open_rows, again.restarted) == (29, 0)
    assert sweep.last_good_at == 42.0


async def test_bad_row_does_not_stop_the_rest(starter: Starter) -> None:
    """It is named, all others are started, and the sweep is not called good."""
    starter.bad = {"withdrawal-01"}
    sweep = _sweep(Rows(["01", "02"]), starter)
    result = await _run(sweep)
    assert result.restarted == 19
    assert result.failed == ["withdrawal-01: 8 is not a valid WorkflowExecutionStatus"]
    assert sweep.last_good_at is None
    assert "not a valid" in sweep.failure


async def test_workflows_are_told_of_cancellations(starter: Starter) -> None:
    """What is cancelled and not given back is told again; one that fails does not stop the rest."""
    rows = Rows(["01", "02"])
    rows.cancelled = ["01", "02"]
    starter.bad = {"withdrawal-01"}
    result = await _run(_sweep(rows, starter))
    assert starter.signals == [("withdrawal-02", "cancel_requested")]
    assert result.failed[-1] == "withdrawal-01: not now"


async def test_sweeps_on_when_the_database_comes_back(starter: Starter) -> None:
    """One run sweeps many times; it ends early when there is something to show."""
    rows = Rows(["01"])
    rows.away = True
    sweep = _sweep(rows, starter)
    request = SweepRequest(page=3, every_seconds=1, run_seconds=60)
    running = asyncio.create_task(_run(sweep, request))
    async with asyncio.timeout(30):
        while not sweep.failure:  # noqa: ASYNC110 - a counter of the sweep, not an event
            await asyncio.sleep(0.01)
    rows.away = False
    result = await asyncio.wait_for(running, 30)
    assert (result.restarted, sweep.failure) == (19, "")


async def test_runs_whose_rows_are_final_are_ended_a_turn_later(starter: Starter) -> None:
    """What has just become final ends by itself; without a row, or on a new run, nothing is."""
    rows = Rows([])
    rows.closed = {"01", "02"}
    sweep = _sweep(rows, starter)
    starter.runs = {
        "WithdrawalWorkflow": [(f"withdrawal-{name}", f"run-{name}") for name in ("01", "02", "03")]
    }
    assert (await _run(sweep)).ended == []
    starter.runs["WithdrawalWorkflow"][1] = ("withdrawal-02", "another run")
    assert (await _run(sweep)).ended == ["withdrawal-01"]
    assert starter.ended == [("withdrawal-01", "run-01")]
