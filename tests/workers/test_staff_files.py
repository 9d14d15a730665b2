"""Customers' files as the console opens them, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError

from api.staff.shapes import Done, Refused
from domain.customer import Standing
from infra.postgres import tables
from infra.postgres.engine import create
from infra.settings import Settings
from infra.wallet.officers import create_officers
from workers import staff_work, standing_desk
from workers.compliance_desk import compliance_file
from workers.staff_desk import StaffDesk, StaffFiles
from workers.wallet_queries import named_links

pytestmark = pytest.mark.servers


async def test_a_file_is_opened_changed_and_every_look_is_in_it(
    fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name or number; the record of a look is written before anything is read."""
    monkeypatch.setattr(standing_desk, "PATIENCE_SECONDS", 0.0)
    create_officers(tmp_path)
    settings = Settings(
        data_dir=tmp_path,
        database_url=fresh_database,
        redis_url="redis://127.0.0.1:1",
        temporal_address="127.0.0.1:1",
        chain_url="http://127.0.0.1:1",
    )
    engine = create(fresh_database)
    try:
        await _customers(engine)
        files = StaffFiles(settings, engine, compliance_file(settings, engine))
        assert await files.customer("eve", "staff:clara") is None
        assert await files.note(99, "clara", "nobody") == Refused("no customer 99")
        first = await files.customer("bob", "staff:clara")
        assert first is not None
        assert (first.customer_id, first.standing, first.tier) == (7, "active", "basic")
        assert [record["action"] for record in first.records] == ["file_read"]

        frozen = await files.set_standing(7, Standing.FROZEN, "clara", "case 17")
        assert isinstance(frozen, Refused)  # there is no engine here
        assert frozen.why.startswith("the standing is set, but orders on shard 0 are not cancelled")
        assert await files.note(7, "clara", "asked for papers") == Done("noted")
        second = await files.customer("7", "staff:ada")
        assert second is not None
        assert second.standing == "frozen"
        told = [(record["actor"], record["action"]) for record in second.records]
        assert told == [
            ("staff:clara", "file_read"),
            ("staff:clara", "standing_changed"),
            ("staff:clara", "case_note"),
            ("staff:ada", "file_read"),
        ]
        active = await files.set_standing(7, Standing.ACTIVE, "ada", "closed")
        assert active == Done("active")
        named = await files.customer("9", "staff:ada")  # a name goes before a number
        assert named is not None
        assert named.customer_id == 8
        with pytest.raises(ConnectionError):
            await StaffDesk(settings, engine).retry("withdrawal-1", "olga", "x")
    finally:
        await engine.dispose()


async def _customers(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for number, name in ((7, "bob"), (8, "9"), (9, "carol")):
            await connection.execute(
                tables.customer.insert().values(customer_id=number, name=name, deposit_index=number)
            )


def test_named_searches_are_addresses_of_the_ui() -> None:
    """Each is one address, with its query as the UI wants it."""
    now = dt.datetime(2026, 11, 28, 5, tzinfo=dt.UTC)
    found = dict(named_links("/namespaces/rialto/workflows", now))
    assert list(found) == [
        "Waiting for approval",
        "Parked",
        "Older than the deadline",
        "Over 10,000 USD",
    ]
    for address in found.values():
        assert address.startswith("/namespaces/rialto/workflows?query=")
        assert " " not in address
    assert "StartTime%20%3C%20%272026-11-27T05%3A00%3A00Z%27" in found["Older than the deadline"]


async def test_a_workflow_that_does_not_answer_is_late_and_not_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The SDK tells our own cancelling as an error of its own; what was sent may still count."""
    monkeypatch.setattr(staff_work, "_LONGEST_SECONDS", 0.01)
    with pytest.raises(TimeoutError):
        await _within_reach(_as_the_sdk_does())
    with pytest.raises(TimeoutError):
        await _within_reach(asyncio.sleep(60))


async def _within_reach(work: Awaitable[None]) -> None:
    async with staff_work.reaching():
        await work


async def _as_the_sdk_does() -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError as error:
        raise WorkflowUpdateRPCTimeoutOrCancelledError from error
