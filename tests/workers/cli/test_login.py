"""`rialto login` on a real PostgreSQL, with real officers' keys."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.postgres import engine as postgres
from infra.postgres.customers import CustomerStore
from infra.secret_box import SecretBox
from infra.wallet.officers import create_officers
from tests.offline import NO_SERVERS
from workers.__main__ import build
from workers.cli import database

pytestmark = pytest.mark.servers


def _rialto(*words: str) -> Result:
    return CliRunner().invoke(build(), ["login", *words])


async def _customer(url: str, key: Path) -> None:
    engine = postgres.create(url)
    await CustomerStore(engine, SecretBox.from_file(key)).create_customer("alice")
    await engine.dispose()


def test_two_officers_invite_a_customer(
    fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets a half of his own, once; what makes no sense is refused in words."""
    asyncio.run(_customer(fresh_database, tmp_path / "key"))
    create_officers(tmp_path)
    known = {**NO_SERVERS, "RIALTO_DATABASE_URL": fresh_database, "RIALTO_DATA_DIR": str(tmp_path)}
    monkeypatch.setattr(database, "environment", lambda _: known)
    nobody = _rialto("invite", "nobody", "--reason", "asked")
    assert (nobody.exit_code, "there is no customer" in nobody.stderr) == (1, True)
    assert _rialto("invite", "alice", "--reason", " ").exit_code == 1
    made = json.loads(_rialto("invite", "alice", "--reason", "asked", "--json").stdout)
    assert (made["customer"], made["resets"]) == ("alice", False)
    listed = json.loads(_rialto("list", "--json").stdout)
    assert [one["invitation_id"] for one in listed] == [made["invitation_id"]]
    stranger = _rialto("sign", made["invitation_id"], "--officer", "nobody")
    assert (stranger.exit_code, "no key of an officer" in stranger.stderr) == (1, True)
    signed = [
        json.loads(_rialto("sign", made["invitation_id"], "--officer", name, "--json").stdout)
        for name in ("marta", "piero")
    ]
    assert [one["signatures"] for one in signed] == [1, 2]
    assert len({one["half"] for one in signed}) == 2
    again = _rialto("sign", made["invitation_id"], "--officer", "marta")
    assert (again.exit_code, "the invitation is signed" in again.stderr) == (1, True)
    assert _rialto("list").stdout == "nobody is invited\n"
    assert _rialto("end-sessions", "alice").stdout == "ended 0\n"
    assert _rialto("sign", "no-id", "--officer", "marta").exit_code == 1
