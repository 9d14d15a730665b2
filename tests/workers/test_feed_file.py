"""Recorded flows: reading, ordering, and the comparison of trades."""

from __future__ import annotations

import lzma
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import CancelOrder, Credit, PlaceOrder
from domain.events import OrderAccepted, Trade
from domain.order import OrderType, Side, TimeInForce
from domain.order_id import client_key
from tests.api.exchange import LocalDoor
from tests.api.memory import ETH, ETH_USDT, USDT
from tests.examples import examples
from workers.cli.feed import OWN_FLOW
from workers.feed_file import (
    Agreement,
    FlowError,
    FlowFill,
    FlowRow,
    RecordedTrade,
    agreement,
    commuting_groups,
    playable,
    read_flow,
    read_trades,
)
from workers.feed_flow import flow_bytes

HEADER = "id,timestamp,exchange.timestamp,price,volume,action,direction\n"


def _flow(folder: Path, *lines: str) -> Path:
    path = folder / "orders.csv.xz"
    path.write_bytes(lzma.compress((HEADER + "".join(f"{line}\n" for line in lines)).encode()))
    return path


def _row(order_id: int, action: str, volume: int = 5) -> FlowRow:
    return FlowRow(order_id, order_id, 100, volume, action, "bid")


def test_a_row_becomes_ticks_and_lots(tmp_path: Path) -> None:
    """Price text with two decimals, volume in 10**-8."""
    path = _flow(tmp_path, "7,1430438404518,1430438404000,236.47,200000000,created,bid")
    assert read_flow(path) == [FlowRow(7, 1_430_438_404_518, 23_647, 200_000_000, "created", "bid")]


@pytest.mark.parametrize(
    "line",
    ["x,1,1,1.00,5,created,bid", "1,1,1,1.001,5,created,bid", "1,1,1,1.00,5,eaten,bid"],
)
def test_what_is_not_a_flow_is_refused(tmp_path: Path, line: str) -> None:
    """A wrong number or word names the file."""
    with pytest.raises(FlowError, match=r"orders\.csv\.xz"):
        read_flow(_flow(tmp_path, line))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Neither xz nor CSV."""
    path = tmp_path / "orders.csv.xz"
    path.write_bytes(b"not xz")
    with pytest.raises(FlowError):
        read_flow(path)


def test_created_orders_are_played_in_id_order() -> None:
    """Over the places that created rows have; deletes keep theirs; changes are not played."""
    rows = [_row(2, "created"), _row(2, "changed"), _row(1, "created"), _row(2, "deleted")]
    played = [(row.order_id, row.action) for row in playable(rows)]
    assert played == [(1, "created"), (2, "created"), (2, "deleted")]


def test_a_delete_before_its_order_follows_it() -> None:
    """And a delete of an order that was there before the recording is left out."""
    rows = [_row(9, "deleted"), _row(2, "created"), _row(2, "deleted"), _row(1, "created")]
    played = [(row.order_id, row.action) for row in playable(rows)]
    assert played == [(1, "created"), (2, "created"), (2, "deleted")]


def _trades_of(groups: list[list[FlowRow]]) -> tuple[set[FlowFill], object]:
    """Return the trades and the book that the engine makes of batches of rows."""
    door = LocalDoor()
    door.apply(replace(ETH_USDT, band_ppm=10**9, max_open_orders=10**6).listing())
    for account, asset in ((1, USDT), (2, ETH)):
        door.apply(Credit(account, account, asset.asset_id, 10**18, 1_700_000_000_000_000))
    names: dict[int, int] = {}
    fills = set()
    for row in (row for group in groups for row in group):
        account, side = (1, Side.BUY) if row.direction == "bid" else (2, Side.SELL)
        key = client_key(str(row.order_id))
        if row.action == "deleted":
            door.apply(CancelOrder(account, 1, client_key=key))
            continue
        order = PlaceOrder(
            account_id=account,
            client_key=key,
            symbol_id=1,
            side=side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price_ticks=row.price_ticks,
            quantity_lots=row.volume_lots,
        )
        for event in door.apply(order):
            if isinstance(event, OrderAccepted):
                names[event.order_id] = row.order_id
            if isinstance(event, Trade):
                maker = names[event.maker_order_id]
                fills.add(FlowFill(event.price_ticks, event.quantity_lots, maker, row.order_id))
    return fills, door.engine.book(1, 10_000)


@given(
    drawn=st.lists(
        st.tuples(st.sampled_from(["bid", "ask"]), st.integers(95, 105), st.integers(1, 9)),
        max_size=60,
    ),
    deleted=st.sets(st.integers(0, 59)),
    size=st.integers(1, 8),
)
@settings(max_examples=examples(60))
def test_groups_may_go_in_either_order(
    drawn: list[tuple[str, int, int]], deleted: set[int], size: int
) -> None:
    """Bids first or asks first: the same trades and the same book as row by row."""
    rows: list[FlowRow] = []
    for number, (direction, price, volume) in enumerate(drawn):
        rows.append(FlowRow(number, number, price, volume, "created", direction))
        gone = number - 5
        if gone in deleted and gone >= 0:
            rows.append(FlowRow(gone, number, drawn[gone][1], 1, "deleted", drawn[gone][0]))
    groups = list(commuting_groups(rows, size))
    assert sorted(_key(row) for group in groups for part in group for row in part) == sorted(
        _key(row) for row in rows
    )
    assert all(len(part) <= size for group in groups for part in group)
    expected = _trades_of([rows])
    assert _trades_of([part for group in groups for part in group]) == expected
    assert _trades_of([part for group in groups for part in reversed(group)]) == expected


def _key(row: FlowRow) -> tuple[int, str]:
    return row.order_id, row.action


def test_agreement_counts_the_same_two_orders(tmp_path: Path) -> None:
    """Matched: same orders, price and size. Comparable: both orders are known."""
    trades = [
        RecordedTrade(1, 100, 5, bid_id=1, ask_id=2),
        RecordedTrade(2, 100, 5, bid_id=3, ask_id=4),
        RecordedTrade(3, 100, 7, bid_id=None, ask_id=4),
    ]
    fills = [FlowFill(100, 5, 2, 1), FlowFill(100, 7, 8, 9)]
    assert agreement(trades, fills) == Agreement(
        recorded=3, comparable=2, matched=1, same_price_and_size=2
    )
    assert agreement(trades, []) == Agreement(3, 2, 0, 0)


def test_our_own_flow_is_what_its_maker_makes() -> None:
    """The committed file is generated, small, and complete: each trade knows both orders."""
    flow, log = flow_bytes()
    trades_path = OWN_FLOW.with_name("demo.log.xz")
    assert lzma.decompress(OWN_FLOW.read_bytes()) == flow
    assert lzma.decompress(trades_path.read_bytes()) == log
    assert OWN_FLOW.stat().st_size + trades_path.stat().st_size < 100_000
    trades = read_trades(trades_path, read_flow(OWN_FLOW))
    assert len(trades) > 500
    assert all(trade.bid_id and trade.ask_id for trade in trades)
