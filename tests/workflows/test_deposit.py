"""Deposits end to end: real chain, Temporal, PostgreSQL, ledger and engine rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

from domain.deposit import deposit_id
from infra.postgres import tables
from infra.wallet import demo
from infra.wallet.erc20 import transfer_call
from tests.workflows.wallet_rig import Rig

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6
ETH = 10**18


@asynccontextmanager
async def _slow_confirmations(rig: Rig, asset: str) -> AsyncIterator[None]:
    """Let deposits of `asset` wait, so that a test can do something before they are posted."""
    code = tables.asset.c.code
    async with rig.engine.begin() as connection:
        await connection.execute(
            sa.update(tables.asset).where(code == asset).values(confirmations=30)
        )
    yield
    async with rig.engine.begin() as connection:
        await connection.execute(
            sa.update(tables.asset).where(code == asset).values(confirmations=2)
        )


async def _totals(rig: Rig) -> dict[str, int]:
    """Return every ledger account that is not empty."""
    account = tables.ledger_account.c
    async with rig.engine.connect() as connection:
        rows = await connection.execute(sa.select(account.code, account.balance))
        return {row.code: int(row.balance) for row in rows if row.balance}


async def test_deposit_becomes_trading_balance(rig: Rig) -> None:
    """Seen, pending, posted, credited; the ledger's wallet account is minus the coins."""
    coins = await rig.balance("wallet:deposit:ETH:USDT")
    address = await rig.funded_customer(1, "USDT", 500 * USDT)
    assert await rig.balance("customer:1:trading.0:USDT") == 500 * USDT
    assert await rig.balance("customer:1:main:USDT") == 0
    assert await rig.balance("wallet:deposit:ETH:USDT") - coins == -500 * USDT
    assert await rig.coins(address, "USDT") == 500 * USDT


async def test_deposit_tells_its_story(rig: Rig) -> None:
    """Each state is in the audit log, once."""
    address = await rig.new_customer(2)
    tx_hash = await rig.fund(address, "USDT", 50 * USDT)
    await rig.mine()
    await rig.until(lambda: rig.deposit_state(tx_hash), "credited")
    assert await rig.audit(deposit_id("ETH", tx_hash, 0)) == [
        "seen",
        "pending",
        "posted",
        "credited",
    ]


async def test_dust_of_the_coin_stays_in_main(rig: Rig) -> None:
    """The engine counts coarser units: what is below one of them cannot be traded."""
    await rig.funded_customer(3, "ETH", 2 * ETH + 5)
    assert await rig.balance("customer:3:trading.0:ETH") == 2 * ETH
    assert await rig.balance("customer:3:main:ETH") == 5


async def test_payment_to_the_hot_wallet_is_a_refill(rig: Rig) -> None:
    """The owners' money: it belongs to no customer."""
    capital, hot = await rig.balance("capital:ETH"), await rig.balance("wallet:hot:ETH:ETH")
    tx_hash = await rig.fund(rig.wallet.public.hot_address, "ETH", 3 * ETH)
    await rig.mine()
    await rig.until(lambda: rig.deposit_state(tx_hash), "refilled")
    assert await rig.balance("capital:ETH") - capital == 3 * ETH
    assert await rig.balance("wallet:hot:ETH:ETH") - hot == -3 * ETH


async def test_payment_below_the_minimum_is_kept_in_suspense(rig: Rig) -> None:
    """It is on our address, so the books show it; but it is nobody's balance."""
    address = await rig.new_customer(4)
    tx_hash = await rig.fund(address, "USDT", USDT // 2)
    await rig.mine()
    await rig.until(lambda: rig.deposit_state(tx_hash), "below_minimum")
    assert await rig.balance("suspense:USDT") == USDT // 2
    assert await rig.balance("customer:4:main:USDT") == 0


async def test_unknown_token_is_named_and_not_booked(rig: Rig) -> None:
    """Somebody's own token at a customer's address moves nothing, but leaves a record."""
    address = await rig.new_customer(5)
    plan = demo.TokenPlan("SCAM", "Scam", 18)
    data_dir = rig.settings.data_dir
    contract = (await demo.deploy_tokens(rig.settings.chain_url, data_dir, [plan]))["SCAM"]
    before = await _totals(rig)
    tx_hash = await demo.fund(rig.settings.chain_url, address, contract, 10**24)
    await rig.until(lambda: rig.audit(deposit_id("ETH", tx_hash, 0)), ["ignored"])
    assert await rig.deposit_state(tx_hash) is None
    assert await _totals(rig) == before


async def test_failed_transaction_pays_nobody(rig: Rig) -> None:
    """A reverted transaction is mined and names a value all the same."""
    address = await rig.new_customer(6)
    accounts = await rig.rpc("eth_accounts")
    call = {
        "from": accounts[5],
        "to": rig.wallet.contracts["USDT"],
        "data": "0x" + transfer_call(address, 10 * USDT).hex(),
        "gas": hex(100_000),
    }
    tx_hash = await rig.rpc("eth_sendTransaction", call)
    height = await rig.chain.head()
    await rig.mine()
    await rig.until(lambda: _passed(rig, height + 1), True)
    receipt = await rig.chain.receipt(tx_hash)
    assert receipt is not None
    assert not receipt.succeeded
    assert await rig.deposit_state(tx_hash) is None


async def _passed(rig: Rig, height: int) -> bool:
    return rig.watcher.state.height >= height


async def test_reorganised_deposit_leaves_no_trace_in_the_books(rig: Rig) -> None:
    """Before enough confirmations the block vanishes: voided, and no account has changed."""
    address = await rig.new_customer(7)
    before = await _totals(rig)
    async with _slow_confirmations(rig, "USDT"):
        tx_hash = await rig.fund(address, "USDT", 70 * USDT)
        await rig.until(lambda: rig.deposit_state(tx_hash), "pending")
        old = await rig.chain.receipt(tx_hash)
        assert old is not None
        while await rig.chain.block_hash(old.block_number) == old.block_hash:
            depth = await rig.chain.head() - old.block_number + 1
            await rig.rpc("anvil_reorg", depth, [])  # too few when a block came just now
        await rig.until(lambda: rig.deposit_state(tx_hash), "voided")
    assert await rig.chain.block_hash(old.block_number) != old.block_hash
    assert await rig.chain.receipt(tx_hash) is None
    name = deposit_id("ETH", tx_hash, 0)
    assert await rig.client.get_workflow_handle(name).result() == {"state": "voided", "detail": ""}
    assert await rig.coins(address, "USDT") == 0
    assert await _totals(rig) == before


async def test_transaction_mined_again_is_credited_once(rig: Rig) -> None:
    """After a reorganisation the same payment stands in another block."""
    address = await rig.new_customer(8)
    async with _slow_confirmations(rig, "USDT"):
        tx_hash = await rig.fund(address, "USDT", 80 * USDT)
        await rig.until(lambda: rig.deposit_state(tx_hash), "pending")
        raw = await rig.rpc("eth_getRawTransactionByHash", tx_hash)
        old = await rig.chain.receipt(tx_hash)
        assert old is not None
        depth = await rig.chain.head() - old.block_number + 1
        await rig.rpc("anvil_reorg", depth + 1, [[raw, depth]])
        await rig.until(lambda: _block_of(rig, tx_hash, old.block_hash), True)
    await rig.mine()
    async with asyncio.timeout(60):
        # The run for the first block may end as voided just when the second one is seen: the row
        # is there, and the sweep begins it again.
        while await rig.deposit_state(tx_hash) != "credited":
            await rig.sweep()
            await asyncio.sleep(0.1)
    assert await rig.balance("customer:8:trading.0:USDT") == 80 * USDT
    assert await rig.coins(address, "USDT") == 80 * USDT


async def _block_of(rig: Rig, tx_hash: str, old_hash: str) -> bool:
    """Return whether the row lies in another block than `old_hash` and is not void."""
    query = sa.select(tables.deposit).where(tables.deposit.c.tx_hash == tx_hash)
    async with rig.engine.connect() as connection:
        row = (await connection.execute(query)).one()
    return bool(row.block_hash != old_hash and row.state != "voided")


async def test_refused_credit_parks_with_the_money_in_main(rig: Rig) -> None:
    """An engine that does not know the asset: named, nothing lost, and a retry asks again."""
    address = await rig.new_customer(9)
    async with rig.engine.begin() as connection:
        row = {
            "asset_id": 4,
            "code": "USDX",
            "chain": "ETH",
            "contract": rig.wallet.contracts["USDX"],
            "chain_decimals": 10,
            "engine_decimals": 10,
            "confirmations": 2,
            "deposit_minimum": 1,
            "withdrawal_minimum": 1,
            "withdrawal_fee": 0,
            "approval_above": 10**15,
        }
        await connection.execute(tables.asset.insert(), row)
    tx_hash = await rig.fund(address, "USDX", 10**10)
    await rig.mine()
    handle = rig.client.get_workflow_handle(deposit_id("ETH", tx_hash, 0))
    for _ in range(2):
        await rig.until(lambda: rig.balance("customer:9:main:USDX"), 10**10)
        await rig.until(lambda: _details(rig, tx_hash), True)
        await handle.signal("retry_parked")
    assert await rig.deposit_state(tx_hash) == "posted"
    assert await rig.balance("transit.0:USDX") == 0


async def _details(rig: Rig, tx_hash: str) -> bool:
    name = deposit_id("ETH", tx_hash, 0)
    details = await rig.client.get_workflow_handle(name).query("__temporal_workflow_metadata")
    return "CreditRefused" in str(details)


async def test_sweep_finishes_a_terminated_deposit(rig: Rig) -> None:
    """A deposit whose workflow was ended by hand is taken up again, and credited once."""
    address = await rig.new_customer(10)
    async with _slow_confirmations(rig, "USDT"):
        tx_hash = await rig.fund(address, "USDT", 90 * USDT)
        await rig.until(lambda: rig.deposit_state(tx_hash), "pending")
        name = deposit_id("ETH", tx_hash, 0)
        await rig.client.get_workflow_handle(name).terminate("a test")
    assert name in await rig.sweep()
    await rig.mine()
    await rig.until(lambda: rig.deposit_state(tx_hash), "credited")
    assert await rig.balance("customer:10:trading.0:USDT") == 90 * USDT
