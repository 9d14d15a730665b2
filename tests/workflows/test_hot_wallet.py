"""Deposit addresses are emptied into the hot wallet, its surplus goes cold; the books follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import sqlalchemy as sa

from domain.checker import Checker
from domain.checker_records import ChainRecord
from domain.hot_wallet import HOT_WALLET_WORKFLOW, Band, TendRequest
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.record_reader import RecordReader
from infra.wallet.coins import WalletCoins
from infra.wallet.hot_wallet_store import HotWalletStore
from tests.workflows.wallet_parts import OUTSIDE, Gate
from tests.workflows.wallet_rig import Rig
from workers.wallet_desk import set_cold_address
from workflows import task_queues

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT, ETHER = 10**6, 10**18
COLD = "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955"
STEPS = (
    "allocate_payment_nonce",
    "store_signed_payment",
    "broadcast_payment",
    "confirm_payment",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(quiet_rig: Rig) -> AsyncIterator[Gate]:
    """Give the gate of a running worker that looks after the hot wallet."""
    gate = Gate()
    await set_cold_address(quiet_rig.engine, quiet_rig.settings, COLD)
    async with quiet_rig.worker(gate, cold_address=lambda: COLD):
        await quiet_rig.client.start_workflow(
            HOT_WALLET_WORKFLOW,
            TendRequest(every_seconds=1),
            id="hot-wallet",
            task_queue=task_queues.WALLET,
        )
        yield gate


async def _set_band(rig: Rig, code: str, **bounds: int) -> None:
    store = HotWalletStore(rig.engine, AuditStore())
    band = next(band for band in await store.bands("ETH") if band.asset.code == code)
    wanted = Band(band.asset, band.contract, **bounds)
    assert wanted.refusal is None
    await store.set_band(wanted, "staff:test")


async def _violations(rig: Rig) -> list[str]:
    """Return what the checker says of coins and books, at the watcher's block; [] where it cannot.

    A moment is consistent; the chain is asked for that moment's block.
    """
    async with RecordReader(rig.engine).reading() as reading:
        checker = Checker(await reading.assets())
        checker.accounts(await reading.accounts())
        facts = await reading.wallet_facts()
    coins: list[ChainRecord] = []
    for of_chain in facts:
        found = await WalletCoins(rig.chain, rig.wallet.public.hot_address).at(of_chain)
        coins += found
    checker.chain(coins)
    report = checker.report()
    return [it.text for it in report.violations if it.invariant == "chain_equals_wallet"]


async def _has_read(rig: Rig, height: int) -> bool:
    return rig.watcher.state.height >= height


async def _states(rig: Rig, kind: str) -> list[str]:
    row = tables.wallet_payment.c
    query = sa.select(row.state).where(row.kind == kind).order_by(row.created_at)
    async with rig.engine.connect() as connection:
        return list((await connection.execute(query)).scalars())


async def _until_booked(rig: Rig, kind: str, count: int) -> None:
    """Let the chain go on until so many are booked; coins and books agree all the time."""
    async with asyncio.timeout(90):
        while (await _states(rig, kind)).count("booked") < count:
            await rig.mine(1)
            assert await _violations(rig) == []
            await asyncio.sleep(0.1)


@pytest.mark.long
@pytest.mark.parametrize("step", STEPS)
async def test_deposit_is_swept_and_pays_a_withdrawal_whatever_crashes(
    quiet_rig: Rig, gate: Gate, step: str
) -> None:
    """A token's deposit gets gas, is swept once and pays; the worker dies after a step."""
    rig, number = quiet_rig, STEPS.index(step) + 1
    await _set_band(rig, "USDT", sweep_above=50 * USDT)
    swept = (await _states(rig, "sweep")).count("booked")
    gate.close_after(step)
    address = await rig.funded_customer(number, "USDT", 500 * USDT)
    async with asyncio.timeout(60):
        while not gate.reached.is_set():
            await rig.mine(1)
            assert await _violations(rig) == []
            await asyncio.sleep(0.1)
    gate.opened.set()
    await _until_booked(rig, "sweep", swept + 1)
    assert await rig.coins(address, "USDT") == 0
    assert await rig.coins(address, "ETH") > 0  # gas that was not needed stays in the books
    withdrawal_id = await rig.withdraw(number, "USDT", 400 * USDT)
    await rig.until_settled(withdrawal_id)
    height = await rig.chain.head()
    await rig.until(lambda: _has_read(rig, height), True)
    assert await _violations(rig) == []


async def test_surplus_goes_to_the_cold_address(quiet_rig: Rig, gate: Gate) -> None:
    """Coins of a deposit are swept without gas from elsewhere; above the ceiling they go cold."""
    rig = quiet_rig
    address = await rig.funded_customer(20, "ETH", 3 * ETHER)
    hot = rig.wallet.public.hot_address
    await _set_band(
        rig,
        "ETH",
        sweep_above=ETHER,
        target=await rig.coins(hot, "ETH") - ETHER,
        ceiling=await rig.coins(hot, "ETH") + ETHER,
    )
    booked = (await _states(rig, "sweep")).count("booked")
    await _until_booked(rig, "sweep", booked + 1)
    assert await rig.coins(address, "ETH") < ETHER // 100
    await _until_booked(rig, "cold", 1)
    async with rig.engine.connect() as connection:
        row = tables.wallet_payment.c
        amounts = sa.select(sa.func.sum(row.amount)).where(row.kind == "cold")
        sent = int(await connection.scalar(amounts) or 0)
    assert await rig.coins(COLD, "ETH") - 10_000 * ETHER == sent  # a funded account of the node
    assert await rig.balance("wallet:cold:ETH:ETH") == -sent - 10_000 * ETHER
    assert await rig.coins(OUTSIDE, "ETH") >= 0
    await _set_band(rig, "ETH")


async def test_our_own_payments_are_no_deposits(quiet_rig: Rig, gate: Gate) -> None:
    """Neither gas nor a sweep is taken for a deposit, nor for a refill by the owners."""
    row = tables.deposit.c
    payment = tables.wallet_transaction.c
    query = sa.select(sa.func.count()).where(
        row.tx_hash.in_(sa.select(payment.tx_hash).where(payment.payment_id.is_not(None)))
    )
    async with quiet_rig.engine.connect() as connection:
        assert await connection.scalar(query) == 0
