"""Books that are followed while lines break and gateways die: never wrong, and seldom away."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.client import markets
from api.client.errors import ClientError
from api.client.http import AsyncClient
from domain.instrument import Instrument
from domain.market_data import level_texts
from domain.process_beat import repeated_name
from infra.ending import end
from infra.engine_errors import EngineError
from infra.engine_grpc import EngineGrpc
from infra.postgres.markets import MarketStore
from workers.chaos.book_watchers import (
    CcxtWatcher,
    Known,
    NativeWatcher,
    Watcher,
    ccxt_version,
    fingerprint,
)
from workers.chaos.drill import Say, drill
from workers.chaos.faulty_line import FaultyLine
from workers.chaos.kills import kill_9
from workers.data_folder import read_json
from workers.exchange import Exchange

# What is done, and how often beside the others.
FAULTS = {
    "cut": 5,  # one follower's connections end
    "half_open": 2,  # they stay open, and nothing passes any more
    "slow": 3,  # they pass a trickle
    "gateway": 1,  # kill -9
    "feed": 2,  # Redis ends all subscriptions: every gateway misses messages
    "market_data": 1,  # kill -9 of who publishes
}
_PAUSE_SECONDS = (0.5, 3.0)
_BETWEEN_KILLS_SECONDS = 31.0  # of one process: the supervisor lets who dies sooner wait longer
_SLOW = (2_000, 5.0)  # bytes a second, for so long
_WARM_SECONDS = 5.0
_EQUAL_SECONDS = 90.0
_DEPTH = 1_000
_OF_ALL = ("feed", "market_data")


async def run(
    folder: Path,
    seconds: float,
    gateways: int,
    rate: int,
    seed: int,
    faults: Sequence[str],
    say: Say,
) -> dict[str, Any]:
    """Return the figures; `problems` is empty when no book was ever wrong, and all are equal.

    `rate` trades a second keep one market busy, the bots all of them.
    """
    chance = random.Random(seed)  # noqa: S311 - which line is cut when is no secret
    async with (
        drill(folder, rate, say, gateways=gateways, bots=True) as running,
        AsyncExitStack() as lines,
    ):
        exchange = running.exchange
        listed = (await MarketStore(running.database).listings()).markets
        books = _Books(running.queries, [market.instrument for market in listed])
        known = Known()
        watchers = await _watchers(exchange, list(books.markets), known, lines)
        done: Counter[str] = Counter()
        async with _watching(watchers) as tasks:
            await asyncio.sleep(_WARM_SECONDS)
            for watcher in watchers:
                watcher.begin()
            say(f"{len(watchers)} followers of {len(books.markets)} books; faults begin")
            await _break(exchange, watchers, faults, seconds, chance, done)
            say("calm: the bots stop, and all books have to become the engine's")
            for watcher in watchers:
                watcher.be_calm()
            await exchange.supervisor.stop_child("bots")
            await running.load.stop()
            unequal = await _until_equal(exchange, books, watchers)
            ended = [str(task.exception()) for task in tasks if task.done()]
        checks = _engine_checks(folder)
    return _report(watchers, known, seed, seconds, done) | {
        "ccxt": ccxt_version() or "not installed",
        "engine_checks": checks,
        "problems": _problems(watchers, done, checks, unequal, ended),
    }


class _Books:
    """The engine's own books, as the API would tell them."""

    def __init__(self, queries: EngineGrpc, instruments: Sequence[Instrument]) -> None:
        self._queries = queries
        self.markets = {one.symbol: one for one in instruments}

    async def engine(self, symbol: str) -> int:
        """Return the fingerprint of the engine's book."""
        market = self.markets[symbol]
        _, bids, asks = await self._queries.book(market.symbol_id, 0)
        return fingerprint(level_texts(market, bids), level_texts(market, asks))


async def _watchers(
    exchange: Exchange, symbols: Sequence[str], known: Known, lines: AsyncExitStack
) -> list[Watcher]:
    """Return for each gateway one on a good line, one on a bad one and, if it is there, ccxt."""
    spot = [symbol for symbol in symbols if not symbol.endswith("-PERP")]
    found: list[Watcher] = []
    for number, url in enumerate(exchange.stack.gateway_urls, 1):
        gateway = repeated_name("gateway", number)
        found.append(NativeWatcher(f"steady-{number}", gateway, url, symbols, known))
        for kind, followed in ((NativeWatcher, symbols), (CcxtWatcher, spot)):
            if kind is CcxtWatcher and ccxt_version() is None:
                continue
            line = FaultyLine(int(url.rpartition(":")[2]))
            await line.start()
            lines.push_async_callback(line.stop)
            name = f"{'native' if kind is NativeWatcher else 'ccxt'}-{number}"
            watcher = kind(name, gateway, line.url, followed, known)
            watcher.line = line
            found.append(watcher)
    return found


@asynccontextmanager
async def _watching(watchers: Sequence[Watcher]) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(watcher.watch()) for watcher in watchers]
    try:
        yield tasks
    finally:
        await end(*tasks)


async def _break(
    exchange: Exchange,
    watchers: Sequence[Watcher],
    faults: Sequence[str],
    seconds: float,
    chance: random.Random,
    done: Counter[str],
) -> None:
    """Do one thing after the other for so long; `done` counts them."""
    until = time.monotonic() + seconds
    killed: dict[str, float] = {}
    on_lines = [watcher for watcher in watchers if watcher.line is not None]
    while time.monotonic() < until:
        await asyncio.sleep(chance.uniform(*_PAUSE_SECONDS))
        (fault,) = chance.choices(list(faults), [FAULTS[name] for name in faults])
        victim = chance.choice(on_lines)
        if fault in ("gateway", "market_data"):
            name = victim.gateway if fault == "gateway" else "market-data-0"
            if time.monotonic() - killed.get(name, 0.0) < _BETWEEN_KILLS_SECONDS:
                continue
            killed[name] = time.monotonic()
            kill_9(exchange.supervisor.pids()[name])
        elif fault == "feed":
            await _end_subscriptions(exchange.settings.redis_url)
        elif victim.line is not None:
            _harm(victim.line, fault)
        done[fault] += 1
        for watcher in _suffering(fault, victim, watchers):
            watcher.suffers(fault)


def _harm(line: FaultyLine, fault: str) -> None:
    if fault == "cut":
        line.cut()
    elif fault == "half_open":
        line.fall_silent()
    else:
        line.be_slow(*_SLOW)


def _suffering(fault: str, victim: Watcher, watchers: Sequence[Watcher]) -> list[Watcher]:
    """Return who notices a fault."""
    if fault == "gateway":
        return [one for one in watchers if one.gateway == victim.gateway]
    return list(watchers) if fault in _OF_ALL else [victim]


async def _end_subscriptions(url: str) -> None:
    redis = Redis.from_url(url)
    try:
        await redis.client_kill_filter(_type="pubsub")
    except RedisError:
        pass
    finally:
        await redis.aclose()


async def _until_equal(exchange: Exchange, books: _Books, watchers: Sequence[Watcher]) -> list[str]:
    """Wait until every book is the engine's; return what is not, in words."""
    deadline = time.monotonic() + _EQUAL_SECONDS
    left = dict.fromkeys(books.markets, "never looked at")
    async with AsyncExitStack() as stack:
        clients = []
        for url in exchange.stack.gateway_urls:
            client = AsyncClient(url)
            stack.push_async_callback(client.close)
            clients.append(client)
        while left and time.monotonic() < deadline:
            for symbol in list(left):
                try:
                    left[symbol] = await _difference(symbol, books, clients, watchers)
                except (ClientError, EngineError) as error:
                    left[symbol] = str(error)
                if not left[symbol]:
                    del left[symbol]
            await asyncio.sleep(0.5)
    return [f"{symbol}: {why}" for symbol, why in left.items()]


async def _difference(
    symbol: str, books: _Books, clients: Sequence[AsyncClient], watchers: Sequence[Watcher]
) -> str:
    """Return whose book is not the engine's at the moment; "" when all are."""
    told = await books.engine(symbol)
    for client in clients:
        rest = await client.send(markets.book(symbol, _DEPTH))
        if fingerprint(rest.bids, rest.asks) != told:
            return "REST differs from the engine"
    for watcher in watchers:
        if symbol in watcher.last and watcher.last[symbol][1] != told:
            return f"{watcher.name} differs from the engine"
    return ""


def _engine_checks(folder: Path) -> int:
    """Return how often market data has held its mirror against the engine since its last start."""
    detail = read_json(folder / "run" / "market-data-0.json").get("detail")
    return int(detail["book_checks"]) if isinstance(detail, dict) else 0


def _report(
    watchers: Sequence[Watcher], known: Known, seed: int, seconds: float, done: Counter[str]
) -> dict[str, Any]:
    without: dict[str, float] = {}
    for watcher in watchers:
        for why, passed in watcher.without_seconds.items():
            without[why] = max(round(passed, 2), without.get(why, 0.0))
    native = [one for one in watchers if isinstance(one, NativeWatcher)]
    return {
        "seed": seed,
        "seconds": seconds,
        "messages": sum(watcher.messages for watcher in watchers),
        "checksums": sum(watcher.messages for watcher in native),
        "books_compared": known.compared,
        "faults": dict(done),
        "drops": sum(watcher.drops for watcher in watchers),
        "resyncs": sum(watcher.stream.resync_count for watcher in native),
        "divergences": sum(len(watcher.divergences) for watcher in watchers),
        "longest_without_book_seconds": without,
        "long_waits": sorted((wait for one in watchers for wait in one.long_waits), reverse=True),
        "load_average": [round(number, 1) for number in os.getloadavg()],
        "followers": {watcher.name: watcher.figures() for watcher in watchers},
    }


def _problems(
    watchers: Sequence[Watcher],
    done: Counter[str],
    checks: int,
    unequal: Sequence[str],
    ended: Sequence[str],
) -> list[str]:
    found = [text for watcher in watchers for text in watcher.divergences[:10]]
    found += [f"not equal at the end: {text}" for text in unequal]
    found += [f"a follower gave up: {text}" for text in ended]
    found += [f"{one.name} has heard nothing" for one in watchers if not one.messages]
    if not done:
        found.append("nothing was broken")
    if not checks:
        found.append("market data was never held against the engine")
    return found
