"""A load of trades at a chosen rate, through the engine's binary door as a gateway sends it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import sqlalchemy as sa

from domain.commands import Command, Credit, PlaceOrder
from domain.errors import RejectReason
from domain.events import CommandRejected, Event, Trade
from domain.ledger import JournalRequest, Posting, capital, transfer_key, transit
from domain.order import OrderType, Side, TimeInForce
from domain.order_id import client_key
from domain.transfer import TO_TRADING, NewTransfer
from infra.ending import end
from infra.engine_client import EngineClient
from infra.engine_errors import EngineError, OutcomeUnknown
from infra.engine_roles import load_tokens
from infra.postgres import tables
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore, Posted
from infra.settings import Settings
from workers import engine_admin
from workers.demo_listings import ETH, MARKETS, USDT

SLOT_SECONDS = 0.05
_MARKET = MARKETS[0]
_PRICE_TICKS = 250_000  # its listing price, 2,500
_ENGINE_UNITS = 10**15  # of each asset; more than an hour of load can move
_PEOPLE = (900_001, 900_002)  # their ids, and the indexes of their deposit addresses
_OUTCOME_SECONDS = 5.0


@dataclass(slots=True)
class Phase:
    """What was asked of the engine in one part of a run, and what it answered."""

    began: float
    trades: int = 0
    unknown: int = 0  # commands without an answer: they may have happened
    refused: Counter[str] = field(default_factory=Counter)
    answers_ms: list[float] = field(default_factory=list)  # of each slot, whole


async def fund(settings: Settings) -> None:
    """Make the two traders of the load, with the owners' money in trading; the books know it."""
    database = create(settings.database_url, pool_size=1)
    treasury = engine_admin.connect(settings, "treasury")
    try:
        for customer_id in _PEOPLE:
            moves = [
                (uuid4(), asset, _ENGINE_UNITS * asset.chain_units_per_engine_unit)
                for asset in (USDT, ETH)
            ]
            async with database.begin() as conn:
                await conn.execute(
                    sa.insert(tables.customer).values(
                        customer_id=customer_id,
                        name=f"load-{customer_id}",
                        deposit_index=customer_id,
                    )
                )
                for transfer_id, asset, amount in moves:
                    row = NewTransfer(
                        transfer_id, customer_id, asset.asset_id, 0, TO_TRADING, amount, "load"
                    )
                    await conn.execute(sa.insert(tables.transfer).values(row.row()))
                    posting = Posting(
                        capital(asset.code), transit(0, asset.code), asset.code, amount
                    )
                    request = JournalRequest(
                        "wallet", transfer_key(transfer_id), "seed", (posting,)
                    )
                    assert isinstance(await LedgerStore().post(conn, request), Posted)
            for transfer_id, asset, _ in moves:
                now_us = time.time_ns() // 1_000
                command = Credit(
                    transfer_id.int, customer_id, asset.asset_id, _ENGINE_UNITS, now_us
                )
                await treasury.submit(command)
    finally:
        await treasury.close()
        await database.dispose()


class TradeLoad:
    """`rate` trades a second until stopped; what is late is made good, not left out.

    A slot of commands is one resting order and as many orders as trades against it; the traders
    take turns, so that neither runs dry. `phase` counts until somebody puts another in its place.
    """

    def __init__(self, settings: Settings, rate: int) -> None:
        self._settings = settings
        self._trades_a_slot = max(1, round(rate * SLOT_SECONDS))
        self._slot_seconds = self._trades_a_slot / rate
        self.per_second = rate
        self._slots = 0
        self._name = uuid4().hex[:8]
        self._task: asyncio.Task[None] | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self.phase = Phase(time.monotonic())

    def begin_phase(self) -> Phase:
        """Count from now on anew, and return what was counted before."""
        before, self.phase = self.phase, Phase(time.monotonic())
        return before

    async def start(self) -> None:
        """Connect and begin."""
        self._client = await EngineClient.connect(
            self._settings.engine_socket_path(0),
            "gateway",
            load_tokens(self._settings.engine_tokens_path).of("gateway"),
            timeout_seconds=_OUTCOME_SECONDS,
        )
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End, and wait for the answers that are on their way."""
        if self._task is not None:
            await end(self._task)
            await asyncio.gather(*self._answers, return_exceptions=True)
            await self._client.close()

    async def _run(self) -> None:
        begun = time.monotonic()
        while True:
            wait = begun + self._slots * self._slot_seconds - time.monotonic()
            await asyncio.sleep(max(0.0, wait))
            answer = asyncio.create_task(self._slot(self._commands(), self.phase))
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)
            self._slots += 1

    async def _slot(self, commands: Sequence[Command], phase: Phase) -> None:
        sent = time.monotonic()
        try:
            answers = await self._client.submit_many(commands)
        except OutcomeUnknown:
            phase.unknown += len(commands)
        except EngineError:
            phase.refused["ENGINE_AWAY"] += len(commands)
        else:
            phase.answers_ms.append((time.monotonic() - sent) * 1000)
            for events in answers:
                self._count(events, phase)

    @staticmethod
    def _count(events: tuple[Event, ...], phase: Phase) -> None:
        outcome = events[0]
        if isinstance(outcome, CommandRejected) and outcome.reason is not RejectReason.NONE:
            phase.refused[outcome.reason.name] += 1
        phase.trades += sum(isinstance(event, Trade) for event in events)

    def _commands(self) -> list[Command]:
        """Return one slot: an order that rests, and those that take it, a lot each."""
        taker_buys = bool(self._slots % 2)
        maker, taker = _PEOPLE if taker_buys else _PEOPLE[::-1]
        sides = (Side.SELL, Side.BUY) if taker_buys else (Side.BUY, Side.SELL)
        resting = self._order(maker, sides[0], self._trades_a_slot, TimeInForce.GTC, "m")
        return [
            resting,
            *(
                self._order(taker, sides[1], 1, TimeInForce.IOC, f"t{number}")
                for number in range(self._trades_a_slot)
            ),
        ]

    def _order(
        self, account: int, side: Side, lots: int, time_in_force: TimeInForce, part: str
    ) -> PlaceOrder:
        name = f"{self._name}-{self._slots}-{part}"
        return PlaceOrder(
            account,
            client_key(name),
            _MARKET.symbol_id,
            side,
            OrderType.LIMIT,
            time_in_force,
            _PRICE_TICKS,
            lots,
            client_text=name,
        )
