"""Message flows on which independent matching engines agree, line by line.

The flows of the public matching engine benchmark (`normal`, `static`, `flash-crash`, `swing-25`,
`swing-40`): messages new, cancel and modify of one market. Every message gives report lines:

    0,seq,side,id,price,quantity   the order is in        3,seq,side,id,price,quantity  modified
    1,seq,price,quantity,maker,taker  a trade             4,seq,id  nothing to cancel
    2,seq,side,id,price  cancelled, or an IOC remainder   5,seq,id  nothing to modify

sorted by sequence and kind. A modify is a cancel and a new order: it loses its place.
"""

from __future__ import annotations

import csv
import hashlib
import lzma
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from domain.commands import AmendOrder, CancelOrder, PlaceOrder
from domain.events import CommandRejected, Event, OrderAccepted, OrderAmended, OrderClosed, Trade
from domain.order import CloseReason, OrderType, Side, TimeInForce
from workers.conformance.desk import Desk, market

NEW, CANCEL, MODIFY = "N", "C", "M"
COLUMNS = ("seq", "type", "order_id", "side", "price_ticks", "qty", "ioc")
_RECORD = struct.Struct("<BBBxIQQqq")
_HEADER_BYTES = 16
_RICH = 4 * 10**18
_ACCOUNTS = {Side.BUY: 1, Side.SELL: 2}  # two, so that no order meets its own account
_SYMBOL = 1


class FlowError(ValueError):
    """The file is not a flow of messages."""


@dataclass(frozen=True, slots=True)
class Message:
    """One line of a flow."""

    sequence: int
    kind: str
    order_id: int
    side: Side
    price_ticks: int
    quantity_lots: int
    is_ioc: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the engine's report lines compare with the recorded ones.

    `difference` is (line number from 1, recorded line, our line); "" is a line that is missing.
    """

    messages: int
    lines: int
    trades: int
    sha256: str
    difference: tuple[int, str, str] | None


class MebDesk:
    """An engine that answers messages with report lines.

    `modify` says how a modify reaches the engine: "amend" as one command of its own, "replace"
    as a cancel and a new order. Both must give the same lines.
    """

    def __init__(self, kind: str = "auto", modify: str = "amend") -> None:
        """Open one market with a wide band and two rich accounts."""
        if modify not in ("amend", "replace"):
            raise ValueError(f"modify is amend or replace, not {modify!r}")
        self._desk = Desk(kind)
        self._amends = modify == "amend"
        self._desk.run(market(_SYMBOL, listing_price_ticks=100_000, band_ppm=10**9))
        for account in _ACCOUNTS.values():
            for asset in (1, 2):
                self._desk.fund(account, asset, _RICH)
        self._ours: dict[int, int] = {}  # the flow's order id -> our newest order of that name
        self._theirs: dict[int, int] = {}
        self._filled: dict[int, int] = {}  # lots filled of our open orders that have traded

    @property
    def engine_kind(self) -> str:
        """Return which implementation runs."""
        return self._desk.engines[0].kind

    def answer(self, message: Message) -> list[str]:
        """Return the report lines of one message, in the benchmark's order."""
        if message.kind == NEW:
            return self._new(message)
        if message.kind == CANCEL:
            return self._cancel(message)
        return self._modify(message)

    def _new(self, message: Message) -> list[str]:
        lines, events = self._place(message)
        head = f"{message.sequence},{message.side:d},{message.order_id},{message.price_ticks}"
        left = [event for event in events if _is_ioc_remainder(event)]
        return [f"0,{head},{message.quantity_lots}", *lines, *(f"2,{head}" for _ in left)]

    def _cancel(self, message: Message) -> list[str]:
        events = self._desk.run(CancelOrder(self._account(message), _SYMBOL, self._our(message)))
        closed = _closed(events)
        if closed is None:
            return [f"4,{message.sequence},{message.order_id}"]
        return [f"2,{message.sequence},{closed.side:d},{message.order_id},{closed.price_ticks}"]

    def _modify(self, message: Message) -> list[str]:
        if self._amends:
            lines = self._amend(message)
        else:
            cancel = CancelOrder(self._account(message), _SYMBOL, self._our(message))
            gone = _closed(self._desk.run(cancel)) is not None
            lines = self._place(message)[0] if gone else None
        if lines is None:
            return [f"5,{message.sequence},{message.order_id}"]
        head = f"3,{message.sequence},{message.side:d},{message.order_id}"
        return [*lines, f"{head},{message.price_ticks},{message.quantity_lots}"]

    def _amend(self, message: Message) -> list[str] | None:
        ours = self._our(message)
        events = self._desk.run(
            AmendOrder(
                account_id=self._account(message),
                symbol_id=_SYMBOL,
                order_id=ours,
                price_ticks=message.price_ticks,
                quantity_lots=message.quantity_lots + self._filled.get(ours, 0),
            )
        )
        if not isinstance(events[0], OrderAmended):
            return None
        if events[0].kept_place:
            raise FlowError(f"message {message.sequence} only shrinks an order: it keeps its place")
        return self._trades(message, events)

    def _place(self, message: Message) -> tuple[list[str], list[Event]]:
        events = self._desk.run(
            PlaceOrder(
                account_id=self._account(message),
                client_key=message.sequence + 1,
                symbol_id=_SYMBOL,
                side=message.side,
                order_type=OrderType.LIMIT,
                time_in_force=TimeInForce.IOC if message.is_ioc else TimeInForce.GTC,
                price_ticks=message.price_ticks,
                quantity_lots=message.quantity_lots,
            )
        )
        outcome = events[0]
        if not isinstance(outcome, OrderAccepted):
            reason = outcome.reason.name if isinstance(outcome, CommandRejected) else "a repeat"
            raise FlowError(f"message {message.sequence} is refused: {reason}")
        self._ours[message.order_id] = outcome.order_id
        self._theirs[outcome.order_id] = message.order_id
        return self._trades(message, events), events

    def _trades(self, message: Message, events: Iterable[Event]) -> list[str]:
        lines = []
        for event in events:
            if isinstance(event, Trade):
                maker, lots = event.maker_order_id, event.quantity_lots
                name, taker = self._theirs[maker], message.order_id
                lines.append(f"1,{message.sequence},{event.price_ticks},{lots},{name},{taker}")
                for order in (maker, event.taker_order_id):
                    self._filled[order] = self._filled.get(order, 0) + lots
            elif isinstance(event, OrderClosed):
                self._filled.pop(event.order_id, None)
        return lines

    def _our(self, message: Message) -> int:
        return self._ours.get(message.order_id, 2**47)  # an id that no order has

    @staticmethod
    def _account(message: Message) -> int:
        return _ACCOUNTS[message.side]


def _closed(events: list[Event]) -> OrderClosed | None:
    """Return the close that a cancel led to; None when there was nothing to cancel."""
    return next((event for event in events if isinstance(event, OrderClosed)), None)


def _is_ioc_remainder(event: Event) -> bool:
    return isinstance(event, OrderClosed) and event.reason is CloseReason.IOC_REMAINDER


def read_messages(path: Path) -> Iterator[Message]:
    """Yield the messages of a flow, `.csv.xz` or the generator's `.bin`; else `FlowError`."""
    return _read_binary(path) if path.suffix == ".bin" else _read_csv(path)


def _read_csv(path: Path) -> Iterator[Message]:
    try:
        with lzma.open(path, "rt", encoding="ascii", newline="") as file:
            reader = csv.reader(file)
            if tuple(next(reader, ())) != COLUMNS:
                raise FlowError(f"{path.name} does not have the columns {', '.join(COLUMNS)}")
            for sequence, kind, order_id, side, price, quantity, ioc in reader:
                yield _message(
                    int(sequence), kind, int(order_id), int(side), int(price), int(quantity), ioc
                )
    except (lzma.LZMAError, EOFError, UnicodeDecodeError, ValueError) as error:
        raise FlowError(f"{path.name}: {error}") from error


def _read_binary(path: Path) -> Iterator[Message]:
    data = path.read_bytes()[_HEADER_BYTES:]
    if len(data) % _RECORD.size:
        raise FlowError(f"{path.name} is not made of records of {_RECORD.size} bytes")
    for kind, side, ioc, quantity, sequence, order_id, price, _ in _RECORD.iter_unpack(data):
        if kind > 2:
            raise FlowError(f"{path.name}: unknown kind {kind}")
        yield _message(sequence, "NCM"[kind], order_id, side, price, quantity, str(ioc))


def _message(
    sequence: int, kind: str, order_id: int, side: int, price: int, quantity: int, ioc: str
) -> Message:
    if kind not in (NEW, CANCEL, MODIFY):
        raise FlowError(f"message {sequence}: unknown kind {kind!r}")
    return Message(sequence, kind, order_id, Side(side), price, quantity, ioc == "1")


def read_reports(path: Path) -> Iterator[str]:
    """Yield the recorded report lines."""
    with lzma.open(path, "rt", encoding="ascii") as file:
        for line in file:
            yield line.rstrip("\n")


def compare(
    desk: MebDesk,
    messages: Iterable[Message],
    recorded: Iterable[str] | None,
    limit: int | None = None,
) -> Verdict:
    """Run messages through a desk and compare every line; without `recorded` only hash them.

    It stops at the first difference, or after `limit` messages.
    """
    expected = iter(recorded) if recorded is not None else None
    digest = hashlib.sha256()
    count = lines = trades = 0
    for message in islice(messages, limit):
        found = desk.answer(message)
        count += 1
        for line in found:
            lines += 1
            trades += line.startswith("1,")
            digest.update(line.encode() if lines == 1 else b"\n" + line.encode())
        if expected is not None:
            wanted = [line for _, line in zip(found, expected, strict=False)]
            pairs = zip_longest(wanted, found, fillvalue="")
            for number, (theirs, ours) in enumerate(pairs, lines - len(found) + 1):
                if theirs != ours:
                    return Verdict(count, lines, trades, "", (number, theirs, ours))
    missing = next(expected, None) if expected is not None and count != limit else None
    difference = None if missing is None else (lines + 1, missing, "")
    return Verdict(count, lines, trades, digest.hexdigest(), difference)


def check(path: Path, kind: str, modify: str, limit: int | None = None) -> dict[str, Any]:
    """Return the verdict on one flow file as plain values, `ok` and `difference` among them.

    The reports lie beside a `.csv.xz`; of a `.bin` the hash is in `correctness_hash.txt`, which
    names whole flows only.
    """
    desk = MebDesk(kind, modify)
    row = {"flow": path.name, "engine": desk.engine_kind, "modify": modify}
    if path.suffix == ".bin":
        wanted = published_hash(path)
        found = compare(desk, read_messages(path), None, limit)
        is_whole = limit is None
        ok = is_whole and found.sha256 == wanted
        why = f"SHA-256 {found.sha256}, published {wanted}" if is_whole else "a part has no hash"
        return {**row, **_counts(found), "ok": ok, "difference": "" if ok else why}
    reports = path.with_name(path.name.replace(".orders.csv.xz", ".reports.txt.xz"))
    found = compare(desk, read_messages(path), read_reports(reports), limit)
    difference = ""
    if found.difference is not None:
        number, theirs, ours = found.difference
        difference = f"line {number} is {ours!r}, recorded is {theirs!r}"
    return {**row, **_counts(found), "ok": not difference, "difference": difference}


def _counts(verdict: Verdict) -> dict[str, Any]:
    names = ("messages", "lines", "trades", "sha256")
    return {name: getattr(verdict, name) for name in names}


def published_hash(path: Path) -> str:
    """Return the published hash of orders_NAME_sSEED_nCOUNT.bin; `FlowError` without one."""
    name, seed, count = path.stem.removeprefix("orders_").rsplit("_", 2)
    wanted = f"{name}_seed{seed[1:]}_count{count[1:]}_reports.txt"
    for line in path.with_name("correctness_hash.txt").read_text().splitlines():
        digest, _, of = line.partition("  ")
        if of == wanted:
            return digest
    raise FlowError(f"correctness_hash.txt has no hash of {wanted}")
