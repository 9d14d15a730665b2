"""Where `rialto top` reads: status files, the public API, the open workflows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from api.client import accounts, markets, orders, positions
from api.client.account import ApiAccount
from api.client.call import Answer, Call
from api.client.errors import ClientError
from api.client.http import AsyncClient
from workers.cli.context import RunningExchange
from workers.cli.status import exchange_state
from workers.data_folder import supervisor_pid
from workers.officer_desk import OpenWork, open_work
from workers.top_view import TopState
from workers.wallet_queries import OPEN_WORK

_LINES = 40  # of book and tape: more than a terminal shows
_PATIENCE_SECONDS = 0.5  # the next frame asks again
_SLOW_SECONDS = 3.0  # between looks at the workflows and at the list of markets


class TopSource:
    """Reads frame after frame; a part that is away leaves its panel empty and says so."""

    def __init__(self, exchange: RunningExchange, account: ApiAccount) -> None:
        self._exchange = exchange
        self._account = account
        self._client = AsyncClient(
            str(exchange.demo["base_url"]), account, patience_seconds=_PATIENCE_SECONDS
        )
        self._trouble: list[str] = []
        self._markets: dict[str, Any] = {}
        self._work: list[OpenWork] = []
        self._slow_trouble: list[str] = []
        self._looked = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def read(self, symbol: str) -> TopState:
        """Return the next frame's values; "" as symbol means the first market."""
        if time.monotonic() - self._looked > _SLOW_SECONDS:
            await self._read_slow_parts()
        symbol = symbol or next(iter(self._markets), "")
        state = TopState(symbol, self._markets, self._account.name, await self._system())
        self._trouble = []
        if symbol:
            book, trades = await asyncio.gather(
                self._asked("book", self._told(markets.book(symbol, _LINES)), {}),
                self._asked("trades", self._told(markets.trades(symbol, _LINES)), {}),
            )
            state = replace(state, book=book, trades=trades.get("trades", ()))
        listed, balances, held = await asyncio.gather(
            self._asked("orders", self._told(orders.listed(limit=100)), {}),
            self._asked("balances", self._told(accounts.balances()), {}),
            self._asked("positions", self._told(positions.listed()), {}),
        )
        if self._markets.get(symbol, {}).get("kind") == "perpetual":
            state = await self._perpetual(state)
        return replace(
            state,
            orders=listed.get("orders", ()),
            balances=balances.get("balances", ()),
            positions=[one for one in held.get("positions", ()) if one["quantity"] != "0"],
            work=self._work,
            trouble=(*self._slow_trouble, *self._trouble),
        )

    async def _perpetual(self, state: TopState) -> TopState:
        """Return the state with how a perpetual market stands, and the fund of its shard."""
        name = state.symbol
        funding, funds, steps = await asyncio.gather(
            self._asked("funding", self._told(markets.funding(name, limit=1)), {}),
            self._asked("fund", self._told(markets.insurance()), {}),
            self._asked("liquidations", self._told(markets.liquidations(name)), {}),
        )
        shard = self._markets[state.symbol]["shard"]
        mine = [fund for fund in funds.get("funds", ()) if fund["shard"] == shard]
        return replace(
            state,
            funding=funding.get("now", {}),
            fund=mine[0] if mine else {},
            liquidations=steps.get("liquidations", ()),
        )

    async def _read_slow_parts(self) -> None:
        self._trouble = []
        found = await self._asked("markets", self._told(markets.listed()), {})
        self._markets = {market["symbol"]: market for market in found.get("markets", ())}
        settings = self._exchange.settings
        self._work = await self._asked("workflows", open_work(settings, OPEN_WORK), [])
        self._slow_trouble, self._looked = self._trouble, time.monotonic()

    async def _system(self) -> dict[str, Any]:
        folder = self._exchange.data_dir
        pid = supervisor_pid(folder)
        if pid is None:
            return {"attention": ["the exchange has stopped; `./rialto up` starts it"]}
        return await asyncio.to_thread(exchange_state, folder, pid)

    async def _told(self, call: Call[Answer]) -> dict[str, Any]:
        """Return the members of an answer, as the panels read them."""
        return (await self._client.send(call)).model_dump(mode="json")

    async def _asked(self, what: str, answer: Awaitable[Any], otherwise: Any) -> Any:
        """Return the answer, or `otherwise` when that part of the exchange is away."""
        try:
            return await answer
        except (ClientError, OSError, RuntimeError, SQLAlchemyError) as error:
            reason = str(error).partition("\n")[0][:80] or type(error).__name__
            self._trouble.append(f"no {what}: {reason}")
            return otherwise
