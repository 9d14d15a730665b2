"""Plays an order flow into a market through the public API: buyers one account, sellers another.

With the same result as strictly in order: what is sent together, a batch of buyers beside a batch
of sellers, does not meet, and the next group waits for the answers. Two accounts, because one
account's orders would not trade with each other.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from api.client import orders
from api.client.account import ApiAccount
from api.client.http import AsyncClient
from api.schemas.orders import BatchCancel, BatchPlace, BatchResult, OrderOut
from domain.instrument import Instrument
from workers.feed_file import FlowFill, FlowRow, commuting_groups

BATCH = 20


@dataclass(slots=True)
class PlayResult:
    """What happened to the flow."""

    orders: int = 0
    cancels: int = 0
    already_gone: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    last_sequence: int = 0
    seconds: float = 0.0


class FeedPlayer:
    """One playing of one flow; `run` makes its client order ids its own."""

    def __init__(
        self,
        client: AsyncClient,
        instrument: Instrument,
        accounts: dict[str, ApiAccount],
        run: str,
    ) -> None:
        self._client = client
        self._instrument = instrument
        self._accounts = accounts
        self._run = run
        self._flow_ids: dict[str, int] = {}  # exchange order id -> flow order id
        self._taken: dict[str, tuple[str, str, int]] = {}  # trade id -> price, quantity, taker
        self.result = PlayResult()

    async def play(
        self, rows: Sequence[FlowRow], speed: float | None, advance: Callable[[int], None]
    ) -> PlayResult:
        """Play rows at `speed` times their own pace, or (None) as fast as answers come."""
        started = time.monotonic()
        for group in commuting_groups(rows, BATCH if speed is None else 1):
            if speed is not None:
                due = (_first_time_ms(group) - rows[0].time_ms) / 1000 / speed
                await asyncio.sleep(max(0.0, started + due - time.monotonic()))
            await asyncio.gather(*(self._send(batch) for batch in group if batch))
            advance(sum(len(batch) for batch in group))
        self.result.seconds = time.monotonic() - started
        return self.result

    async def _send(self, batch: Sequence[FlowRow]) -> None:
        operations = [self._operation(row) for row in batch]
        account = self._accounts[batch[0].direction]
        answer = await self._client.send(orders.batch(operations), account)
        for row, result in zip(batch, answer.results, strict=True):
            self._count(row, result)

    def _operation(self, row: FlowRow) -> BatchPlace | BatchCancel:
        symbol, name = self._instrument.symbol, self._name(row)
        if row.action == "deleted":
            return BatchCancel(op="cancel", symbol=symbol, client_order_id=name)
        return BatchPlace(
            op="place",
            symbol=symbol,
            client_order_id=name,
            side="buy" if row.direction == "bid" else "sell",
            price=self._instrument.price_text(row.price_ticks),
            quantity=self._instrument.quantity_text(row.volume_lots),
        )

    def _name(self, row: FlowRow) -> str:
        return f"f{self._run}-{row.order_id}"

    def _count(self, row: FlowRow, result: BatchResult) -> None:
        problem = result.problem
        if problem is not None:
            code = problem["code"]
            if row.action == "deleted" and code == "order_not_found":
                self.result.already_gone += 1
            else:
                self.result.refused[code] += 1
        elif result.order is None:
            self.result.cancels += 1
        else:
            self._note(row, result.order)

    def _note(self, row: FlowRow, order: OrderOut) -> None:
        self.result.orders += 1
        self.result.last_sequence = order.sequence
        self._flow_ids[order.order_id] = row.order_id
        for fill in order.fills:
            self._taken[fill.trade_id] = (fill.price, fill.quantity, row.order_id)

    async def settled_fills(self, timeout_seconds: float) -> list[FlowFill]:
        """Return the fills that are in the ledger, waiting for the last one.

        The taker of a trade is known from its answer, the maker from the maker's own settled fills.
        """
        wanted = set(self._taken)
        deadline = time.monotonic() + timeout_seconds
        while True:
            makers = await self._maker_fills(wanted)
            if len(makers) == len(wanted) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.25)
        fills = []
        for trade_id, order_id in makers.items():
            price, quantity, taker_id = self._taken[trade_id]
            fills.append(
                FlowFill(
                    price_ticks=self._instrument.price_ticks(price),
                    volume_lots=self._instrument.quantity_lots(quantity),
                    maker_id=self._flow_ids.get(order_id, 0),
                    taker_id=taker_id,
                )
            )
        return fills

    async def _maker_fills(self, wanted: set[str]) -> dict[str, str]:
        """Return trade id -> maker's order id of the wanted trades that are settled."""
        found: dict[str, str] = {}
        for account in self._accounts.values():
            call = orders.fills(self._instrument.symbol, limit=500)
            async for page in self._client.pages(call, account):
                mine = [fill for fill in page.fills if fill.trade_id in wanted]
                found |= {fill.trade_id: fill.order_id for fill in mine if fill.role == "maker"}
                if not mine:
                    break
        return found

    @property
    def trade_count(self) -> int:
        """Return how many trades the flow has made."""
        return len(self._taken)


def _first_time_ms(group: Iterable[list[FlowRow]]) -> int:
    return min(row.time_ms for batch in group for row in batch)
