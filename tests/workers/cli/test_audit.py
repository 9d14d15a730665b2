"""`rialto audit` and `rialto compliance` as people and machines use them."""

from __future__ import annotations

import asyncio
import itertools
import json
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from domain.hash_chain import JsonValue
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.wallet.officers import create_officers
from tests.offline import write_environment
from workers.__main__ import build
from workers.cli.context import EXIT_FAILED, EXIT_NOT_RUNNING, EXIT_USAGE

pytestmark = pytest.mark.servers

ID = "018f0000-0000-7000-8000-000000000001"
ASKED: Mapping[str, JsonValue] = {
    "asset": "USDT",
    "decimals": 6,
    "amount": "5000000",
    "fee": "1000000",
    "address": "0xA",
}
RECORDS: list[tuple[str, str, str, Mapping[str, JsonValue]]] = [
    (f"withdrawal-{ID}", "customer:1", "requested", ASKED),
    (f"withdrawal-{ID}", "engine", "rejected", {"engine": "insufficient_balance"}),
    ("customer-2", "customer:2", "withdrawal_refused", {"code": "<b>invalid</b>"}),
]
ALL_TIME = ("--from", "2026-01-01", "--to", "2999-01-01")


async def fill(database_url: str) -> None:
    """Write the records of a withdrawal, and one of another customer."""
    engine = create(database_url)
    async with engine.begin() as conn:
        for subject, actor, action, detail in RECORDS:
            await AuditStore().append(conn, subject, actor, action, f"{subject}:{action}", detail)
    await engine.dispose()


async def execute(database_url: str, *statements: str) -> None:
    """Run statements in one transaction."""
    engine = create(database_url)
    async with engine.begin() as conn:
        for statement in statements:
            await conn.execute(sa.text(statement))
    await engine.dispose()


@pytest.fixture
def folder(fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a data folder whose exchange has a database and nothing else that answers."""
    monkeypatch.setenv("LOGNAME", "clara")
    asyncio.run(fill(fresh_database))
    create_officers(tmp_path)
    write_environment(tmp_path, database_url=fresh_database)
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    """Run a verb."""
    return CliRunner().invoke(build(), [*arguments, "--data", str(folder)])


def test_story_is_told_without_temporal(folder: Path) -> None:
    """For people, for machines, for the printer; only its owner can read the page."""
    result = run(folder, "audit", "withdrawal", ID)
    assert result.exit_code == 0, result.output
    assert f"withdrawal {ID}: 5 USDT (fee 1) of customer:1 to 0xA" in result.stdout
    assert "rejected by engine: insufficient_balance" in result.stdout
    assert "there is none" in result.stdout
    page = folder / "page.html"
    found = json.loads(run(folder, "audit", "withdrawal", ID, "--json", "--html", str(page)).stdout)
    assert (found["state"], found["differences"]) == ("rejected", [])
    assert [record["actor"] for record in found["records"][-2:]] == ["staff:clara"] * 2
    assert "insufficient_balance" in page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_changed_record_is_named_by_story_and_verify(folder: Path, fresh_database: str) -> None:
    """A superuser took the trigger off and changed an amount."""
    asyncio.run(
        execute(
            fresh_database,
            "SET LOCAL session_replication_role = replica",
            "UPDATE audit_log SET actor = 'customer:9' WHERE audit_id = 1",
        )
    )
    result = run(folder, "audit", "withdrawal", ID)
    assert result.exit_code == EXIT_FAILED
    assert "NOT GENUINE: record 1: changed since it was written" in result.stderr
    result = run(folder, "audit", "verify")
    assert result.exit_code == EXIT_FAILED
    assert result.stdout.startswith("0 records are good; then: record 1 (withdrawal-")
    result = run(folder, "audit", "export", *ALL_TIME)
    assert result.exit_code == EXIT_FAILED
    assert json.loads(result.stdout.splitlines()[0])["fault"] == "changed since it was written"


def test_period_is_exported_line_by_line(folder: Path) -> None:
    """Chained JSON lines, the export itself the last; the page shows what was typed as text."""
    page = folder / "log.html"
    result = run(folder, "audit", "export", *ALL_TIME, "--html", str(page))
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["action"] for record in records] == [
        "requested",
        "rejected",
        "withdrawal_refused",
        "log_exported",
    ]
    pairs = itertools.pairwise(records)
    assert all(one["hash"] == following["previous_hash"] for one, following in pairs)
    assert "&lt;b&gt;invalid" in page.read_text()
    assert run(folder, "audit", "export", "--from", "2020-01-01", "--to", "2020-01-02").stdout == ""


@pytest.mark.parametrize("period", [("yesterday", "2999-01-01"), ("2026-01-02", "2026-01-02")])
def test_period_that_is_none_is_a_usage_error(folder: Path, period: tuple[str, str]) -> None:
    """Words, and an end that is not after the beginning."""
    result = run(folder, "audit", "export", "--from", period[0], "--to", period[1])
    assert result.exit_code == EXIT_USAGE


def test_looking_at_a_customers_records_is_recorded(folder: Path) -> None:
    """The second look shows the first one."""
    run(folder, "audit", "about", "customer-2")
    result = run(folder, "audit", "about", "customer-2", "--json")
    found = [record["action"] for record in json.loads(result.stdout)["records"]]
    assert found == ["withdrawal_refused", "file_read", "file_read"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("withdrawal", "seven"), "not a withdrawal's id"),
        (("withdrawal", ID.replace("8f", "90")), "knows no withdrawal"),
        (("history", "withdrawal-1"), "no history of withdrawal-1"),
    ],
)
def test_what_is_not_there_is_said(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    """Exit code 1 and a sentence."""
    result = run(folder, "audit", *arguments)
    assert (result.exit_code, words in result.stderr) == (EXIT_FAILED, True), result.output


def test_folder_in_which_nothing_ever_ran(tmp_path: Path) -> None:
    """Exit code 3."""
    result = run(tmp_path, "audit", "verify")
    assert result.exit_code == EXIT_NOT_RUNNING
    assert "No exchange has ever run" in result.stderr


def test_staffs_key_is_issued_once_shown_and_recorded(folder: Path) -> None:
    """It is of a member of staff; a customer's name gets none, and the secret is in no record."""
    issued = json.loads(run(folder, "compliance", "key", "clara", "--json").stdout)
    assert run(folder, "compliance", "key", "clara").exit_code == 0  # another one
    records = run(folder, "audit", "about", "staff-1", "--json").stdout
    assert issued["api_key"] in records
    assert issued["api_secret"] not in records


def test_standing_and_notes_need_a_customer_and_a_reason(folder: Path, fresh_database: str) -> None:
    """Who and why are in the customer's records; what cannot be done says so."""
    asyncio.run(
        execute(
            fresh_database,
            "INSERT INTO customer (customer_id, name, deposit_index, status)"
            " VALUES (1, 'bob', 1, 'frozen')",
        )
    )
    assert run(folder, "compliance", "unfreeze", "eve", "--reason", "x").exit_code == EXIT_FAILED
    assert run(folder, "compliance", "unfreeze", "bob", "--reason", " ").exit_code == EXIT_USAGE
    assert run(folder, "compliance", "note", "bob", "").exit_code == EXIT_USAGE
    result = run(folder, "compliance", "unfreeze", "bob", "--reason", "case 17 is closed")
    assert (result.exit_code, result.stdout) == (0, "bob is active\n"), result.output
    again = run(folder, "compliance", "unfreeze", "bob", "--reason", "again")
    assert again.stdout == "bob is active already\n"
    assert run(folder, "compliance", "note", "bob", "called him").exit_code == 0
    records = json.loads(run(folder, "audit", "about", "customer-1", "--json").stdout)["records"]
    told = [(record["actor"], record["action"], record["detail"]) for record in records[:2]]
    assert told == [
        (
            "staff:clara",
            "standing_changed",
            {"from": "frozen", "to": "active", "reason": "case 17 is closed"},
        ),
        ("staff:clara", "case_note", {"text": "called him"}),
    ]


def test_tier_is_set_with_a_reason(folder: Path, fresh_database: str) -> None:
    """Once, with who and why; a tier that there is not, no reason and nobody are told."""
    asyncio.run(
        execute(
            fresh_database,
            "INSERT INTO customer (customer_id, name, deposit_index) VALUES (1, 'bob', 1)",
        )
    )
    why = ("--reason", "papers seen")
    done = run(folder, "compliance", "tier", "bob", "verified", *why)
    assert (done.exit_code, done.stdout) == (0, "bob is verified\n"), done.output
    assert run(folder, "compliance", "tier", "bob", "verified", *why).stdout.endswith("already\n")
    unknown = run(folder, "compliance", "tier", "bob", "golden", *why)
    assert unknown.exit_code == EXIT_USAGE
    assert "'golden' is no tier: one of basic, verified, institutional" in unknown.stderr
    assert run(folder, "compliance", "tier", "bob", "basic", "--reason", " ").exit_code == 2
    assert run(folder, "compliance", "tier", "eve", "basic", *why).exit_code == EXIT_FAILED
    records = json.loads(run(folder, "audit", "about", "customer-1", "--json").stdout)["records"]
    changed = [record for record in records if record["action"] == "tier_changed"]
    assert [(record["actor"], record["detail"]) for record in changed] == [
        ("staff:clara", {"from": "basic", "to": "verified", "reason": "papers seen"})
    ]


def test_freeze_stands_although_no_engine_answers(folder: Path, fresh_database: str) -> None:
    """Exit code 3, to be run again: orders may still be open."""
    asyncio.run(
        execute(
            fresh_database,
            "INSERT INTO customer (customer_id, name, deposit_index) VALUES (1, 'bob', 1)",
        )
    )
    result = run(folder, "compliance", "freeze", "bob", "--reason", "case 17")
    assert result.exit_code == EXIT_NOT_RUNNING
    again = run(folder, "compliance", "unfreeze", "bob", "--reason", "closed")
    assert again.stdout == "bob is active\n"
