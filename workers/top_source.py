"""Where `rialto top` reads: status files, the public API, the open workflows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import httpx
from sqlalchemy.exc import SQLAlchemyError

from workers.api_client import ApiAccount, ApiClient, ApiError
from workers.cli.context import RunningExchange
from workers.cli.status import exchange_state
from workers.data_folder import supervisor_pid
from workers.officer_desk import OpenWork, open_work
from workers.top_view import TopState
from workers.wallet_queries import OPEN_WORK

_LINES = 40  # of book and tape: more than a terminal shows
_SLOW_SECONDS = 3.0  # between looks at the workflows and at the list of markets


class TopSource:
    """Reads frame after frame; a part that is away leaves its panel empty and says so."""

    def __init__(self, exchange: RunningExchange, account: ApiAccount) -> None:
        self._exchange = exchange
        self._account = account
        self._api = ApiClient(str(exchange.demo["base_url"]))
        self._trouble: list[str] = []
        self._markets: dict[str, Any] = {}
        self._work: list[OpenWork] = []
        self._slow_trouble: list[str] = []
        self._looked = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def read(self, symbol: str) -> TopState:
        """Return the next frame's values; "" as symbol means the first market."""
        if time.monotonic() - self._looked > _SLOW_SECONDS:
            await self._read_slow_parts()
        symbol = symbol or next(iter(self._markets), "")
        state = TopState(symbol, self._markets, self._account.name, await self._system())
        self._trouble = []
        if symbol:
            path = f"/v1/markets/{symbol.replace('/', '-')}"
            book, trades = await asyncio.gather(
                self._asked("book", self._api.get(f"{path}/book?depth={_LINES}"), {}),
                self._asked("trades", self._api.get(f"{path}/trades?limit={_LINES}"), {}),
            )
            state = replace(state, book=book, trades=trades.get("trades", ()))
        orders, balances, held = await asyncio.gather(
            self._asked("orders", self._api.orders(self._account), {}),
            self._asked("balances", self._api.get("/v1/balances", self._account), {}),
            self._asked("positions", self._api.positions(self._account), {}),
        )
        if self._markets.get(symbol, {}).get("kind") == "perpetual":
            state = await self._perpetual(state)
        return replace(
            state,
            orders=orders.get("orders", ()),
            balances=balances.get("balances", ()),
            positions=[one for one in held.get("positions", ()) if one["quantity"] != "0"],
            work=self._work,
            trouble=(*self._slow_trouble, *self._trouble),
        )

    async def _perpetual(self, state: TopState) -> TopState:
        """Return the state with how a perpetual market stands, and the fund of its shard."""
        named = f"symbol={state.symbol.replace('/', '-')}"
        funding, funds, steps = await asyncio.gather(
            self._asked("funding", self._api.get(f"/v1/funding?{named}&limit=1"), {}),
            self._asked("fund", self._api.get("/v1/insurance"), {}),
            self._asked("liquidations", self._api.get(f"/v1/liquidations?{named}"), {}),
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
        found = await self._asked("markets", self._api.get("/v1/markets"), {})
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

    async def _asked(self, what: str, answer: Awaitable[Any], otherwise: Any) -> Any:
        """Return the answer, or `otherwise` when that part of the exchange is away."""
        try:
            return await answer
        except (ApiError, httpx.HTTPError, OSError, RuntimeError, SQLAlchemyError) as error:
            reason = str(error).partition("\n")[0][:80] or type(error).__name__
            self._trouble.append(f"no {what}: {reason}")
            return otherwise
