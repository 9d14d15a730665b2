"""Deposits end to end: real chain, Temporal, PostgreSQL, ledger and engine rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import sqlalchemy as sa

from domain.checker_records import Opening
from domain.commands import CancelAll, PlaceOrder
from domain.deposit import deposit_id
from domain.events import OrderAccepted
from domain.evm_address import checksum_address
from domain.order import OrderType, Side, TimeInForce
from domain.order_events import CancelAccepted
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.orders_due import OrdersDue, OrdersDueStore
from infra.postgres.record_reader import RecordReader
from infra.wallet import demo
from infra.wallet.coins import WalletCoins
from infra.wallet.deposit_rows import reversed_deposits
from infra.wallet.erc20 import transfer_call
from infra.wallet.keccak import keccak256
from infra.wallet.screening import denied_path
from tests.workflows.wallet_rig import Rig
from workers.alarm_watch import reversed_source
from workers.standing_care import StandingCare
from workers.suspense_desk import in_suspense

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


async def test_small_payments_are_credited_when_together_they_reach_the_minimum(rig: Rig) -> None:
    """The first waits in suspense, nobody's balance; with the second both are traded with."""
    address, before = await rig.new_customer(4), await rig.balance("suspense:USDT")
    small = await rig.fund(address, "USDT", USDT // 2)
    await rig.mine()
    await rig.until(lambda: rig.deposit_state(small), "below_minimum")
    assert await rig.balance("suspense:USDT") - before == USDT // 2
    assert await rig.balance("customer:4:main:USDT") == 0
    second = await rig.fund(address, "USDT", USDT // 2 + 1)
    await rig.mine()
    await rig.until(lambda: rig.deposit_state(second), "credited")
    assert await rig.deposit_state(small) == "collected"
    assert await rig.balance("customer:4:trading.0:USDT") == USDT + 1
    assert await rig.balance("suspense:USDT") == before
    assert (await rig.audit(deposit_id("ETH", small, 0)))[-1] == "collected"


async def test_one_transaction_of_a_contract_pays_several(rig: Rig) -> None:
    """Coins that code pays leave no log; each payment is a deposit of its own, to its owner."""
    addresses = [await rig.new_customer(number) for number in (11, 12, 11_000)]
    accounts = await rig.rpc("eth_accounts")
    code = "".join(
        f"600060006000600067{amount:016x}73{address[2:]}5af150"
        for address, amount in zip(addresses, (ETH, 2 * ETH, 3 * ETH), strict=True)
    )
    call = {"from": accounts[6], "data": f"0x{code}00", "value": hex(6 * ETH)}
    tx_hash = await rig.rpc("eth_sendTransaction", call)
    await rig.mine()
    for customer, amount in ((11, ETH), (12, 2 * ETH), (11_000, 3 * ETH)):
        await rig.until(partial(rig.balance, f"customer:{customer}:trading.0:ETH"), amount)
    assert sorted(await rig.deposit_names(tx_hash)) == [
        deposit_id("ETH", tx_hash, index) for index in (-2, -3, -4)
    ]


async def test_denied_sender_is_suspended(rig: Rig) -> None:
    """It is looked at after its confirmations and before anything is anybody's."""
    address, before = await rig.new_customer(13), await rig.balance("suspense:ETH")
    sender = (await rig.rpc("eth_accounts"))[7]
    denied = denied_path(rig.settings.data_dir)
    denied.write_text(f"{checksum_address(sender, keccak256)}\n")
    try:
        call = {"from": sender, "to": address, "value": hex(ETH)}
        tx_hash = await rig.rpc("eth_sendTransaction", call)
        await rig.mine()
        await rig.until(lambda: rig.deposit_state(tx_hash), "suspended")
    finally:
        denied.unlink()
    assert await rig.balance("suspense:ETH") - before == ETH
    (line,) = [it for it in await in_suspense(rig.engine) if it["customer_id"] == 13]
    assert (line["amount"], line["reason"]) == ("1", "sanctions:denied-addresses.txt")


async def test_reorganisation_after_posting_is_taken_back_and_restored(rig: Rig) -> None:
    """Coins and books agree at each step; the customer is frozen, without his orders."""
    address = await rig.funded_customer(14, "USDT", 60 * USDT)
    order = PlaceOrder(14, 5, 1, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 240_000, 100)
    assert isinstance((await rig.treasury.submit(order))[0], OrderAccepted)
    query = sa.select(tables.deposit).where(tables.deposit.c.address == address)
    async with rig.engine.connect() as connection:
        row = (await connection.execute(query)).one()
    raw = await rig.rpc("eth_getRawTransactionByHash", row.tx_hash)
    before = await rig.balance("suspense:USDT")
    while await rig.chain.block_hash(row.block_number) == row.block_hash:
        depth = await rig.chain.head() - row.block_number + 1
        await rig.rpc("anvil_reorg", depth, [])
    await rig.until(lambda: rig.balance("suspense:USDT"), before - 60 * USDT)
    assert await rig.coins(address, "USDT") == 0
    assert await rig.balance("customer:14:trading.0:USDT") == 60 * USDT
    assert await _standing(rig, 14) == "frozen"
    due = OrdersDueStore(rig.engine, AuditStore())
    care = StandingCare(due, lambda: {0: rig.treasury}, "chain-watcher")
    await rig.until(lambda: _round(care, due), [])
    assert (await rig.audit("customer-14"))[-2:] == ["standing_changed", "orders_cancelled"]
    (again,) = await rig.treasury.submit(CancelAll(14))
    assert isinstance(again, CancelAccepted)
    assert again.closed_count == 0
    (alarm,) = await reversed_source(lambda: reversed_deposits(rig.engine))()
    assert alarm.subject == row.deposit_id
    await _books_agree(rig, row.deposit_id)
    await rig.rpc("eth_sendRawTransaction", raw)
    await rig.mine()
    await rig.until(lambda: rig.balance("suspense:USDT"), before)
    assert await rig.coins(address, "USDT") == 60 * USDT
    assert await reversed_deposits(rig.engine) == []
    await _books_agree(rig, row.deposit_id)
    assert [it for it in await rig.audit(row.deposit_id) if it.endswith(("posting", "sation"))] == [
        "reorganised_after_posting",
        "restored_after_reorganisation",
    ]
    assert await _standing(rig, 14) == "frozen"  # that is people's to end


async def _round(care: StandingCare, due: OrdersDueStore) -> list[OrdersDue]:
    await care.round()
    return await due.due()


async def _standing(rig: Rig, customer_id: int) -> str:
    row = tables.customer.c
    query = sa.select(row.status).where(row.customer_id == customer_id)
    async with rig.engine.connect() as connection:
        return str(await connection.scalar(query))


async def _books_agree(rig: Rig, deposit: str) -> None:
    """Check the deposit's journals, and the coins of the deposit addresses at the read block."""
    wallet = "wallet:deposit:ETH:USDT"
    async with RecordReader(rig.engine).reading() as reading:
        (record,) = [
            it for it in await reading.deposits(Opening(), frozenset()) if it.deposit_id == deposit
        ]
        (facts,) = await reading.wallet_facts()
        booked = -(await rig.balance(wallet))
    assert record.booked
    assert sum(record.postings) == (0 if record.turns % 2 else record.amount)
    coins = await WalletCoins(rig.chain, rig.wallet.public.hot_address).at(facts)
    (found,) = [it for it in coins if it.account == wallet]
    assert found.coins - found.in_flight == booked


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
