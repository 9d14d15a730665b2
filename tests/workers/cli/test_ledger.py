"""Statements, balances and partitions at the command line, on a real database."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.postgres.engine import create
from tests.infra.postgres.conftest import seed_listings
from tests.infra.postgres.transfers import deposit
from tests.offline import write_environment
from workers.__main__ import build

pytestmark = pytest.mark.servers


@pytest.fixture
def folder(fresh_database: str, tmp_path: Path) -> Path:
    """Give a data folder whose database has one deposit of customer-2."""

    async def prepare() -> None:
        engine = create(fresh_database)
        async with engine.begin() as conn:
            await seed_listings(conn)
            await deposit(conn, "d-1", 2, "USDT", 9_500_000)
        await engine.dispose()

    asyncio.run(prepare())
    write_environment(tmp_path, database_url=fresh_database)
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(build(), [*arguments, "--data", str(folder)])


def test_statement_as_csv_and_json(folder: Path) -> None:
    """Both forms tell the same; a name and a number name the same customer."""
    result = run(folder, "statement", "customer-2", "--from", "2020-01-01")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["kind"], row["amount"], row["balance"]) for row in rows] == [
        ("opening", "", "0"),
        ("deposit", "9.5", "9.5"),
        ("closing", "", "9.5"),
    ]
    as_json = run(folder, "statement", "2", "--from", "2020-01-01", "--format", "json")
    (part,) = json.loads(as_json.stdout)["assets"]
    assert (part["asset"], part["opening"], part["closing"]) == ("USDT", "0", "9.5")


def test_balance_at_a_past_time(folder: Path) -> None:
    """Before the deposit there was nothing, now there is."""
    then = run(folder, "ledger", "balances", "2", "--at", "2020-01-01", "--json")
    now = run(folder, "ledger", "balances", "2", "--json")
    assert json.loads(then.stdout)["balances"] == {"customer:2:main:USDT": "0"}
    assert json.loads(now.stdout)["balances"] == {"customer:2:main:USDT": "9500000"}


def test_partitions_are_listed_and_nothing_unchecked_is_detached(folder: Path) -> None:
    """Twelve partitions at first; without a clean reconciliation none may leave."""
    found = json.loads(run(folder, "ledger", "partitions", "--json").stdout)
    assert len(found) == 12
    result = run(folder, "ledger", "detach", "--older-than", "1", "--json")
    assert json.loads(result.stdout) == {"detached": []}


@pytest.mark.parametrize(
    "arguments",
    [
        ("statement", "nobody"),
        ("statement", "2", "--format", "pdf"),
        ("statement", "2", "--from", "yesterday"),
        ("statement", "2", "--from", "2026-02-01", "--to", "2026-01-01"),
        ("ledger", "detach", "--older-than", "0"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(folder: Path, arguments: tuple[str, ...]) -> None:
    """Exit code 2 with a sentence, nothing printed."""
    result = run(folder, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


def test_no_exchange_is_code_three(tmp_path: Path) -> None:
    """A folder in which nothing ever ran."""
    assert run(tmp_path, "statement", "2").exit_code == 3
