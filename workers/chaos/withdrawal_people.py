"""Who takes part in a drill of withdrawals: customers who ask and cancel, officers who decide."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from api.client import withdrawals
from api.client.account import ApiAccount
from api.client.errors import ClientError
from api.client.http import AsyncClient
from domain.approval import APPROVE, REJECT
from infra.settings import Settings
from workers import officer_desk as desk
from workers.chaos.canaries import BENEFICIARY
from workers.chaos.withdrawal_books import Books, Order, Wanted
from workers.demo_money import withdraw

_PATIENCE_SECONDS = 300.0
_AGAIN_SECONDS = 0.5
_LOOK_SECONDS = 1.0
_ANSWER_SECONDS = 20.0


class Customers:
    """Ask through the public API, again and again with the same key while it is away."""

    def __init__(
        self, page_url: str, accounts: Sequence[Mapping[str, str]], wanted: Wanted
    ) -> None:
        self._client = AsyncClient(page_url, patience_seconds=_PATIENCE_SECONDS)
        self._accounts = {
            one["name"]: ApiAccount(one["name"], one["api_key"], one["api_secret"])
            for one in accounts
        }
        self._wanted = wanted

    async def ask(self) -> None:
        """Ask for everything; return when all has been taken, and cancelled where it is to be."""
        async with asyncio.TaskGroup() as group:
            for order in self._wanted.orders:
                await asyncio.sleep(order.after_seconds)
                group.create_task(self._one(order))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _one(self, order: Order) -> None:
        account = self._accounts[order.customer]
        patience = time.monotonic() + _PATIENCE_SECONDS
        while order.key not in self._wanted.taken and time.monotonic() < patience:
            with contextlib.suppress(ClientError):
                self._wanted.taken[order.key] = await withdraw(
                    self._client,
                    account,
                    order.asset,
                    order.amount,
                    order.address,
                    key=order.key,
                    beneficiary=BENEFICIARY,
                )
                break
            await asyncio.sleep(_AGAIN_SECONDS)
        if order.cancel_after is not None and order.key in self._wanted.taken:
            await asyncio.sleep(order.cancel_after)
            await self._cancel(account, self._wanted.taken[order.key])

    async def _cancel(self, account: ApiAccount, withdrawal_id: str) -> None:
        """Cancel, or learn that it is too late; a gateway that is away is asked again."""
        with contextlib.suppress(ClientError):
            await self._client.send(withdrawals.cancel(withdrawal_id), account)


class Officers:
    """Sign what waits for them, and have what is parked tried again."""

    def __init__(self, settings: Settings, wanted: Wanted, books: Books) -> None:
        self._settings = settings
        self._wanted = wanted
        self._books = books
        self._decided: set[str] = set()

    async def work(self) -> None:
        """Look once a second, for ever."""
        while True:
            with contextlib.suppress(OSError):
                for name, (_, stage) in (await self._books.stages(self._wanted.ids)).items():
                    await self._try(name, stage)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _try(self, name: str, stage: str) -> None:
        """Do what the stage asks for; whatever goes wrong, the next look tries again."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_ANSWER_SECONDS):
                if stage.startswith("failed:"):
                    await desk.retry(self._settings, name, "a drill")
                elif stage.startswith("approval") and name not in self._decided:
                    await self._decide(name)

    async def _decide(self, name: str) -> None:
        action = APPROVE if self._wanted.approves(name) else REJECT
        statement: Any = await desk.statement_for(self._settings, name, action)
        await desk.decide(self._settings, "marta", statement)
        self._decided.add(name)
