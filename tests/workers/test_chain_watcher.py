"""The watcher against a scripted chain and the real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.chain import AddressState, Block, Payment
from domain.deposit import NATIVE_COIN
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.wallet.block_store import BlockStore
from infra.wallet.cold_addresses import ColdAddresses, add_cold_address
from infra.wallet.refill_store import RefillStore
from infra.wallet.reorganisation import Reorganisations
from tests.infra.postgres.conftest import ETH_ROW
from workers.chain_watcher import ChainWatcher

pytestmark = pytest.mark.servers
OURS, HOT, COLD = "0xOurs", "0xHot", "0xCold"


class Chain:
    """Blocks as a list; a fork gives the later ones other hashes."""

    def __init__(self, length: int) -> None:
        self.blocks: list[Block] = []
        self.extend(length)

    def extend(self, count: int, branch: str = "a", *payments: Payment) -> None:
        for _ in range(count):
            number = len(self.blocks)
            parent = self.blocks[-1].hash if self.blocks else "0xgenesis"
            self.blocks.append(Block(number, f"0x{branch}{number}", parent, payments))

    def fork(self, at: int, count: int, branch: str) -> None:
        del self.blocks[at + 1 :]
        self.extend(count, branch)

    async def head(self) -> int:
        return len(self.blocks) - 1

    async def block_hash(self, number: int) -> str | None:
        return self.blocks[number].hash if number < len(self.blocks) else None

    async def block(self, number: int) -> Block | None:
        return self.blocks[number] if number < len(self.blocks) else None

    async def address_state(
        self, address: str, contracts: Collection[str | None], *, at_block: int | None = None
    ) -> AddressState:
        assert at_block is not None
        paid = [
            it.amount
            for block in self.blocks[: at_block + 1]
            for it in block.payments
            if it.address == address
        ]
        return AddressState(at_block, 0, dict.fromkeys(contracts, sum(paid)))

    async def raw_transaction(self, tx_hash: str) -> bytes | None:
        return None


class Starter:
    """Remembers what was started, or is away."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.is_away = False

    async def ensure_running(self, workflow: str, workflow_id: str, request: object) -> bool:
        if self.is_away:
            raise RuntimeError("connection refused")
        self.started.append(workflow_id)
        return True


@pytest.fixture
async def engine(fresh_database: str) -> AsyncIterator[AsyncEngine]:
    """Give a database with the chain's coin and one customer's address."""
    engine = create(fresh_database)
    async with engine.begin() as connection:
        await connection.execute(tables.asset.insert(), ETH_ROW)
        await connection.execute(
            tables.customer.insert(), {"customer_id": 1, "name": "c1", "deposit_index": 1}
        )
        await connection.execute(
            tables.deposit_address.insert(),
            {"chain": "ETH", "address": OURS, "customer_id": 1, "path": "m"},
        )
    yield engine
    await engine.dispose()


def _watcher(engine: AsyncEngine, chain: Chain, starter: Starter) -> ChainWatcher:
    reorganisations = Reorganisations(engine, LedgerStore(), AuditStore())
    cold = ColdAddresses(engine, LedgerStore(), AuditStore())
    refills = RefillStore(engine, AuditStore())
    blocks = BlockStore(engine, AuditStore())
    return ChainWatcher(chain, blocks, reorganisations, cold, refills, starter, HOT)


async def _states(engine: AsyncEngine) -> dict[str, str]:
    deposit = tables.deposit.c
    async with engine.connect() as connection:
        rows = await connection.execute(sa.select(deposit.tx_hash, deposit.state))
        return {row.tx_hash: row.state for row in rows}


def _pays(tx_hash: str, address: str = OURS, amount: int = 5) -> Payment:
    return Payment(tx_hash, NATIVE_COIN, None, address, amount)


async def test_payments_to_us_become_rows_and_workflows(engine: AsyncEngine) -> None:
    """Ours and the hot wallet's; not others', and not nothing."""
    chain, starter = Chain(3), Starter()
    chain.extend(
        1, "a", _pays("0x1"), _pays("0x2", HOT), _pays("0x3", "0xElse"), _pays("0x4", amount=0)
    )
    watcher = _watcher(engine, chain, starter)
    assert not await watcher.step()
    assert await _states(engine) == {"0x1": "seen", "0x2": "seen"}
    assert starter.started == ["deposit-ETH-0x1-native", "deposit-ETH-0x2-native"]


async def test_each_block_tells_how_deep_what_is_not_booked_lies(engine: AsyncEngine) -> None:
    """One statement for all that wait; what is booked keeps the depth of its booking."""
    chain = Chain(3)
    chain.extend(1, "a", _pays("0x1"), _pays("0x2"))
    watcher = _watcher(engine, chain, Starter())
    await watcher.step()
    assert await _depths(engine) == {"0x1": 1, "0x2": 1}
    async with engine.begin() as connection:
        booked = sa.update(tables.deposit).where(tables.deposit.c.tx_hash == "0x2")
        await connection.execute(booked.values(state="credited"))
    chain.extend(2)
    await watcher.step()
    assert await _depths(engine) == {"0x1": 3, "0x2": 1}


async def _depths(engine: AsyncEngine) -> dict[str, int]:
    deposit = tables.deposit.c
    async with engine.connect() as connection:
        rows = await connection.execute(sa.select(deposit.tx_hash, deposit.confirmations))
        return {row.tx_hash: row.confirmations for row in rows}


async def test_restart_goes_on_at_the_stored_height(engine: AsyncEngine) -> None:
    """A block is scanned once, whoever scans it."""
    chain, starter = Chain(3), Starter()
    chain.extend(1, "a", _pays("0x1"))
    await _watcher(engine, chain, starter).step()
    chain.extend(2)
    restarted = _watcher(engine, chain, starter)
    await restarted.step()
    assert restarted.state.height == 5
    assert len(starter.started) == 1


async def test_long_absence_is_caught_up_in_pieces(engine: AsyncEngine) -> None:
    """Each step is bounded, so that a signal to stop is obeyed."""
    watcher = _watcher(engine, Chain(150), Starter())
    assert await watcher.step()
    assert watcher.state.height == 99
    assert not await watcher.step()
    assert watcher.state.height == 149


async def test_reorganisation_of_several_blocks_is_taken_back(engine: AsyncEngine) -> None:
    """Down to the last common block; what was not posted is voided, then seen again elsewhere."""
    chain, starter = Chain(3), Starter()
    chain.extend(1, "a", _pays("0x1"))
    chain.extend(3)
    watcher = _watcher(engine, chain, starter)
    await watcher.step()
    chain.fork(2, 6, "b")
    assert await watcher.step()
    assert await _states(engine) == {"0x1": "voided"}
    chain.extend(1, "b", _pays("0x1"))
    while await watcher.step():
        pass
    assert await _states(engine) == {"0x1": "seen"}
    assert starter.started == ["deposit-ETH-0x1-native"] * 2
    async with engine.connect() as connection:
        records = await AuditStore().read(connection, "deposit-ETH-0x1-native")
    assert [record.action for record in records] == ["seen", "voided", "seen"]


async def test_posted_deposit_is_named_but_not_taken_back(engine: AsyncEngine) -> None:
    """Deeper than the confirmations: the books stay, and people are told."""
    chain = Chain(3)
    chain.extend(1, "a", _pays("0x1"))
    watcher = _watcher(engine, chain, Starter())
    await watcher.step()
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.deposit).values(state="credited"))
    chain.fork(2, 6, "b")
    await watcher.step()
    assert await _states(engine) == {"0x1": "credited"}
    async with engine.connect() as connection:
        records = await AuditStore().read(connection, "deposit-ETH-0x1-native")
    assert records[-1].action == "reorganised_after_posting"


async def test_chain_behind_the_stored_height_is_trouble(engine: AsyncEngine) -> None:
    """Nothing is taken back, as the node may only be late; when it has caught up all goes on."""
    chain = Chain(10)
    watcher = _watcher(engine, chain, Starter())
    await watcher.step()
    late = chain.blocks[5:]
    del chain.blocks[5:]
    assert not await watcher.step()
    assert "behind block 9" in watcher.state.trouble
    chain.blocks += late
    await watcher.step()
    assert watcher.state.trouble == ""


async def test_another_chain_is_not_taken_for_a_reorganisation(engine: AsyncEngine) -> None:
    """Where not even the first stored block agrees, the watcher stands still."""
    watcher = _watcher(engine, Chain(5), Starter())
    await watcher.step()
    other = Chain(0)
    other.extend(8, "z")
    confused = _watcher(engine, other, Starter())
    assert not await confused.step()
    assert "another chain" in confused.state.trouble


async def test_temporal_that_is_away_loses_no_deposit(engine: AsyncEngine) -> None:
    """The row is there; the orphan sweep starts its workflow later."""
    chain, starter = Chain(1), Starter()
    starter.is_away = True
    chain.extend(1, "a", _pays("0x1"))
    await _watcher(engine, chain, starter).step()
    assert await _states(engine) == {"0x1": "seen"}


async def test_a_cold_addresss_coins_are_counted_once(engine: AsyncEngine) -> None:
    """Those of its opening block are the opening, all later payments are seen; none is both."""
    chain = Chain(2)
    chain.extend(1, "a", _pays("0xbefore", COLD, 40))
    watcher = _watcher(engine, chain, Starter())
    async with engine.begin() as connection:
        await add_cold_address(connection, "ETH", COLD)
    await watcher.step()
    chain.extend(1, "a", _pays("0xafter", COLD, 2))
    await watcher.step()
    assert await _states(engine) == {"0xafter": "seen"}
    async with engine.connect() as connection:
        assert await LedgerStore().balance(connection, "wallet:cold:ETH:ETH") == -40
        assert await LedgerStore().balance(connection, "capital:ETH") == 40
