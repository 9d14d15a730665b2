"""`rialto audit liquidation` and its neighbours, as people and machines read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner

from domain.liquidation_story import (
    LiquidationRecord,
    LiquidationRequest,
    ScopeNumbers,
    StepRecord,
)
from infra.postgres.liquidation_store import LiquidationStore
from tests.offline import write_environment
from workers.__main__ import build

pytestmark = pytest.mark.servers

ID = "00000000000000000000000000000abc"
RECORD = LiquidationRecord(
    LiquidationRequest(0, 5, 0, ID, 60),
    "released",
    1,
    2,
    61,
    {"marta:2": "aa"},
    [
        StepRecord(
            number=1,
            kind="reduce",
            key="ff",
            symbol_id=7,
            lots=52,
            limit_ticks=950,
            why="short of margin and buffer",
            sequence=61,
            time_us=1,
            done_lots=52,
            quote_units=497_120,
            insurance_units=2_485,
            before=ScopeNumbers(60, 49_505, 7_925, 9_485, 3_457),
            after=ScopeNumbers(61, 24_140, 4_400, 4_503, 1_004),
            marks=[[7, 958]],
            fills=[[956, 52]],
            book=[[956, 1_000]],
        )
    ],
)


@pytest.fixture
async def data(fresh_database: str, tmp_path: Path) -> Path:
    """Give a data folder whose database has one record."""
    write_environment(tmp_path, database_url=fresh_database)
    engine = create_async_engine(fresh_database)
    store = LiquidationStore(engine)
    await store.write([RECORD])
    await store.write([RECORD])  # a repeat leaves what is there
    assert await store.read(ID) == RECORD
    await engine.dispose()
    return tmp_path


def _run(*words: Any) -> Any:
    return CliRunner().invoke(build(), [str(word) for word in words])


def test_a_record_is_printed_as_a_story(data: Path) -> None:
    """Each step as a sentence, and under it every number that it was computed from."""
    done = _run("audit", "liquidation", ID, "--data", data)
    assert done.exit_code == 0, done.output
    assert "account 5 (cross margin), shard 0" in done.output
    assert "52 of 52 lots closed in the book, limit 950, for 0.49712" in done.output
    assert "[[956, 1000]]" in done.output
    assert " UTC" in done.output
    assert "signed by marta:2" in done.output


def test_a_record_is_whole_as_json(data: Path) -> None:
    """A machine gets the steps with all numbers, and the same sentences."""
    found = json.loads(_run("audit", "liquidation", ID, "--data", data, "--json").output)
    assert found["steps"][0]["before"]["equity_units"] == 7_925
    assert found["story"][0].startswith("1. market 7: 52 of 52 lots")


def test_what_is_not_there_is_said(data: Path) -> None:
    """An unknown id names the verb that lists them; a listing names this one."""
    done = _run("audit", "liquidation", "12", "--data", data)
    assert done.exit_code == 1
    listed = _run("liquidation", "list", "--ended", "--data", data)
    assert ID in listed.output


def test_a_perpetual_goes_to_named_states_only(data: Path) -> None:
    """A typing error is a usage error, before anything is sent."""
    words = ("--to", "closed", "--reason", "x", "--data", data)
    done = _run("market", "perpetual", 7, *words)
    assert done.exit_code == 2
