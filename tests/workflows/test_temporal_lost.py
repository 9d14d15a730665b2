"""Temporal away, or back from an old copy: the rows know better, and nothing happens twice."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from activities.adjustment import AdjustmentActivities
from activities.orphan_sweep import SweepRequest
from domain.ledger import Posting
from domain.shard_transfer import NewShardTransfer
from infra.embedded.temporal import TemporalServer
from infra.postgres.adjustment_store import AdjustmentStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.settlement_store import SettlementStore
from infra.temporal.entities import EntityWorkflow
from infra.temporal.runs import OPEN, list_runs
from infra.wallet.officers import pinned_path, verify_ed25519
from infra.wallet.pinned_officers import PinnedOfficers
from infra.wallet.shard_transfer_store import ShardTransferStore
from tests.conftest import Servers
from tests.workflows.conftest import HOT_COINS
from tests.workflows.wallet_parts import ETH_USDT, OUTSIDE, EngineInProcess
from tests.workflows.wallet_rig import Rig, build_rig
from workers import adjust_desk
from workers.temporal_worker import worker_of
from workers.wiring import Wiring
from workers.withdrawals import TransferStarter, WithdrawalStarter
from workers.worker_care import WorkerCare
from workflows import task_queues
from workflows.adjustment import AdjustmentWorkflow
from workflows.orphan_sweep import SWEEP_ID, SWEEP_SUMMARY, SWEEP_WORKFLOW

pytestmark = pytest.mark.servers
USDT = 10**6
ALICE = 1
GIFT = Posting("capital:USDT", "customer:1:main:USDT", "USDT", 7 * USDT)


@dataclass
class House:
    """A wallet of two shards that can lose its Temporal, with all that starts things again."""

    rig: Rig
    temporal: TemporalServer
    transfers: ShardTransferStore

    async def ask(self, key: str, amount: int, places: tuple[int | None, int | None]) -> UUID:
        """Write a transfer down as the gateway does."""
        made = await self.transfers.create(NewShardTransfer(ALICE, key, 1, amount, *places))
        assert isinstance(made, tuple)
        return made[0].shard_transfer_id

    async def transfer_state(self, name: UUID) -> str:
        return (await self.transfers.load(name)).state

    async def balances(self) -> dict[str, int]:
        """Return Alice's money, and what is under way."""
        codes = [f"customer:1:{place}:USDT" for place in ("main", "trading.0", "trading.1")]
        codes += ["transit.0:USDT", "transit.1:USDT", "withdrawal:pending:USDT"]
        return {code: await self.rig.balance(code) for code in codes}

    async def open_runs(self) -> list[str]:
        """Return the workflows that are open, but for the sweep."""
        found = [run.workflow_id async for run in list_runs(self.rig.client, OPEN)]
        return [name for name in found if name != SWEEP_ID]


def _wirings(rig: Rig) -> list[Wiring]:
    """Return the settlement worker's adjustments, and the sweep as an entity that is quick."""
    adjusting = AdjustmentActivities(
        AdjustmentStore(rig.engine, LedgerStore(), AuditStore()),
        PinnedOfficers(pinned_path(rig.settings.data_dir)),
        verify_ed25519,
        lambda: int(time.time()),
    )
    steps = (adjusting.load, adjusting.sign, adjusting.post, adjusting.expire)
    sweep = EntityWorkflow(
        SWEEP_ID, SWEEP_WORKFLOW, SweepRequest(every_seconds=1), task_queues.WALLET, SWEEP_SUMMARY
    )
    return [
        Wiring(task_queues.SETTLEMENT, (AdjustmentWorkflow,), steps),
        Wiring(task_queues.WALLET, (), (), entities=(sweep,)),
    ]


@pytest.fixture
async def house(servers: Servers, tmp_path: Path) -> AsyncIterator[House]:
    """Give a house whose workers run; Alice has 5,000 USDT on shard 0."""
    temporal, chain, name = servers.new_temporal(), servers.new_chain(), servers.new_database()
    async with AsyncExitStack() as stack:
        stack.callback(chain.kill)
        stack.callback(temporal.kill)
        rig = await build_rig(
            stack,
            database_url=servers.postgres.database_url(name),
            chain_url=chain.url,
            temporal=temporal.url,
            data_dir=tmp_path,
        )
        for asset, amount in HOT_COINS.items():
            await rig.fund(rig.wallet.public.hot_address, asset, amount)
        await rig.mine()
        second = EngineInProcess(SettlementStore(rig.engine), 1)
        await second.submit(ETH_USDT)
        treasuries = {0: rig.treasury, 1: second}
        await stack.enter_async_context(rig.worker(treasuries=treasuries))
        wirings = _wirings(rig)
        await stack.enter_async_context(worker_of(rig.client, wirings[0]))
        stack.callback(asyncio.create_task(WorkerCare(rig.client, wirings, 90).run()).cancel)
        await rig.funded_customer(ALICE, "USDT", 5_000 * USDT)
        yield House(rig, temporal, ShardTransferStore(rig.engine, LedgerStore()))


async def test_what_is_asked_for_while_temporal_is_away_is_done_when_it_is_back(
    house: House,
) -> None:
    """The rows are the outbox: transfers of each kind and a withdrawal, without a second asking."""
    rig = house.rig
    await asyncio.to_thread(house.temporal.stop)
    asked = [
        await house.ask("over", 1_000 * USDT, (0, 1)),
        await house.ask("out", 500 * USDT, (0, None)),
    ]
    started = TransferStarter(rig.settings)
    assert [await started.start(name, "a test") for name in asked] == [False, False]
    withdrawal = await rig.request(ALICE, "USDT", 100 * USDT)
    assert not await WithdrawalStarter(rig.settings).start(UUID(withdrawal), "a test")
    await asyncio.sleep(1)
    assert {await house.transfer_state(name) for name in asked} == {"requested"}
    await asyncio.to_thread(house.temporal.start)
    for name in asked:
        await rig.until(lambda name=name: house.transfer_state(name), "done", 60)  # type: ignore[misc]
    back = await house.ask("in", 200 * USDT, (None, 1))
    await rig.until(lambda: house.transfer_state(back), "done")
    await rig.until_settled(withdrawal)
    assert await house.balances() == {
        "customer:1:main:USDT": 300 * USDT,
        "customer:1:trading.0:USDT": 3_400 * USDT,
        "customer:1:trading.1:USDT": 1_200 * USDT,
        "transit.0:USDT": 0,
        "transit.1:USDT": 0,
        "withdrawal:pending:USDT": 0,
    }


async def _history(house: House, folder: Path) -> tuple[str, str]:
    """Live on after a copy of Temporal's database; return what is finished, and what waits."""
    rig = house.rig
    waited = await rig.withdraw(ALICE, "USDT", 1_500 * USDT)
    await rig.until(lambda: rig.stage(waited), "approval")
    await asyncio.to_thread(house.temporal.stop)
    shutil.copytree(house.temporal.data_dir, folder)
    await asyncio.to_thread(house.temporal.start)
    async with asyncio.timeout(60):
        while True:
            with suppress(Exception):  # the server has just been started
                await rig.handle(waited).execute_update("approve", await rig.decision(waited))
                break
            await asyncio.sleep(0.2)
    await rig.until_settled(waited)
    name = await house.ask("over", 1_000 * USDT, (0, 1))
    await rig.until(lambda: house.transfer_state(name), "done")
    gift = await adjust_desk.propose(rig.engine, rig.settings, (GIFT,), "a gift", "")
    for officer in ("marta", "piero"):
        await adjust_desk.sign(rig.settings, officer, gift)
    await rig.until(lambda: rig.balance(GIFT.destination), GIFT.amount)
    waits = await rig.withdraw(ALICE, "USDT", 1_200 * USDT)
    await rig.until(lambda: rig.stage(waits), "approval")
    return waited, waits


async def test_an_old_copy_of_temporals_database_strands_and_repeats_nothing(
    house: House, tmp_path: Path
) -> None:
    """It waits for an approval that was given, and knows nothing of all that came after."""
    rig = house.rig
    waited, waits = await _history(house, tmp_path / "copy")
    half = await adjust_desk.propose(rig.engine, rig.settings, (GIFT,), "another gift", "")
    assert await adjust_desk.sign(rig.settings, "marta", half) == 1
    before, coins = await house.balances(), await rig.coins(OUTSIDE, "USDT")
    stories = {name: await rig.audit(f"withdrawal-{name}") for name in (waited, waits)}

    await asyncio.to_thread(house.temporal.kill)
    shutil.rmtree(house.temporal.data_dir)
    shutil.copytree(tmp_path / "copy", house.temporal.data_dir)
    await asyncio.to_thread(house.temporal.start)

    expected = {f"withdrawal-{waits}", f"adjustment-{half.adjustment_id}"}
    await rig.until(lambda: _open(house), expected, 60)
    assert await house.balances() == before
    assert await rig.coins(OUTSIDE, "USDT") == coins
    assert {name: await rig.audit(f"withdrawal-{name}") for name in stories} == stories
    result = await rig.handle(waits).execute_update("approve", await rig.decision(waits))
    assert result["approvals"] == 1
    await rig.until_settled(waits)
    assert await rig.coins(OUTSIDE, "USDT") == coins + 1_199 * USDT
    assert await adjust_desk.sign(rig.settings, "piero", half) == 2
    await rig.until(lambda: rig.balance(GIFT.destination), 2 * GIFT.amount)
    await rig.until(lambda: _open(house), set(), 30)


async def _open(house: House) -> set[str]:
    return set(await house.open_runs())
