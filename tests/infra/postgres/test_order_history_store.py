"""Order history on a real PostgreSQL: rows equal a fold over all events, whatever the batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.events import Event, OrderAccepted, OrderClosed
from domain.ledger import SequenceGapError
from domain.order import CloseReason, OrderType, Side, TriggerSource
from domain.order_history import fold
from infra.postgres import tables
from infra.postgres.order_history_store import OrderHistoryStore
from infra.postgres.orders import OrderReadStore
from matching.codec import decode_events
from matching.engine import create_engine
from tests.domain.records import Records, next_command
from tests.infra.postgres.flows import accepted, tick, trade
from tests.matching.test_engines_agree import Stream

pytestmark = pytest.mark.servers


def closed(sequence: int, index: int, order: int, account: int, reason: CloseReason) -> OrderClosed:
    return OrderClosed(sequence, index, 1, account, order, Side.BUY, reason, True, 250_000, 0, 7)


# Order ids of `accepted` are their sequences; maker order ids of `trade` are twice the trade id.
EVENTS: list[list[Event]] = [
    [accepted(2, 1, Side.SELL, "maker")],
    [accepted(3, 2, Side.BUY, "taker"), trade(3, 1, 1, maker=1, taker=2)],
    [tick(4)],
    [accepted(5, 2, Side.BUY), trade(5, 1, 1, maker=1, taker=2)],
    [closed(6, 1, 2, 1, CloseReason.CANCELLED_BY_USER)],
    [closed(7, 1, 3, 2, CloseReason.FILLED)],
]


async def rows(database: AsyncEngine) -> list[tuple[object, ...]]:
    history = tables.order_history.c
    async with database.connect() as conn:
        found = await conn.execute(
            sa.select(
                history.order_id,
                history.client_order_id,
                history.filled_lots,
                history.filled_quote_units,
                history.fee_units,
                history.status,
                history.close_reason,
                history.accepted_sequence,
                history.updated_sequence,
            ).order_by(history.order_id)
        )
        return [tuple(row) for row in found]


EXPECTED = [
    (2, "maker", 14, 4000, 4, 2, 1, 2, 6),
    (3, "taker", 7, 2000, 4, 1, 0, 3, 7),
    (5, "c", 7, 2000, 4, 0, None, 5, 5),
]


@pytest.mark.parametrize("size", [1, 2, 6])
async def test_rows_do_not_depend_on_batches(database: AsyncEngine, size: int) -> None:
    """One command at a time or all at once, the rows are the same."""
    store = OrderHistoryStore(database)
    await store.apply(0, 1, 1, fold([tick(1)]))
    for start in range(0, len(EVENTS), size):
        chosen = EVENTS[start : start + size]
        changes = fold(event for command in chosen for event in command)
        await store.apply(0, start + 2, start + 1 + len(chosen), changes)
    assert await rows(database) == EXPECTED
    assert await store.cursor(0) == 7


async def test_repeat_changes_nothing(database: AsyncEngine) -> None:
    """A batch that comes again, after a lost answer, adds no fill."""
    store = OrderHistoryStore(database)
    changes = fold([tick(1), *(event for command in EVENTS for event in command)])
    assert await store.apply(0, 1, 7, changes) == 7
    assert await store.apply(0, 1, 7, changes) == 7
    assert await rows(database) == EXPECTED


async def test_gap_is_refused(database: AsyncEngine) -> None:
    """Events that do not follow the cursor are not stored."""
    with pytest.raises(SequenceGapError):
        await OrderHistoryStore(database).apply(0, 2, 2, fold(EVENTS[0]))


async def test_what_sets_an_order_off_is_kept(database: AsyncEngine) -> None:
    """A stop by the mark is read as one; the streams below are of spot markets, which have none."""
    plain = accepted(1, 2, Side.BUY)
    assert isinstance(plain, OrderAccepted)
    stop = replace(
        plain,
        order_type=OrderType.STOP,
        trigger_source=TriggerSource.MARK_PRICE,
        reduce_only=True,
    )
    (change,) = fold([stop])
    await OrderHistoryStore(database).apply(0, 1, 1, [change])
    assert await OrderReadStore(database).order(2, stop.order_id) == change.record()


@pytest.mark.parametrize("seed", range(2))
async def test_rows_are_what_the_engine_says(database: AsyncEngine, seed: int) -> None:
    """A random stream in batches of any size, some sent twice; then all of it again at once."""
    engine, stream, records = create_engine(), Stream(seed), Records()
    commands: list[list[Event]] = []
    ready = stream.opening()
    for _ in range(900):
        raw = ready.pop(0) if ready else next_command(stream, records)
        commands.append(list(decode_events(engine.apply(raw))))
        records.read(commands[-1])
    store, reader = OrderHistoryStore(database), OrderReadStore(database)
    last = 0
    while last < len(commands):
        chosen = commands[last : last + stream.random.randint(1, 30)]
        changes = fold(event for command in chosen for event in command)
        for _ in range(stream.random.randint(1, 2)):
            await store.apply(0, last + 1, last + len(chosen), changes)
        last += len(chosen)
    for record in records.by_id.values():
        assert await reader.order(record.account_id, record.order_id) == record
    row = sa.select(tables.order_history).order_by(tables.order_history.c.order_id)
    async with database.begin() as conn:
        followed = (await conn.execute(row)).all()
        await conn.execute(tables.order_history.delete())
        await conn.execute(tables.cursor.delete())
    await store.apply(0, 1, last, fold(event for command in commands for event in command))
    async with database.connect() as conn:
        assert (await conn.execute(row)).all() == followed
