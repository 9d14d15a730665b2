"""An account's open lists of orders, kept from the channel `account`, and what happens to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Words = dict[str, Any]


@dataclass(slots=True)
class OwnList:
    """A list: its orders (id, client id) as far as they were seen, and which of them are open.

    What had ended before a snapshot was not seen.
    """

    list_id: str
    symbol: str
    sides: set[str] = field(default_factory=set)
    orders: list[tuple[str, str]] = field(default_factory=list)
    open_ids: set[str] = field(default_factory=set)

    def add(self, words: Words) -> None:
        """Take an order of it, in the words of the native API."""
        self.sides.add(words["side"])
        self.orders.append((words["order_id"], words["client_order_id"]))
        self.orders.sort(key=lambda order: int(order[0]))
        self.open_ids.add(words["order_id"])

    @property
    def is_bracket(self) -> bool:
        """Return whether it has, or had, a working order on the other side."""
        entry_ended = len(self.orders) > 1 and self.orders[0][0] != self.list_id
        return len(self.sides) > 1 or entry_ended


@dataclass(frozen=True, slots=True)
class ListReport:
    """What happened to a list: EXEC_STARTED, UPDATED (its orders were armed), or ALL_DONE."""

    what: str
    listed: OwnList


class OwnLists:
    """The open lists of one account in spot markets."""

    def __init__(self) -> None:
        self._lists: dict[str, OwnList] = {}
        self._list_of: dict[str, OwnList] = {}

    def start(self, orders: Sequence[Words]) -> None:
        """Take the open orders of a snapshot."""
        for words in orders:
            self._add(words)

    def apply(self, events: Sequence[Words]) -> Iterator[ListReport]:
        """Apply what one command did; hand out what happened to lists, after their orders."""
        told: dict[tuple[str, str], OwnList] = {}
        for event in events:
            if event["event"] == "order_placed":
                listed = self._add(event["order"])
                if listed is not None:
                    told["EXEC_STARTED", listed.list_id] = listed
            elif event["event"] == "order_armed" and event["order_id"] in self._list_of:
                listed = self._list_of[event["order_id"]]
                told["UPDATED", listed.list_id] = listed
        for (what, _), listed in told.items():
            yield ListReport(what, listed)
        for event in events:
            if event["event"] == "order_closed":
                yield from self._closed(event["order_id"])

    def _add(self, words: Words) -> OwnList | None:
        list_id = words.get("order_list_id")
        if not list_id:
            return None
        listed = self._lists.setdefault(list_id, OwnList(list_id, words["symbol"]))
        listed.add(words)
        self._list_of[words["order_id"]] = listed
        return listed

    def _closed(self, order_id: str) -> Iterator[ListReport]:
        listed = self._list_of.pop(order_id, None)
        if listed is None:
            return
        listed.open_ids.discard(order_id)
        if not listed.open_ids:
            del self._lists[listed.list_id]
            yield ListReport("ALL_DONE", listed)


def list_status(report: ListReport, name: str, now_ms: int, time_us: int) -> Words:
    """Return a `listStatus`, called as its first order; `name` is the dialect's of its market."""
    listed = report.listed
    return {
        "e": "listStatus",
        "E": now_ms,
        "s": name,
        "g": int(listed.list_id),
        "c": "OTO" if listed.is_bracket else "OCO",
        "l": report.what,
        "L": "ALL_DONE" if report.what == "ALL_DONE" else "EXECUTING",
        "r": "NONE",
        "C": listed.orders[0][1],
        "T": time_us // 1_000,
        "O": [
            {"s": name, "i": int(order_id), "c": client_id} for order_id, client_id in listed.orders
        ],
    }
