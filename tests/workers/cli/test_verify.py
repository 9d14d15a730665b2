"""`rialto verify` on a stopped exchange: it starts the database, checks, and stops it again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner, Result

from infra.postgres import tables
from infra.postgres.migrate import upgrade
from infra.wallet.keys import public_path
from workers.cli import verify
from workers.data_folder import make_folders, write_json
from workers.stack import Stack, build

pytestmark = pytest.mark.servers


@pytest.fixture
def stopped(tmp_path: Path) -> Stack:
    """Give an exchange that ran once, did nothing, and was stopped."""
    make_folders(tmp_path)
    stack = build(tmp_path)
    assert stack.postgres is not None
    stack.postgres.start()
    upgrade(stack.postgres.url)
    write_json(tmp_path / "run" / "env.json", dict(stack.environment()))
    write_json(public_path(tmp_path), {"deposit_xpub": "x", "hot_address": "0x40"})
    stack.postgres.stop()
    return stack


def run(folder: Path, *options: str) -> Result:
    """Run the verb."""
    app = typer.Typer()
    verify.register(app)
    return CliRunner().invoke(app, ["--data", str(folder), *options])


def test_folder_without_exchange_is_told_apart(tmp_path: Path) -> None:
    """Exit code 3 and a sentence, not a traceback."""
    result = run(tmp_path)
    assert result.exit_code == 3
    assert "has ever run" in result.output


def test_stopped_exchange_is_checked(stopped: Stack) -> None:
    """Clean books end with 0; a forged balance ends with 1 and is named; nothing stays running."""
    clean = run(stopped.data_dir, "--json")
    found = json.loads(clean.stdout)
    assert (clean.exit_code, found["ok"], found["sequence"]) == (0, True, 0)
    assert all(invariant["rows"] > 0 for invariant in found["invariants"])
    _forge(stopped)
    forged = run(stopped.data_dir)
    assert forged.exit_code == 1
    assert "VIOLATED assets_sum_to_zero" in forged.stdout
    assert "customer:1:main:USDT stands at 5" in forged.stdout
    postgres = build(stopped.data_dir).postgres
    assert postgres is not None
    assert not postgres.answers()


def _forge(stopped: Stack) -> None:
    async def insert(url: str) -> None:
        engine = create_async_engine(url)
        async with engine.begin() as conn:
            await conn.execute(
                sa.insert(tables.ledger_account).values(
                    code="customer:1:main:USDT", asset="USDT", balance=5, floor=0
                )
            )
        await engine.dispose()

    postgres = build(stopped.data_dir).postgres
    assert postgres is not None
    postgres.start()
    asyncio.run(insert(postgres.url))
    postgres.stop()
