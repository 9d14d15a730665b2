"""What the engine remembers in order to do a thing once: client order ids and command keys.

Both are part of the state: digest and snapshot include them, and eviction follows the sequence.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from domain.limits import CLOSED_FOR_US, CLOSED_PER_ACCOUNT, KEY_FOR_US
from domain.order import OrderStatus
from matching.book import Order

_NEVER = 2**63


class OrderWindow:
    """Orders by (account, client key): all open ones and the closed ones not yet forgotten.

    A closed order is forgotten 24 h of engine time after its close, or when 10,000 orders of the
    same account closed after it.
    """

    __slots__ = ("by_account", "closed", "next_expiry_us", "orders")

    def __init__(self) -> None:
        self.orders: dict[bytes, Order] = {}
        self.closed: OrderedDict[int, Order] = OrderedDict()  # by order id, in closing order
        self.by_account: dict[int, deque[Order]] = {}
        self.next_expiry_us = _NEVER

    def close(self, order: Order, time_us: int, status: OrderStatus) -> None:
        """File `order` as closed now."""
        order.status = int(status)
        order.closed_us = time_us
        self.file(order)

    def file(self, order: Order) -> None:
        """Put a closed order behind those that closed before it."""
        if not self.closed:
            self.next_expiry_us = order.closed_us + CLOSED_FOR_US
        self.closed[order.order_id] = order
        mine = self.by_account.get(order.account_id)
        if mine is None:
            mine = self.by_account[order.account_id] = deque()
        mine.append(order)
        if len(mine) > CLOSED_PER_ACCOUNT:
            self._forget(mine.popleft())

    def expire(self, time_us: int) -> None:
        """Forget what closed more than 24 h before `time_us`."""
        while self.closed and self.next_expiry_us < time_us:
            order = next(iter(self.closed.values()))
            mine = self.by_account[order.account_id]
            assert mine.popleft() is order
            if not mine:
                del self.by_account[order.account_id]
            self._forget(order)

    def _forget(self, order: Order) -> None:
        del self.closed[order.order_id]
        del self.orders[order.identity]
        first = next(iter(self.closed.values()), None)
        self.next_expiry_us = _NEVER if first is None else first.closed_us + CLOSED_FOR_US


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """The first use of a command key and its outcome."""

    key: bytes
    sequence: int
    time_us: int
    opcode: int
    reason: int
    account_id: int
    asset_id: int
    amount_units: int
    created_at_us: int

    def same_body(self, body: tuple[int, int, int, int, int]) -> bool:
        """Return whether (opcode, account, asset, amount, created) is what was asked first."""
        return body == (
            self.opcode,
            self.account_id,
            self.asset_id,
            self.amount_units,
            self.created_at_us,
        )


class KeyWindow:
    """Command keys of the last 48 h of engine time, in order of first use."""

    __slots__ = ("records",)

    def __init__(self) -> None:
        self.records: OrderedDict[bytes, KeyRecord] = OrderedDict()

    def remember(self, record: KeyRecord) -> None:
        """File a first use."""
        self.records[record.key] = record

    def expire(self, time_us: int) -> None:
        """Forget keys first used more than 48 h before `time_us`."""
        while self.records:
            first = next(iter(self.records.values()))
            if first.time_us + KEY_FOR_US >= time_us:
                return
            del self.records[first.key]
