"""What the order history has to say, kept in memory from the same fold."""

from __future__ import annotations

from collections.abc import Iterable

from domain.commands import AmendOrder
from domain.events import Event
from domain.order import OrderStatus
from domain.order_history import fold
from domain.order_record import OrderRecord
from tests.matching.test_engines_agree import Stream


class Records:
    """Every order that was ever accepted, as it is after the events read so far."""

    def __init__(self) -> None:
        self.by_id: dict[int, OrderRecord] = {}

    def read(self, events: Iterable[Event]) -> list[int]:
        """Take in whole commands, and return the orders that they touched."""
        changes = fold(events)
        for change in changes:
            self.by_id[change.order_id] = change.record(self.by_id.get(change.order_id))
        return [change.order_id for change in changes]

    def open_orders(self, account_id: int) -> list[OrderRecord]:
        """Return the account's open orders by id, without what the engine does not know."""
        return [
            record.as_engine()
            for _, record in sorted(self.by_id.items())
            if record.account_id == account_id and record.status is OrderStatus.OPEN
        ]


def next_command(stream: Stream, records: Records) -> bytes:
    """Draw a command; every tenth is an amend of an order that is really open."""
    chance = stream.random
    alive = [record for record in records.by_id.values() if record.status is OrderStatus.OPEN]
    if not alive or chance.random() > 0.1:
        return stream.next()
    order = chance.choice(alive)
    return stream.encode(
        AmendOrder(
            order.account_id,
            order.symbol_id,
            order.order_id,
            price_ticks=chance.choice((0, order.price_ticks, chance.randint(90, 110)))
            if order.order_type.is_limit
            else 0,
            quantity_lots=order.filled_lots + chance.randint(1, 40),
            trigger_price_ticks=chance.choice((0, chance.randint(90, 110)))
            if order.is_waiting
            else 0,
        )
    )
