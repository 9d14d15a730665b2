"""What a drill of withdrawals wants, and what rows and chain say has become of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.evm_address import checksum_address
from domain.withdrawal import FINAL_STATES, WithdrawalState
from infra.postgres import tables
from infra.wallet.chain import EvmChain
from infra.wallet.keccak import keccak256
from infra.wallet.setup import CHAIN

_RECEIVERS = 80  # of each customer, who may list a hundred
_CANCELLED, _REJECTED = 0.15, 0.2  # of all; of those that an officer has to sign
_PAUSE_SECONDS = 0.6  # on average, between two requests
_WATCH_SECONDS = 60.0
_w, _t = tables.withdrawal.c, tables.wallet_transaction.c


@dataclass(frozen=True, slots=True)
class Order:
    """One withdrawal to be asked for, `after_seconds` after the one before."""

    key: str
    customer: str
    asset: str
    amount: str
    address: str
    after_seconds: float
    cancel_after: float | None  # seconds after it was taken; None: its customer keeps to it
    approve: bool  # what an officer does with it, where one has to


@dataclass(slots=True)
class Wanted:
    """All orders of a drill, and the ids that the gateway gave them, by key."""

    orders: Sequence[Order]
    taken: dict[str, str] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """Return the withdrawals' ids."""
        return list(self.taken.values())

    def approves(self, withdrawal_id: str) -> bool:
        """Return whether officers let this one pass."""
        return any(
            order.approve for order in self.orders if self.taken.get(order.key) == withdrawal_id
        )

    @staticmethod
    def some(count: int, seed: int) -> Wanted:
        """Return `count` orders of two customers: small ones, and some for an officer to sign."""
        chance = random.Random(seed)  # noqa: S311 - nothing of it is a secret
        orders = []
        for number in range(count):
            customer = ("alice", "bob")[number % 2]
            large = chance.random() < 0.25
            asset = chance.choice(("USDT", "ETH"))
            amount = {
                "USDT": str(chance.randint(20, 60) if not large else 10_500 + number),
                "ETH": f"0.{chance.randint(20, 90)}" if not large else "4.5",
            }[asset]
            name = f"chaos/{seed}/{customer}/{number // 2 % _RECEIVERS}"
            address = checksum_address("0x" + keccak256(name.encode())[-20:].hex(), keccak256)
            cancel = chance.uniform(0, 3) if chance.random() < _CANCELLED else None
            after = chance.uniform(0, 2 * _PAUSE_SECONDS)
            approve = chance.random() >= _REJECTED
            key = f"chaos-{seed}-{number}"
            orders.append(Order(key, customer, asset, amount, address, after, cancel, approve))
        return Wanted(orders)


class Books:
    """Reads rows, and the chain through an honest node."""

    def __init__(self, database: AsyncEngine, honest_url: str) -> None:
        self._database = database
        self._url = honest_url

    async def states(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the state of each; `OSError` while the database does not answer."""
        return {name: state for name, (state, _) in (await self.stages(ids)).items()}

    async def stages(self, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return (state, stage) of each; `OSError` while the database does not answer."""
        query = sa.select(_w.withdrawal_id, _w.state, _w.stage).where(
            _w.withdrawal_id.in_([UUID(name) for name in ids])
        )
        try:
            async with self._database.connect() as connection:
                rows = (await connection.execute(query)).all()
        except SQLAlchemyError as error:
            raise OSError(str(error)) from error
        return {str(row.withdrawal_id): (row.state, row.stage) for row in rows}

    async def parked(self, ids: Sequence[str]) -> Counter[str]:
        """Return how often something was parked, by kind."""
        log = tables.audit_log.c
        query = sa.select(log.detail["text"].astext).where(
            log.action == "parked", log.subject.in_([f"withdrawal-{name}" for name in ids])
        )
        async with self._database.connect() as connection:
            found = (await connection.execute(query)).scalars().all()
        return Counter(str(text).partition(":")[0] for text in found)

    @staticmethod
    def is_final(state: str) -> bool:
        """Return whether nothing follows this state."""
        return WithdrawalState(state) in FINAL_STATES

    def all_final(self, states: Mapping[str, str]) -> bool:
        """Return whether nothing follows any of them."""
        return all(self.is_final(state) for state in states.values())

    async def compare_with_chain(
        self, wanted: Wanted, states: Mapping[str, str]
    ) -> tuple[int, list[str]]:
        """Return how many were mined more than once, and how receivers' coins differ from rows."""
        chain, problems = EvmChain(self._url), []
        try:
            mined = await self._mined(chain, wanted.ids)
            double = [name for name, number in mined.items() if number > 1]
            problems += [f"{name} was mined {mined[name]} times" for name in double]
            for name, state in states.items():
                if state == WithdrawalState.SETTLED and mined[name] != 1:
                    problems.append(f"{name} is settled and was mined {mined[name]} times")
            for (contract, address), amount in (await self._owed(wanted, states)).items():
                have = (await chain.address_state(address, {contract})).balances[contract]
                if have != amount:
                    problems.append(f"{address} has {have}, and was to be paid {amount}")
        finally:
            await chain.close()
        return len(double), problems

    async def _mined(self, chain: EvmChain, ids: Sequence[str]) -> Counter[str]:
        """Return how many transactions of each were mined, voids too."""
        query = sa.select(_t.withdrawal_id, _t.tx_hash).where(
            _t.withdrawal_id.in_([UUID(name) for name in ids])
        )
        async with self._database.connect() as connection:
            rows = (await connection.execute(query)).all()
        found: Counter[str] = Counter()
        for row in rows:
            if await chain.receipt(row.tx_hash) is not None:
                found[str(row.withdrawal_id)] += 1
        return found

    async def _owed(
        self, wanted: Wanted, states: Mapping[str, str]
    ) -> Counter[tuple[str | None, str]]:
        """Return what each receiver should have by (contract, address), 0 where nothing."""
        query = (
            sa.select(
                tables.asset.c.contract,
                *(_w.withdrawal_id, _w.address, _w.amount, _w.fee),
            )
            .join_from(tables.withdrawal, tables.asset)
            .where(_w.withdrawal_id.in_([UUID(name) for name in wanted.ids]))
        )
        async with self._database.connect() as connection:
            rows = (await connection.execute(query)).all()
        owed: Counter[tuple[str | None, str]] = Counter()
        for row in rows:
            paid = states[str(row.withdrawal_id)] == WithdrawalState.SETTLED
            owed[row.contract, row.address] += int(row.amount - row.fee) if paid else 0
        return owed

    async def until_watched(self) -> None:
        """Wait until the watcher has stored the block that is the newest now."""
        chain = EvmChain(self._url)
        try:
            head = await chain.head()
        finally:
            await chain.close()
        block = tables.chain_block.c
        query = sa.select(sa.func.max(block.number)).where(block.chain == CHAIN)
        async with asyncio.timeout(_WATCH_SECONDS):
            while True:
                async with self._database.connect() as connection:
                    if int(await connection.scalar(query) or 0) >= head:
                        return
                await asyncio.sleep(0.3)
