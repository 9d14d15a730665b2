"""`rialto audit trade` and `order`: a real engine's journal, a real ledger, one story."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from domain import ledger
from domain.ledger import JournalRequest, Posting
from domain.settlement import Origin
from domain.transfer import TO_TRADING, NewTransfer
from infra.postgres import tables
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.settlement_store import SettlementStore
from matching.storage import FileStorage
from tests.infra.postgres.conftest import seed_listings
from tests.matching.shard import Shard
from tests.offline import write_environment
from workers.__main__ import build

pytestmark = pytest.mark.servers

UNITS = 10**12
ORIGIN = Origin("settlement-0", "run-1", "7")


async def settle_all(database_url: str, folder: Path) -> None:
    """Trade on a shard in `folder` and settle it all, as a workflow's activity would."""
    engine = create(database_url)
    storage = FileStorage(folder)
    shard = Shard(storage)
    shard.open_market()
    chance = random.Random(3)
    while shard.sequencer.engine.trades() < 3:
        shard.flow(chance, 20)
    shard.sequencer.sync()
    async with engine.begin() as conn:
        await seed_listings(conn)
        for account, (asset_id, asset, scale) in itertools.product(
            range(1, 6), ((1, "USDT", 1), (2, "ETH", 10**9))
        ):
            name = UUID(int=account * 10 + asset_id)
            transfer = NewTransfer(name, account, asset_id, 0, TO_TRADING, UNITS * scale, "test")
            await conn.execute(sa.insert(tables.transfer).values(**transfer.row()))
            way = Posting(ledger.capital(asset), ledger.transit(0, asset), asset, UNITS * scale)
            await LedgerStore().post(conn, JournalRequest("wallet", str(name), "test", (way,)))
    found = shard.sequencer.read_events(0, 1 << 22)
    assert found is not None
    store = SettlementStore(engine)
    await store.settle(0, found.first_sequence, found.last_sequence, found.data, ORIGIN)
    await engine.dispose()
    storage.close()


async def execute(database_url: str, statement: str) -> None:
    engine = create(database_url)
    async with engine.begin() as conn:
        await conn.execute(sa.text(statement))
    await engine.dispose()


@pytest.fixture
def folder(fresh_database: str, tmp_path: Path) -> Path:
    """Give a data folder with a journal and its ledger."""
    asyncio.run(settle_all(fresh_database, tmp_path / "engine" / "shard-0"))
    write_environment(tmp_path, database_url=fresh_database)
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(build(), ["audit", *arguments, "--data", str(folder)])


def test_trade_is_followed_from_its_command_into_the_books(folder: Path) -> None:
    """The command in the journal, the batch, the chained entry, the workflow's run; all agree."""
    result = run(folder, "trade", "1", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["command"]["name"] == "PlaceOrder"
    batch = found["batch"]
    assert batch["first_sequence"] <= found["sequence"] <= batch["last_sequence"]
    assert found["journal"]["key"] == (
        f"settlement.0:{batch['first_sequence']}-{batch['last_sequence']}"
    )
    assert len(bytes.fromhex(found["journal"]["hash"])) == 32
    assert {line["account"] for line in found["journal"]["entries"]} <= {
        line["account"] for line in found["postings"]
    }
    assert sum(int(p["amount"]) for p in found["postings"] if p["asset"] == "USDT") == 0
    assert (found["workflow"]["workflow_id"], found["workflow"]["run_id"]) == (
        "settlement-0",
        "run-1",
    )
    assert found["fault"] == ""
    assert "settlement.0 #1" in run(folder, "trade", "1").stdout


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ("UPDATE trade_event SET price_ticks = price_ticks + 1", "event rows were changed"),
        ("UPDATE entry SET amount = amount + 1 WHERE amount < 0", "entries were changed"),
    ],
)
def test_changed_records_are_named(
    folder: Path, fresh_database: str, damage: str, fault: str
) -> None:
    """Who changed a row or an entry is not believed: exit code 1 and what is wrong."""
    asyncio.run(execute(fresh_database, damage))
    result = run(folder, "trade", "1", "--json")
    assert result.exit_code == 1
    assert fault in json.loads(result.stdout)["fault"]


def test_retired_command_is_said_to_be(folder: Path) -> None:
    """Without the engine's journal the books still tell the rest."""
    for path in (folder / "engine" / "shard-0" / "journal").iterdir():
        path.unlink()
    found = json.loads(run(folder, "trade", "1", "--json").stdout)
    assert found["command"] is None
    assert found["fault"] == ""


def test_what_is_not_there(folder: Path) -> None:
    """No such trade or order is exit code 1, no number 2."""
    assert run(folder, "trade", "999").exit_code == 1
    assert run(folder, "order", "999").exit_code == 1
    assert run(folder, "trade", "first").exit_code == 2


def test_order_tells_its_trades(folder: Path, fresh_database: str) -> None:
    """An order's story is the story of each of its trades, and of no other."""
    trade = json.loads(run(folder, "trade", "1", "--json").stdout)
    order_id = trade["orders"]["taker"]
    columns = (
        "shard, order_id, account_id, symbol_id, client_order_id, client_key, side, order_type,"
        " time_in_force, post_only, self_trade, price_ticks, quantity_lots, quote_budget_units,"
        " expires_at_us, display_lots, trigger_price_ticks, trailing_offset_ticks, list_id,"
        " trigger_source, reduce_only, close_position, is_waiting, is_pending,"
        " filled_lots, filled_quote_units, fee_units, status,"
        " accepted_sequence, accepted_at_us, updated_sequence, updated_at_us"
    )
    statement = (
        f"INSERT INTO order_history ({columns}) SELECT shard, taker_order_id, taker_account_id,"
        " symbol_id, 'c', gen_random_uuid(), taker_side, 0, 0, false, 0, price_ticks,"
        " quantity_lots, 0, 0, 0, 0, 0, 0, 0, false, false, false, false, quantity_lots,"
        " quote_units, taker_fee_units, 0, sequence, time_us, sequence, time_us FROM trade_event"
        " WHERE trade_id = 1"
    )
    asyncio.run(execute(fresh_database, statement))
    found = json.loads(run(folder, "order", str(order_id), "--json").stdout)
    assert found["order"]["order_id"] == order_id
    assert trade in found["trades"]
    assert all(order_id in story["orders"].values() for story in found["trades"])
    assert found["command"]["name"] == "PlaceOrder"
