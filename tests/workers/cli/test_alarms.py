"""`rialto alarms`: what is open, and who looks after it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from domain.alarm import AlarmKind, Condition, Severity
from infra.postgres.alarm_store import AlarmStore
from infra.postgres.engine import create
from tests.offline import write_environment
from workers.__main__ import build

pytestmark = pytest.mark.servers


@pytest.fixture
def folder(fresh_database: str, tmp_path: Path) -> Path:
    """Give a data folder whose database has one open alarm."""

    async def prepare() -> None:
        engine = create(fresh_database)
        condition = Condition(
            AlarmKind.ENGINE_HALTED, "shard 0", Severity.CRITICAL, "shard 0 is halted"
        )
        await AlarmStore(engine, "", "rialto").sync([], [condition])
        await engine.dispose()

    asyncio.run(prepare())
    write_environment(tmp_path, database_url=fresh_database)
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(build(), ["alarms", *arguments, "--data", str(folder)])


def test_open_alarm_is_listed_until_somebody_looks_after_it(folder: Path) -> None:
    """Exit code 1 while nobody does; a second acknowledgement is refused."""
    listed = run(folder, "--json")
    assert listed.exit_code == 1
    (alarm,) = json.loads(listed.stdout)
    assert (alarm["kind"], alarm["severity"]) == ("engine_halted", "critical")
    assert alarm["runbook"] == "docs/runbooks/engine-halted.md"
    assert "docs/runbooks/engine-halted.md" in run(folder).stdout
    number = str(alarm["alarm_id"])
    assert run(folder, "ack", number, "--by", "marta").exit_code == 0
    assert run(folder, "ack", number, "--by", "piero").exit_code == 1
    after = run(folder)
    assert after.exit_code == 0
    assert "acked by marta" in after.stdout


def test_unknown_numbers_and_folders(folder: Path, tmp_path: Path) -> None:
    """No such alarm is 1, no number 2, no exchange 3."""
    assert run(folder, "ack", "99").exit_code == 1
    assert run(folder, "ack", "first").exit_code == 2
    assert run(tmp_path / "elsewhere").exit_code == 3
