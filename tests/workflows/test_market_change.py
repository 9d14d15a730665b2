"""Markets are listed, set and delisted by two signatures, once, at a named sequence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowUpdateFailedError

from api.staff.shapes import Done, Refused
from domain.approval import Decision
from domain.market_change import ChangeState, MarketChange
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.markets import MarketStore
from infra.wallet import officers
from tests.workflows.market_rig import MarketRig, market_rig
from workers import market_desk as desk
from workers.officer_desk import DeskError
from workers.signing_desk import hand_over, signed_decision
from workers.staff_desk import StaffDesk
from workers.staff_work import StaffWork

pytestmark = pytest.mark.servers

WIDER = {"band_ppm": 250_000}


@pytest.fixture
async def rig(fresh_database: str, temporal: str) -> AsyncIterator[MarketRig]:
    """Give an exchange with a worker that carries changes out."""
    async with market_rig(fresh_database, temporal) as rig, rig.worker():
        yield rig


async def _rules(rig: MarketRig, symbol: str = "ETH/USDT") -> dict[str, Any]:
    return await desk.market(rig.database, symbol)


async def _set(rig: MarketRig, **changes: Any) -> MarketChange:
    wanted = desk.Wanted("calmer now")
    return await desk.propose_rules(rig.database, rig.settings, "ETH/USDT", changes, wanted)


async def _records(rig: MarketRig, subject: str) -> list[str]:
    async with rig.database.connect() as conn:
        return [record.action for record in await AuditStore().read(conn, subject)]


async def _count(rig: MarketRig, event: str) -> int:
    history = tables.market_history
    query = sa.select(sa.func.count()).select_from(history).where(history.c.event == event)
    async with rig.database.connect() as conn:
        return int(await conn.scalar(query) or 0)


async def _reset(rig: MarketRig, change: MarketChange) -> None:
    """Reset the workflow to its first task, without its updates: as an operator may in the UI."""
    workflow_id = f"market-change-{change.change_id}"
    history = await rig.client.get_workflow_handle(workflow_id).fetch_history()
    first = next(
        event.event_id
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )
    await rig.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace="rialto",
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            workflow_task_finish_event_id=first,
            reason="a test",
            request_id=str(uuid4()),
        )
    )


async def test_a_market_is_listed_set_and_delisted(rig: MarketRig) -> None:
    """The whole life: each step by two signatures, at a sequence that row and engine agree on."""
    proposed = await rig.list_sol()
    assert (await MarketStore(rig.database).listings()).market("SOL/USDT") is None
    listed = await rig.sign_both(proposed)
    assert listed.state is ChangeState.APPLIED
    status = await rig.door().status()
    assert [market.symbol_id for market in status.symbols] == [1, listed.symbol_id]
    row = await _rules(rig, "SOL/USDT")
    assert row["listed_sequence"] == listed.sequence
    result = await rig.client.get_workflow_handle(f"market-change-{listed.change_id}").result()
    assert result == {"state": "applied", "sequence": listed.sequence}

    wanted = desk.Wanted("less for makers")
    changes = {"fees": [[0, 1_800], [-100, 900]], "max_position": "50"}
    change = await desk.propose_rules(rig.database, rig.settings, "SOL/USDT", changes, wanted)
    assert change.was["max_position"] == "0"
    changed = await rig.sign_both(change)
    row = await _rules(rig, "SOL/USDT")
    assert (row["fees"], row["max_position"]) == (changes["fees"], "50")
    assert [event["event"] for event in row["history"]] == ["listed", "parameters"]
    assert row["history"][-1]["sequence"] == changed.sequence

    over = desk.Wanted("nobody trades it")
    ended = await rig.sign_both(
        await desk.propose_delisting(rig.database, rig.settings, "SOL/USDT", over)
    )
    row = await _rules(rig, "SOL/USDT")
    assert row["delisted_sequence"] == ended.sequence
    assert await _records(rig, f"market-change-{ended.change_id}") == [
        "proposed", "signed", "signed", "sent", "applied",
    ]  # fmt: skip
    assert await _records(rig, f"market-{ended.symbol_id}") == ["listed", "parameters", "delisted"]
    with pytest.raises(DeskError, match="one history"):
        await rig.list_sol()
    with pytest.raises(DeskError, match="was delisted"):
        await desk.propose_rules(rig.database, rig.settings, "SOL/USDT", WIDER, wanted)


async def test_forged_signatures_change_nothing(rig: MarketRig) -> None:
    """A bare name, another text, another key, the same officer twice, a stranger: refused."""
    change = await _set(rig, **WIDER)
    handle = rig.client.get_workflow_handle(f"market-change-{change.change_id}")
    path = officers.private_key_path(rig.settings.data_dir, "marta")
    key = officers.load_private_key(path)

    def made(officer: str, text: str, action: str = change.action) -> dict[str, str]:
        return asdict(Decision(officer, action, text, key.sign(text.encode()).hex()))

    text = change.statement()
    forged: list[dict[str, str]] = [
        {"officer": "marta"},
        {**made("marta", text), "signature_hex": "00" * 64},
        {**made("marta", text), "signature_hex": "no hex"},
        made("piero", text),
        made("mallory", text),
        made("marta", text.replace("250000", "900000")),
        made("marta", text, "market-delist"),
        {**made("marta", text), "more": "x"},
    ]
    for form in forged:
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("sign", form)
    assert await desk.sign(rig.database, rig.settings, "marta", change)
    with pytest.raises(DeskError, match="signed already"):
        await desk.sign(rig.database, rig.settings, "marta", change)
    with pytest.raises(DeskError, match="no key"):
        await desk.sign(rig.database, rig.settings, "../marta", change)
    assert (await _rules(rig))["band_ppm"] == 100_000


async def test_a_row_with_signatures_that_nobody_made_is_not_sent(rig: MarketRig) -> None:
    """Whoever can write the database cannot make the engine do anything."""
    change = await _set(rig, **WIDER)
    table = tables.market_change
    async with rig.database.begin() as conn:
        forged = {"marta": "00" * 64, "piero": "11" * 64}
        await conn.execute(sa.update(table).values(signatures=forged))
    handle = rig.client.get_workflow_handle(f"market-change-{change.change_id}")
    await handle.terminate("to be started from the row")
    await desk.ensure_running(rig.settings, change)
    await rig.stage(change, "failed:engine")
    assert (await _rules(rig))["band_ppm"] == 100_000
    assert await _count(rig, "parameters") == 0


async def test_a_lost_run_goes_on_from_the_row(rig: MarketRig) -> None:
    """Terminated between the signatures, it is started again and needs only the second one."""
    change = await _set(rig, **WIDER)
    await desk.sign(rig.database, rig.settings, "marta", change)
    await rig.client.get_workflow_handle(f"market-change-{change.change_id}").terminate()
    _, applied = await desk.sign(rig.database, rig.settings, "piero", change)
    assert applied.state is ChangeState.APPLIED
    assert (await _rules(rig))["band_ppm"] == 250_000


async def test_a_reset_after_the_engine_did_it_does_nothing_twice(rig: MarketRig) -> None:
    """The rows were held up; the run is reset meanwhile: one event, one sequence, one record."""
    await rig.hold_rows()
    change = await _set(rig, **WIDER)
    for officer in ("marta", "piero"):
        decision = signed_decision(rig.settings, officer, change)
        await hand_over(rig.settings, f"market-change-{change.change_id}", decision)
    await rig.stage(change, "rows")
    await _reset(rig, change)
    await rig.stage(change, "rows")
    rig.following.set()
    done = await rig.until(change, lambda now: now.state is ChangeState.APPLIED)
    assert await _count(rig, "parameters") == 1
    row = await _rules(rig)
    assert row["history"][-1]["sequence"] == done.sequence
    await _reset(rig, change)
    await rig.client.get_workflow_handle(f"market-change-{change.change_id}").result()
    assert await _count(rig, "parameters") == 1
    assert (await _records(rig, f"market-change-{change.change_id}")).count("applied") == 1


async def test_an_engine_that_is_away_parks_it(rig: MarketRig) -> None:
    """The Stage and the details say so; a retry carries it out when the engine is back."""
    change = await _set(rig, **WIDER)
    rig.engine.kill()
    for officer in ("marta", "piero"):
        decision = signed_decision(rig.settings, officer, change)
        await hand_over(rig.settings, f"market-change-{change.change_id}", decision)
    await rig.stage(change, "failed:engine", seconds=90)
    with pytest.raises(DeskError, match="may carry it out"):
        await desk.abandon(rig.settings, change, "tired of waiting")
    await rig.engine.start()
    handle = rig.client.get_workflow_handle(f"market-change-{change.change_id}")
    await handle.execute_update("retry", {})
    await rig.until(change, lambda now: now.state is ChangeState.APPLIED)
    assert await _count(rig, "parameters") == 1


async def test_what_the_engine_refuses_parks_and_can_be_given_up(rig: MarketRig) -> None:
    """Somebody lists the number behind the desk's back: a reason, another try, the end.

    The rows are held: once they show the market, the change counts as done.
    """
    await rig.hold_rows()
    change = await rig.list_sol()
    taken = (await MarketStore(rig.database).listings()).markets[0].instrument.listing()
    from dataclasses import replace

    await rig.door("admin").submit(replace(taken, symbol_id=change.symbol_id))
    refused = await rig.sign_both(change)
    assert refused.failure == "symbol already listed"
    await rig.stage(change, "failed:engine")
    handle = rig.client.get_workflow_handle(f"market-change-{change.change_id}")
    await handle.signal("retry_parked")
    again = await rig.until(change, lambda now: now.attempt == 2)
    assert again.failure == "symbol already listed"
    staff = StaffDesk(rig.settings, rig.database)
    (shown,) = await StaffWork(rig.settings, rig.database).proposals()
    assert (shown.workflow_id, shown.failure) == (handle.id, "symbol already listed")
    assert [choice.action for choice in shown.choices] == ["sign", "abandon"]
    assert await staff.abandon(f"adjustment-{change.change_id}", "olga", "x") == Refused(
        "nothing here is called so, or takes this decision"
    )
    given_up = await staff.abandon(handle.id, "olga", "the number is taken")
    assert given_up == Done("the change is abandoned")
    assert (await MarketStore(rig.database).listings()).market("SOL/USDT") is None
    assert await handle.result() == {"state": "abandoned", "sequence": None}


async def test_an_unsigned_change_expires(rig: MarketRig) -> None:
    """After its time it is closed, signatures come too late, and the market is free again."""
    wanted = desk.Wanted("too slow", expires_in=2)
    change = await desk.propose_rules(rig.database, rig.settings, "ETH/USDT", WIDER, wanted)
    await desk.sign(rig.database, rig.settings, "marta", change)
    await rig.until(change, lambda now: now.state is ChangeState.EXPIRED)
    with pytest.raises(DeskError, match="expired"):
        await desk.sign(rig.database, rig.settings, "piero", change)
    await _set(rig, **WIDER)


async def test_one_open_change_of_a_market_at_a_time(rig: MarketRig) -> None:
    """The second waits until the first is signed, expired or given up."""
    first = await _set(rig, **WIDER)
    with pytest.raises(DeskError, match="open change"):
        await _set(rig, max_open_orders=7)
    assert await desk.abandon(rig.settings, first, "a mistake") == "abandoned"
    await _set(rig, max_open_orders=7)


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"tick_size": "0.0000001"}, "not a whole number of USDT"),
    ({"lot_size": "0.00000000001"}, "not a whole number of SOL"),
    ({"tick_size": "0"}, "must be positive"),
    ({"tick_size": "1e-2"}, "not a plain decimal"),
    ({"listing_price": "150.001"}, "not a multiple"),
    ({"listing_price": "0"}, "listing price must be positive"),
    ({"fees": [[-2_001, 2_000]]}, "rebate exceeds the lowest taker fee"),
    ({"fees": [[0, 3_000]]}, "exceeds the highest taker fee"),
    ({"fees": [[0, -1]]}, "taker rate is negative"),
    ({"fees": [[0, 1]] * 9}, "1 to 8 fee tiers"),
    ({"band_ppm": -1}, "band must not be negative"),
    ({"max_order": "0"}, "largest order must be positive"),
    ({"max_order": "1" + "0" * 25}, "64 bits"),
    ({"max_open_orders": 0}, "at least one open order"),
    ({"max_open_orders": 2**32}, "at least one open order"),
    ({"max_position": "0.0001"}, "not a multiple"),
)


async def test_a_listing_that_breaks_a_rule_is_refused_before_anyone_signs(rig: MarketRig) -> None:
    """Each in words, and nothing is written."""
    for terms, words in REFUSED:
        with pytest.raises(DeskError, match=words):
            await rig.list_sol(**terms)
    with pytest.raises(DeskError, match="reason"):
        await rig.list_sol(" ")
    async with rig.database.connect() as conn:
        query = sa.select(sa.func.count()).select_from(tables.market_change)
        assert await conn.scalar(query) == 0
