"""Recorded order flows: reading them, ordering them, and comparing their trades with ours. Pure.

A flow is a CSV (xz) with the columns `id, timestamp, exchange.timestamp, price, volume, action,
direction`: times in milliseconds, prices with two decimals, volumes in 10**-8, actions created /
changed / deleted, directions bid / ask. A `.log.xz` beside it may hold the recorded trades.
"""

from __future__ import annotations

import csv
import json
import lzma
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from domain.money import units_from_text

PRICE_DECIMALS = 2
VOLUME_DECIMALS = 8
_PAIR_WINDOW_MS = 10_000
COLUMNS = ("id", "timestamp", "exchange.timestamp", "price", "volume", "action", "direction")


class FlowError(ValueError):
    """The file is not a recorded order flow."""


@dataclass(frozen=True, slots=True)
class FlowRow:
    """One event of the flow; price in ticks of 0.01, volume in lots of 10**-8."""

    order_id: int
    time_ms: int
    price_ticks: int
    volume_lots: int
    action: str
    direction: str


@dataclass(frozen=True, slots=True)
class RecordedTrade:
    """A trade of the recording; the orders are None where the flow does not tell them."""

    time_ms: int
    price_ticks: int
    volume_lots: int
    bid_id: int | None = None
    ask_id: int | None = None


@dataclass(frozen=True, slots=True)
class FlowFill:
    """A trade that our engine made while the flow was played, by the flow's order ids."""

    price_ticks: int
    volume_lots: int
    maker_id: int
    taker_id: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well our trades agree with the recorded ones.

    `matched` of `comparable`: recorded trades of which both orders are in the flow, and which our
    engine made between the same two orders at the same price and size. `same_price_and_size` of
    `recorded` compares all recorded trades without looking at the orders.
    """

    recorded: int
    comparable: int
    matched: int
    same_price_and_size: int


def read_flow(path: Path) -> list[FlowRow]:
    """Return the rows of a flow file; `FlowError` when it is not one."""
    try:
        with lzma.open(path, "rt", encoding="ascii", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise FlowError(f"{path.name} does not have the columns {', '.join(COLUMNS)}")
            return [_row(fields) for fields in reader]
    except (lzma.LZMAError, EOFError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise FlowError(f"{path.name}: {error}") from error


def _row(fields: dict[str, str]) -> FlowRow:
    if fields["action"] not in ("created", "changed", "deleted"):
        raise FlowError(f"unknown action {fields['action']!r}")
    if fields["direction"] not in ("bid", "ask"):
        raise FlowError(f"unknown direction {fields['direction']!r}")
    return FlowRow(
        order_id=int(fields["id"]),
        time_ms=int(fields["timestamp"]),
        price_ticks=units_from_text(fields["price"], PRICE_DECIMALS),
        volume_lots=int(fields["volume"]),
        action=fields["action"],
        direction=fields["direction"],
    )


def playable(rows: Iterable[FlowRow]) -> list[FlowRow]:
    """Return what is played: created orders in the order of their ids, and deletes in between.

    A recording is a little out of order: the created rows are sorted over their own places. A
    delete that would come before its order follows right after it; deletes of orders that were
    there before the recording began have nothing to delete.
    """
    kept = [row for row in rows if row.action != "changed"]
    created = iter(sorted((row for row in kept if row.action == "created"), key=_order_id))
    played: list[FlowRow] = []
    known: set[int] = set()
    early: dict[int, FlowRow] = {}
    for row in kept:
        if row.action == "deleted":
            if row.order_id in known:
                played.append(row)
            else:
                early[row.order_id] = row
            continue
        order = next(created)
        known.add(order.order_id)
        played.append(order)
        if order.order_id in early:
            played.append(early.pop(order.order_id))
    return played


def _order_id(row: FlowRow) -> int:
    return row.order_id


def commuting_groups(rows: Iterable[FlowRow], size: int) -> Iterator[tuple[list[FlowRow], ...]]:
    """Yield (bids, asks) of up to `size` rows each that may be carried out in either order.

    Group after group, in whichever order within a group, gives the same trades as row by row: a
    new order only meets the other side up to its price, so it commutes with every operation of
    the other side beyond that price; two deletes always commute.
    """
    prices: dict[int, int] = {}
    group = _Group()
    for row in rows:
        if row.action == "created":
            prices[row.order_id] = row.price_ticks
        price = prices.get(row.order_id, row.price_ticks)
        if group.is_full(row.direction, size) or group.meets(row, price):
            yield group.bids, group.asks
            group = _Group()
        group.add(row, price)
    if group.bids or group.asks:
        yield group.bids, group.asks


class _Group:
    """Rows that do not meet each other, and the prices that tell whether another one would."""

    def __init__(self) -> None:
        self.bids: list[FlowRow] = []
        self.asks: list[FlowRow] = []
        self._highest_bid = self._highest_new_bid = -1
        self._lowest_ask = self._lowest_new_ask = 1 << 63

    def is_full(self, direction: str, size: int) -> bool:
        return len(self.bids if direction == "bid" else self.asks) >= size

    def meets(self, row: FlowRow, price: int) -> bool:
        is_new = row.action == "created"
        if row.direction == "bid":
            return (self._lowest_ask if is_new else self._lowest_new_ask) <= price
        return (self._highest_bid if is_new else self._highest_new_bid) >= price

    def add(self, row: FlowRow, price: int) -> None:
        if row.direction == "bid":
            self.bids.append(row)
            self._highest_bid = max(self._highest_bid, price)
            if row.action == "created":
                self._highest_new_bid = max(self._highest_new_bid, price)
            return
        self.asks.append(row)
        self._lowest_ask = min(self._lowest_ask, price)
        if row.action == "created":
            self._lowest_new_ask = min(self._lowest_new_ask, price)


def read_trades(path: Path, rows: Iterable[FlowRow]) -> list[RecordedTrade]:
    """Return the recorded trades of a log, with the orders that lost that volume at that time."""
    losses = _losses(rows)
    trades = []
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            time_text, kind, body = line.split(" ", 2)
            if kind != "trade":
                continue
            fields = json.loads(body, parse_float=Decimal, parse_int=Decimal)
            time_ms = int(time_text)
            volume = round(fields["amount"].scaleb(VOLUME_DECIMALS))
            trades.append(
                RecordedTrade(
                    time_ms=time_ms,
                    price_ticks=round(fields["price"].scaleb(PRICE_DECIMALS)),
                    volume_lots=volume,
                    bid_id=_take_nearest(losses["bid", volume], time_ms),
                    ask_id=_take_nearest(losses["ask", volume], time_ms),
                )
            )
    return trades


def _losses(rows: Iterable[FlowRow]) -> dict[tuple[str, int], list[tuple[int, int]]]:
    """Return (direction, lost lots) -> [(time, order id)]: where orders of the flow were filled."""
    volumes: dict[int, int] = {}
    losses: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        before = volumes.get(row.order_id)
        is_fill = row.action == "changed" or (row.action == "deleted" and row.volume_lots == 0)
        if is_fill and before is not None and row.volume_lots < before:
            losses[row.direction, before - row.volume_lots].append((row.time_ms, row.order_id))
        volumes[row.order_id] = row.volume_lots
    return losses


def _take_nearest(losses: list[tuple[int, int]], time_ms: int) -> int | None:
    near = [loss for loss in losses if abs(loss[0] - time_ms) <= _PAIR_WINDOW_MS]
    if not near:
        return None
    nearest = min(near, key=lambda loss: abs(loss[0] - time_ms))
    losses.remove(nearest)
    return nearest[1]


def agreement(trades: Iterable[RecordedTrade], fills: Iterable[FlowFill]) -> Agreement:
    """Compare recorded trades with the fills of a played flow."""
    by_pair: Counter[tuple[int, int, frozenset[int]]] = Counter()
    by_size: Counter[tuple[int, int]] = Counter()
    for fill in fills:
        pair = frozenset((fill.maker_id, fill.taker_id))
        by_pair[fill.price_ticks, fill.volume_lots, pair] += 1
        by_size[fill.price_ticks, fill.volume_lots] += 1
    recorded = comparable = matched = same = 0
    for trade in trades:
        recorded += 1
        size = (trade.price_ticks, trade.volume_lots)
        if by_size[size] > 0:
            by_size[size] -= 1
            same += 1
        if trade.bid_id is None or trade.ask_id is None:
            continue
        comparable += 1
        key = (*size, frozenset((trade.bid_id, trade.ask_id)))
        if by_pair[key] > 0:
            by_pair[key] -= 1
            matched += 1
    return Agreement(recorded, comparable, matched, same)
