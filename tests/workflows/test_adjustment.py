"""Adjustments on real servers: two keys post once; a correction lets settlement go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowUpdateFailedError

from activities.adjustment import AdjustmentActivities
from api.staff.shapes import Done, ParkedWork
from domain.ledger import JournalRequest, LedgerInvariantError, Posting
from infra.postgres import tables
from infra.postgres.adjustment_store import AdjustmentStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore, Posted
from infra.postgres.settlement_store import SettlementStore
from infra.settings import Settings
from infra.temporal.client import connect
from infra.wallet.officers import create_officers, verify_ed25519
from matching.event_codec import encode_events
from tests.infra.postgres.conftest import seed_listings
from tests.infra.postgres.flows import credited, tick
from workers import adjust_desk as desk
from workers.officer_desk import DeskError
from workers.staff_desk import StaffDesk
from workers.staff_work import StaffWork
from workers.suspense_desk import in_suspense, propose_release, story
from workers.temporal_worker import worker_of
from workers.wiring import Wiring
from workflows import task_queues
from workflows.adjustment import AdjustmentWorkflow

pytestmark = pytest.mark.servers

GIFT = Posting("capital:USDT", "customer:7:main:USDT", "USDT", 5_000_000)


@dataclass
class Office:
    """A database, a worker, and officers with keys."""

    engine: AsyncEngine
    settings: Settings
    client: Client

    async def balance(self, code: str) -> int:
        async with self.engine.connect() as conn:
            return await LedgerStore().balance(conn, code)

    async def until(self, adjustment_id: str, state: str) -> None:
        deadline = time.monotonic() + 30
        while (found := (await desk.load(self.engine, adjustment_id)).state) != state:
            assert time.monotonic() < deadline, f"{adjustment_id} is {found}, not {state}"
            await asyncio.sleep(0.05)


@pytest.fixture
async def office(fresh_database: str, temporal: str, tmp_path: Path) -> AsyncIterator[Office]:
    """Give an office whose worker runs adjustments."""
    engine = create(fresh_database)
    async with engine.begin() as conn:
        await seed_listings(conn)
    officers = create_officers(tmp_path)
    settings = Settings(
        data_dir=tmp_path,
        database_url=fresh_database,
        redis_url="redis://127.0.0.1:1",
        temporal_address=temporal,
        chain_url="http://127.0.0.1:1",
    )
    rows = AdjustmentStore(engine, LedgerStore(), AuditStore())
    steps = AdjustmentActivities(rows, officers, verify_ed25519, lambda: int(time.time()))
    client = await connect(settings)
    wiring = Wiring(
        task_queue=task_queues.SETTLEMENT,
        workflows=(AdjustmentWorkflow,),
        activities=(steps.load, steps.sign, steps.post, steps.expire),
    )
    async with worker_of(client, wiring):
        yield Office(engine, settings, client)
    await engine.dispose()


async def test_two_officers_post_once(office: Office) -> None:
    """One signature moves nothing, the same officer's counts once, the second posts."""
    proposed = await desk.propose(office.engine, office.settings, (GIFT,), "a gift", "")
    assert await desk.sign(office.settings, "marta", proposed) == 1
    assert await office.balance(GIFT.destination) == 0
    with pytest.raises(DeskError, match="signed already"):
        await desk.sign(office.settings, "marta", proposed)
    await desk.sign(office.settings, "piero", proposed)
    await office.until(proposed.adjustment_id, "posted")
    assert await office.balance(GIFT.destination) == 5_000_000
    rows = AdjustmentStore(office.engine, LedgerStore(), AuditStore())
    assert await rows.post(proposed.adjustment_id) is None  # a step that is repeated
    assert await office.balance(GIFT.destination) == 5_000_000
    async with office.engine.connect() as conn:
        row = (
            await conn.execute(
                sa.select(tables.journal).where(tables.journal.c.stream == "adjustment")
            )
        ).one()
        records = await AuditStore().read(conn, f"adjustment-{proposed.adjustment_id}")
    assert row.detail["statement"] == proposed.statement()
    assert sorted(row.detail["signatures"]) == ["marta", "piero"]
    assert [record.action for record in records] == ["proposed", "signed", "signed", "posted"]


async def _suspended(office: Office, name: str) -> None:
    """Book a deposit into suspense."""
    async with office.engine.begin() as conn:
        await conn.execute(
            sa.insert(tables.deposit).values(
                deposit_id=name,
                chain="ETH",
                tx_hash=name.split("-")[2],
                log_index=0,
                block_number=5,
                block_hash="0xb5",
                address="0xOurs",
                customer_id=7,
                asset_id=1,
                amount=400_000,
                state="suspended",
                reason="sender_denied",
            )
        )
        coins = Posting("wallet:deposit:ETH:USDT", "suspense:USDT", "USDT", 400_000)
        request = JournalRequest("wallet", f"{name}-post", "deposit_suspended", (coins,))
        assert isinstance(await LedgerStore().post(conn, request), Posted)


async def test_suspense_is_released_once_by_two_officers(office: Office) -> None:
    """One signature moves nothing; two proposals of one deposit cannot both be carried out."""
    name, owner = "deposit-ETH-0xab-0", "c7"
    await _suspended(office, name)
    async with office.engine.begin() as conn:
        await conn.execute(
            sa.insert(tables.customer).values(customer_id=77, name=owner, deposit_index=77)
        )
    with pytest.raises(DeskError, match="no customer"):
        await propose_release(office.engine, office.settings, name, "nobody", "his")
    first, second = [
        await propose_release(office.engine, office.settings, name, owner, "his own mistake")
        for _ in range(2)
    ]
    await desk.sign(office.settings, "marta", first)
    assert await office.balance("suspense:USDT") == 400_000
    assert len((await story(office.engine, name))["proposals"]) == 2
    await desk.sign(office.settings, "piero", first)
    await office.until(first.adjustment_id, "posted")
    assert await office.balance("suspense:USDT") == 0
    assert await office.balance("customer:77:main:USDT") == 400_000
    rows = AdjustmentStore(office.engine, LedgerStore(), AuditStore())
    refusal = await rows.post(second.adjustment_id)
    assert refusal is not None
    assert "is released, not in suspense" in refusal
    assert await in_suspense(office.engine) == []
    (record,) = (await story(office.engine, name))["audit"]
    assert (record["action"], record["detail"]["signed_by"]) == ("released", ["marta", "piero"])


async def test_forged_signatures_are_refused(office: Office) -> None:
    """A bare name, another statement, a key that is not pinned: refused, nothing moves."""
    proposed = await desk.propose(office.engine, office.settings, (GIFT,), "a gift", "")
    handle = office.client.get_workflow_handle(f"adjustment-{proposed.adjustment_id}")
    forged = {"officer": "marta", "action": "adjust", "statement": proposed.statement()}
    for form in ({"officer": "marta"}, {**forged, "signature_hex": "00" * 64}):
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("sign", form)
    with pytest.raises(DeskError, match="no key"):
        await desk.sign(office.settings, "mallory", proposed)
    assert (await desk.load(office.engine, proposed.adjustment_id)).state == "proposed"


async def test_lost_workflow_is_started_from_its_row(office: Office) -> None:
    """Terminated between two signatures, it goes on with the first one."""
    proposed = await desk.propose(office.engine, office.settings, (GIFT,), "a gift", "")
    await desk.sign(office.settings, "marta", proposed)
    await office.client.get_workflow_handle(f"adjustment-{proposed.adjustment_id}").terminate()
    assert await desk.sign(office.settings, "piero", proposed) == 2
    await office.until(proposed.adjustment_id, "posted")
    assert await office.balance(GIFT.destination) == 5_000_000


async def test_unsigned_proposal_expires(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time it is closed, and signatures come too late."""
    monkeypatch.setattr(desk, "VALID_SECONDS", 1)
    proposed = await desk.propose(office.engine, office.settings, (GIFT,), "a gift", "")
    await office.until(proposed.adjustment_id, "expired")
    with pytest.raises(DeskError, match="expired"):
        await desk.sign(office.settings, "marta", proposed)
    assert await office.balance(GIFT.destination) == 0


async def test_refused_posting_parks_until_the_money_is_there(office: Office) -> None:
    """The ledger's floor holds against two signatures, too."""
    back = Posting(GIFT.destination, GIFT.source, "USDT", 5_000_000)
    proposed = await desk.propose(office.engine, office.settings, (back,), "gift back", "")
    work = StaffWork(office.settings, office.engine)
    workflow_id = f"adjustment-{proposed.adjustment_id}"
    (shown,) = [one for one in await work.proposals() if one.workflow_id == workflow_id]
    assert shown.lines == ["5 USDT from customer:7:main:USDT to capital:USDT"]
    assert (shown.statement, shown.action) == (proposed.statement(), "adjust")
    for officer in ("marta", "piero"):
        await desk.sign(office.settings, officer, proposed)
    parked = await _parked(work, workflow_id)
    assert (parked.stage, parked.statement) == ("failed:post", "")
    assert "LedgerRefusedError" in parked.details
    assert [choice.action for choice in parked.choices] == ["retry"]
    assert (await desk.load(office.engine, proposed.adjustment_id)).state == "proposed"
    gift = await desk.propose(office.engine, office.settings, (GIFT,), "a gift", "")
    for officer in ("marta", "piero"):
        await desk.sign(office.settings, officer, gift)
    await office.until(gift.adjustment_id, "posted")
    done = await StaffDesk(office.settings, office.engine).retry(workflow_id, "olga", "refilled")
    assert done == Done("goes on at once")
    await office.until(proposed.adjustment_id, "posted")
    assert await office.balance(GIFT.destination) == 0


async def _parked(work: StaffWork, workflow_id: str) -> ParkedWork:
    """Return what the console shows of a parked workflow, as soon as search has caught up."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for found in await work.parked():
            if found.workflow_id == workflow_id:
                return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"{workflow_id} is not shown as parked")


async def test_correction_lets_a_parked_event_settle(office: Office) -> None:
    """A credit without its transfer is refused until two people bring its money, under its key."""
    store = SettlementStore(office.engine)
    raw = encode_events([credited(1, UUID(int=99), 1, 1, 70)])
    with pytest.raises(LedgerInvariantError, match="below its floor"):
        await store.settle(0, 1, 1, raw)
    fix = Posting("capital:USDT", "transit.0:USDT", "USDT", 70)
    proposed = await desk.propose(office.engine, office.settings, (fix,), "lost row", "0:1.0")
    for officer in ("marta", "piero"):
        await desk.sign(office.settings, officer, proposed)
    await office.until(proposed.adjustment_id, "posted")
    assert (await store.settle(0, 1, 1, raw)).last_sequence == 1
    assert await office.balance("customer:1:trading.0:USDT") == 70
    assert await office.balance("transit.0:USDT") == 0


async def test_quarantine_is_for_unknown_types_only(office: Office) -> None:
    """An event of a future version parks until two people attest; a money event stays refused."""
    store = SettlementStore(office.engine)
    future = bytearray(encode_events([tick(1), tick(2)]))
    stripe = bytearray(encode_events([tick(1)]))
    stripe[8] = 1  # index 1
    stripe[10] = 250  # a type that this version does not know
    raw = bytes(future[:64] + stripe + future[64:])
    with pytest.raises(LedgerInvariantError, match="unknown type 250"):
        await store.settle(0, 1, 2, raw)
    for event in ("0:1.1", "0:3.0"):
        proposed = await desk.propose(office.engine, office.settings, (), "a statistic", event)
        for officer in ("marta", "piero"):
            await desk.sign(office.settings, officer, proposed)
        await office.until(proposed.adjustment_id, "posted")
    assert (await store.settle(0, 1, 2, raw)).last_sequence == 2
    money = encode_events([credited(3, UUID(int=99), 1, 1, 70)])
    with pytest.raises(LedgerInvariantError):
        await store.settle(0, 3, 3, money)
