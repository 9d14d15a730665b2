"""Money between main and shards: whole, once, and never lost on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import ActivityEnvironment

from activities.shard_transfer import ShardTransferActivities, ShardTransferResult
from activities.transfer import TransferSteps
from domain.commands import Credit
from domain.ledger import JournalRequest, Posting, capital, main, trading, transfer_key, transit
from domain.shard_transfer import NewShardTransfer, NotFree, ShardTransfer, ShardTransferRequest
from domain.transfer import TO_TRADING, NewTransfer
from infra.postgres import tables
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.open_rows import OpenRows, shard_transfers
from infra.postgres.settlement_store import SettlementStore
from infra.wallet.shard_transfer_store import ShardTransferStore
from infra.wallet.transfer_store import TransferStore
from tests.infra.postgres.conftest import seed_listings
from tests.workflows.wallet_parts import ETH_USDT, EngineInProcess

pytestmark = pytest.mark.servers

ALICE, USDT = 1, 1
FUNDED, MOVED = 1_000_000_000, 400_000_000  # chain and engine units are the same for USDT


@dataclass
class Desk:
    """Two engines, their ledger, and the steps."""

    database: AsyncEngine
    engines: dict[int, EngineInProcess]
    rows: ShardTransferStore
    activities: ShardTransferActivities

    @property
    def open_rows(self) -> OpenRows:
        """Return the rows as the sweep reads them."""
        return shard_transfers(self.database)

    async def ask(
        self,
        amount: int = MOVED,
        key: str = "k",
        *,
        places: tuple[int | None, int | None] = (0, 1),
        valid_seconds: int = 60,
    ) -> ShardTransfer:
        """Write a transfer down, from shard 0 to shard 1 if not otherwise said."""
        written = await self.rows.create(
            NewShardTransfer(ALICE, key, USDT, amount, *places, valid_seconds)
        )
        assert isinstance(written, tuple)
        return written[0]

    async def run(self, row: ShardTransfer, step: str) -> ShardTransferResult:
        """Run one step."""
        request = ShardTransferRequest(str(row.shard_transfer_id))
        activity = getattr(self.activities, step)
        result: ShardTransferResult = await ActivityEnvironment().run(activity, request)
        return result

    async def balances(self) -> dict[str, int]:
        """Return the ledger's balances that are not zero, without the owners' money."""
        account = tables.ledger_account.c
        query = sa.select(account.code, account.balance).where(account.balance != 0)
        async with self.database.connect() as conn:
            rows = (await conn.execute(query)).all()
        return {row.code: int(row.balance) for row in rows if row.code != capital("USDT")}


@pytest.fixture
async def desk(fresh_database: str) -> AsyncIterator[Desk]:
    """Give a desk whose customer has funds on shard 0; shard 1 lists nothing yet."""
    database = create(fresh_database)
    ledger = LedgerStore()
    async with database.begin() as conn:
        await seed_listings(conn)
    settlement = SettlementStore(database)
    engines = {shard: EngineInProcess(settlement, shard) for shard in (0, 1)}
    await engines[0].submit(ETH_USDT)
    await _fund(database, ledger, engines[0])
    transfers = TransferStore(database, ledger)
    rows = ShardTransferStore(database, ledger)
    steps = TransferSteps(transfers, engines)
    yield Desk(database, engines, rows, ShardTransferActivities(rows, steps))
    await database.dispose()


async def _fund(database: AsyncEngine, ledger: LedgerStore, engine: EngineInProcess) -> None:
    funding = NewTransfer(uuid4(), ALICE, USDT, 0, TO_TRADING, FUNDED, "a test")
    posting = Posting(capital("USDT"), transit(0, "USDT"), "USDT", FUNDED)
    async with database.begin() as conn:
        await conn.execute(sa.insert(tables.transfer).values(funding.row()))
        key = transfer_key(funding.transfer_id)
        await ledger.post(conn, JournalRequest("wallet", key, "seed", (posting,)))
    now_us = time.time_ns() // 1_000
    await engine.submit(Credit(funding.transfer_id.int, ALICE, USDT, FUNDED, now_us))


async def test_the_money_arrives_once_however_often_it_is_tried(desk: Desk) -> None:
    """Debited, moved in the ledger, credited; a repeat of any step changes nothing."""
    await desk.engines[1].submit(ETH_USDT)
    row = await desk.ask()
    assert (await desk.run(row, "take")).state == "taken"
    assert (await desk.run(row, "take")).state == "taken"
    assert await desk.balances() == {
        trading(ALICE, 0, "USDT"): FUNDED - MOVED,
        transit(1, "USDT"): MOVED,
    }
    assert (await desk.run(row, "give")).state == "done"
    assert (await desk.run(row, "give")).state == "done"
    assert (await desk.run(row, "take")).state == "done"
    assert await desk.balances() == {
        trading(ALICE, 0, "USDT"): FUNDED - MOVED,
        trading(ALICE, 1, "USDT"): MOVED,
    }
    assert await desk.open_rows.unfinished(None, 10) == []


async def test_an_answer_that_was_lost_is_asked_for_again(desk: Desk) -> None:
    """The engine debits, nobody hears of it, and the next try finds that it has."""
    await desk.engines[1].submit(ETH_USDT)
    row = await desk.ask()
    for shard, step in ((0, "take"), (1, "give")):
        desk.engines[shard].fails_after_commands = 1
        with pytest.raises(ConnectionError):
            await desk.run(row, step)
        await desk.run(row, step)
    assert (await desk.balances())[trading(ALICE, 1, "USDT")] == MOVED


@pytest.mark.parametrize("settled", [True, False])
async def test_an_answer_that_was_lost_a_day_ago(desk: Desk, *, settled: bool) -> None:
    """The engine has forgotten the key: the books tell whether it moved the money, once they know.

    So does a workflow that is reset after a day.
    """
    await desk.engines[1].submit(ETH_USDT)
    row = await desk.ask()
    engine = desk.engines[0]
    engine.fails_after_commands, engine.settles = 1, settled
    with pytest.raises(ConnectionError):
        await desk.run(row, "take")
    engine.ahead_us = 25 * 3600 * 1_000_000
    retried = asyncio.create_task(desk.run(row, "take"))
    if not settled:
        await asyncio.sleep(0.3)
        assert not retried.done()
        await engine.settle()
    assert (await retried).state == "taken"
    assert (await desk.balances())[transit(1, "USDT")] == MOVED


async def test_a_debit_that_never_came_expires_with_its_key(desk: Desk) -> None:
    """Sent first after a day: refused by the engine, and nothing moved."""
    row = await desk.ask(valid_seconds=7 * 86_400)
    desk.engines[0].ahead_us = 25 * 3600 * 1_000_000
    assert (await desk.run(row, "take")).state == "refused"
    assert (await desk.rows.load(row.shard_transfer_id)).reason == "key_expired"
    assert await desk.balances() == {trading(ALICE, 0, "USDT"): FUNDED}


async def test_what_is_not_free_does_not_move(desk: Desk) -> None:
    """More than there is: refused with the engine's reason, nothing posted."""
    row = await desk.ask(FUNDED + 1)
    result = await desk.run(row, "take")
    assert (result.state, "insufficient_funds" in result.detail) == ("refused", True)
    assert (await desk.rows.load(row.shard_transfer_id)).reason == "insufficient_funds"
    assert await desk.balances() == {trading(ALICE, 0, "USDT"): FUNDED}
    assert (await desk.run(row, "give")).state == "refused"


async def test_what_the_second_shard_does_not_take_goes_back(desk: Desk) -> None:
    """An engine that does not know the asset refuses the credit: voided, to where it came from."""
    row = await desk.ask()
    await desk.run(row, "take")
    result = await desk.run(row, "give")
    assert (result.state, "unknown_asset" in result.detail) == ("returning", True)
    assert await desk.balances() == {
        trading(ALICE, 0, "USDT"): FUNDED - MOVED,
        transit(0, "USDT"): MOVED,
    }
    assert (await desk.run(row, "give")).state == "returning"
    desk.engines[0].fails_after_commands = 1
    with pytest.raises(ConnectionError):
        await desk.run(row, "give_back")
    assert (await desk.run(row, "give_back")).state == "returned"
    assert (await desk.run(row, "give_back")).state == "returned"
    assert await desk.balances() == {trading(ALICE, 0, "USDT"): FUNDED}
    assert (await desk.rows.load(row.shard_transfer_id)).reason == "unknown_asset"
    assert await desk.open_rows.unfinished(None, 10) == []


async def test_what_no_shard_takes_is_in_main_and_leaves_it_by_a_transfer(desk: Desk) -> None:
    """The last resort is no dead end: from main it goes wherever an engine takes it."""
    row = await desk.ask()
    await desk.run(row, "take")
    await desk.run(row, "give")
    desk.engines[0] = EngineInProcess(SettlementStore(desk.database), 0)  # it lists nothing
    result = await desk.run(row, "give_back")
    assert (result.state, "unknown_asset" in result.detail) == ("in_main", True)
    expected = {trading(ALICE, 0, "USDT"): FUNDED - MOVED, main(ALICE, "USDT"): MOVED}
    assert await desk.balances() == expected
    await desk.engines[1].submit(ETH_USDT)
    onward = await desk.ask(key="onward", places=(None, 1))
    assert (await desk.run(onward, "take")).state == "taken"
    assert (await desk.run(onward, "give")).state == "done"
    assert await desk.balances() == {
        trading(ALICE, 0, "USDT"): FUNDED - MOVED,
        trading(ALICE, 1, "USDT"): MOVED,
    }


async def test_main_and_back(desk: Desk) -> None:
    """To main and from main: each step repeated, an answer lost, more than there is refused."""
    out = await desk.ask(places=(0, None))
    desk.engines[0].fails_after_commands = 1
    with pytest.raises(ConnectionError):
        await desk.run(out, "take")
    for _ in range(2):
        assert (await desk.run(out, "take")).state == "done"
    expected = {trading(ALICE, 0, "USDT"): FUNDED - MOVED, main(ALICE, "USDT"): MOVED}
    assert await desk.balances() == expected
    much = await desk.ask(MOVED + 1, "much", places=(None, 0))
    assert (await desk.run(much, "take")).state == "refused"
    assert (await desk.rows.load(much.shard_transfer_id)).reason == "insufficient_funds"
    back = await desk.ask(key="back", places=(None, 0))
    for _ in range(2):
        assert (await desk.run(back, "take")).state == "taken"
    assert (await desk.balances())[transit(0, "USDT")] == MOVED
    for _ in range(2):
        assert (await desk.run(back, "give")).state == "done"
    assert await desk.balances() == {trading(ALICE, 0, "USDT"): FUNDED}


async def test_from_main_it_is_voided_into_main(desk: Desk) -> None:
    """Pending in transit, declined by the engine: back on the main account."""
    await desk.run(await desk.ask(places=(0, None)), "take")
    row = await desk.ask(key="in", places=(None, 1))
    await desk.run(row, "take")
    assert (await desk.balances())[transit(1, "USDT")] == MOVED
    assert (await desk.run(row, "give")).state == "returned"
    assert (await desk.balances())[main(ALICE, "USDT")] == MOVED


@pytest.mark.parametrize("places", [(0, 1), (0, None), (None, 1)])
async def test_what_did_not_begin_in_time_never_does(
    desk: Desk, places: tuple[int | None, int | None]
) -> None:
    """Expired while nobody worked on it: refused, and nothing is sent to any engine."""
    row = await desk.ask(places=places, valid_seconds=0)
    before = await desk.balances()
    for step in ("take", "take", "give", "give_back"):
        assert (await desk.run(row, step)).state == "refused"
    assert (await desk.rows.load(row.shard_transfer_id)).reason == "expired"
    assert await desk.balances() == before


async def test_what_was_sent_does_not_expire(desk: Desk) -> None:
    """The debit's answer is lost and the hour passes: the engine is asked, not the clock."""
    row = await desk.ask()
    desk.engines[0].fails_after_commands = 1
    with pytest.raises(ConnectionError):
        await desk.run(row, "take")
    async with desk.database.begin() as conn:
        await conn.execute(sa.update(tables.shard_transfer).values(expires_at=sa.func.now()))
    assert (await desk.run(row, "take")).state == "taken"


async def test_the_rows_are_written_once(desk: Desk) -> None:
    """The same key and body is the same row; the sweep finds what is not final."""
    first = await desk.ask()
    again = await desk.rows.create(NewShardTransfer(ALICE, "k", USDT, MOVED, 0, 1))
    assert again == (first, False)
    for amount, places in ((MOVED + 1, (0, 1)), (MOVED, (0, None)), (MOVED, (None, 1))):
        other = NewShardTransfer(ALICE, "k", USDT, amount, *places)
        assert await desk.rows.create(other) is None
    short = NewShardTransfer(ALICE, "short", USDT, MOVED, 0, 1, free=MOVED - 1)
    assert await desk.rows.create(short) == NotFree(MOVED - 1)
    assert await desk.rows.create(replace(short, idempotency_key="k")) == (first, False)
    second = await desk.ask(key="other")
    wanted = sorted([str(first.shard_transfer_id), str(second.shard_transfer_id)])
    assert await desk.open_rows.unfinished(None, 10) == wanted
    assert await desk.open_rows.unfinished(wanted[0], 10) == wanted[1:]
    assert await desk.rows.of_customer(ALICE + 1, first.shard_transfer_id) is None
    with pytest.raises(LookupError):
        await desk.rows.load(uuid4())
