"""Withdrawals while processes are killed and the node lies: each ends once, and is paid once."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncEngine

from infra.embedded.chain import ChainServer
from infra.embedded.ports import free_port
from infra.ending import end
from infra.postgres.engine import create
from infra.settings import Settings
from workers.chaos.canaries import BENEFICIARY, leaks_in_files, leaks_in_tables, secrets_of
from workers.chaos.drill import Say
from workers.chaos.kills import kill_9
from workers.chaos.lying_node import LyingNode
from workers.chaos.withdrawal_books import Books, Wanted
from workers.chaos.withdrawal_people import Customers, Officers
from workers.cli.verify import verify
from workers.data_folder import make_folders, read_json, scatter_ports
from workers.exchange import Exchange
from workers.stack import PREFERRED_PORTS

VICTIMS = ("temporal-worker", "wallet-signer", "matching-engine-0", "gateway")
STUCK_SECONDS = "10"  # until a payment that no block takes is offered more
_TWO_AT_ONCE = 0.2
_PAUSE_SECONDS = (1.0, 4.0)
_SHARE_OF_LIES = 0.1
_LATE_SECONDS = 3.0
_LEAST_KILLS = 4
_STORM_SECONDS = 180.0  # at most: an engine that dies again and again takes no new ones
_STORM_GOES_ON = 20.0  # after the last was asked for; then it is calm
_CALM_SECONDS = 600.0  # within which everything has to end
_TELL_SECONDS = 10.0


@dataclass(slots=True)
class Storm:
    """What was done to the exchange."""

    killed: Counter[str] = field(default_factory=Counter)
    moments: list[tuple[float, str]] = field(default_factory=list)


async def run(
    folder: Path, count: int, seed: int, say: Say, victims: Sequence[str] = VICTIMS
) -> dict[str, Any]:
    """Return the figures; `problems` is empty when every withdrawal ended once, books whole.

    The same seed chooses the same amounts, cancellations, decisions, victims and pauses; which
    request meets which lie depends on the machine, too.
    """
    chance = random.Random(seed)  # noqa: S311 - which process dies when is no secret
    wanted = Wanted.some(count, seed)
    async with _exchange(folder, say) as (exchange, node):
        settings = exchange.settings
        database = create(settings.database_url, pool_size=2)
        books = Books(database, node.upstream)
        try:
            began = time.monotonic()
            storm = await _storm(exchange, node, wanted, books, chance, say, victims)
            report: dict[str, Any] = {
                "seed": seed,
                "count": count,
                "seconds": round(time.monotonic() - began, 1),
            }
            report |= await _judged(settings, wanted, books, say)
            report["problems"] += await _leaks(exchange, wanted, database)
        finally:
            await database.dispose()
    kills = sum(storm.killed.values())
    report |= {"kills": kills, "killed": dict(storm.killed), "moments": storm.moments}
    report |= {"lies": dict(node.lies)}
    if kills < _LEAST_KILLS or not node.lies:
        report["problems"].append(f"{kills} kills and {sum(node.lies.values())} lies: no storm")
    return report


@asynccontextmanager
async def _exchange(folder: Path, say: Say) -> AsyncIterator[tuple[Exchange, LyingNode]]:
    """Give a running exchange whose only way to its chain is a node that may lie."""
    make_folders(folder)
    scatter_ports(folder, PREFERRED_PORTS)
    chain = ChainServer(folder / "chain", folder / "logs" / "chain.log", free_port())
    node = LyingNode(chain.url)
    exchange = Exchange(folder, 1, say)
    seen = exchange.stack.outside["RIALTO_CHAIN_URL"]
    await asyncio.to_thread(chain.start)
    try:
        await node.start(urlsplit(seen).port or 0)
        await exchange.start(bots=False)
        yield exchange, node
    finally:
        await exchange.stop()
        await node.stop()
        await asyncio.to_thread(chain.stop)


async def _storm(
    exchange: Exchange,
    node: LyingNode,
    wanted: Wanted,
    books: Books,
    chance: random.Random,
    say: Say,
    victims: Sequence[str],
) -> Storm:
    """Ask for everything while things die and lie; then be calm until everything has ended."""
    settings, storm = exchange.settings, Storm()
    accounts: Any = read_json(exchange.data_dir / "demo.json")["accounts"]
    customers = Customers(exchange.stack.page_url, accounts, wanted)
    officers = Officers(settings, wanted, books)
    deciding = asyncio.create_task(officers.work())
    asking = asyncio.create_task(customers.ask())
    node.lie_at_random(chance, _SHARE_OF_LIES, _LATE_SECONDS)
    killing = asyncio.create_task(_kill(exchange, chance, victims, storm, say))
    try:
        async with asyncio.timeout(_STORM_SECONDS):
            await asyncio.shield(asking)
        async with asyncio.timeout(_STORM_GOES_ON):
            await _until_ended(wanted, books, say)
    except TimeoutError:
        say("the storm is over; some have not ended yet")
    finally:
        await end(killing)
        node.be_honest()
    try:
        async with asyncio.timeout(_CALM_SECONDS):
            await asyncio.shield(asking)
            await _until_ended(wanted, books, say)
    except TimeoutError:
        say("not everything has ended")
    finally:
        for task in (asking, deciding):
            await end(task)
        await customers.close()
    return storm


async def _kill(
    exchange: Exchange,
    chance: random.Random,
    victims: Sequence[str],
    storm: Storm,
    say: Say,
) -> None:
    """Kill one or two at random moments, for ever."""
    began = time.monotonic()
    while True:
        await asyncio.sleep(chance.uniform(*_PAUSE_SECONDS))
        number = 2 if len(victims) > 1 and chance.random() < _TWO_AT_ONCE else 1
        pids = exchange.supervisor.pids()
        for name in chance.sample(list(victims), number):
            if pids.get(name):
                kill_9(pids[name])
                storm.killed[name] += 1
                storm.moments.append((round(time.monotonic() - began, 1), name))
                say(f"{time.monotonic() - began:6.1f} s killed {name}")


async def _until_ended(wanted: Wanted, books: Books, say: Say) -> None:
    """Wait until all are final; a database that does not answer is asked again."""
    told = 0.0
    while True:
        with contextlib.suppress(OSError):
            states = await books.states(wanted.ids)
            if len(states) == len(wanted.ids) and books.all_final(states):
                return
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                say(f"{dict(Counter(states.values()))} of {len(wanted.orders)}")
        await asyncio.sleep(0.5)


async def _judged(settings: Settings, wanted: Wanted, books: Books, say: Say) -> dict[str, Any]:
    """Ask rows, chain and checker; the watcher first has to see the newest block."""
    say("checking rows, chain and books")
    states = await books.states(wanted.ids)
    final = Counter(state for state in states.values() if books.is_final(state))
    double_sent, problems = await books.compare_with_chain(wanted, states)
    if len(wanted.ids) != len(wanted.orders):
        problems.append(f"{len(wanted.ids)} of {len(wanted.orders)} were taken by the gateway")
    problems += [f"{name} is still {state}" for name, state in states.items() if state not in final]
    await books.until_watched()
    checked = await verify(settings)
    problems += [f"violation: {violation}" for violation in checked["violations"]]
    return {
        "final": dict(sorted(final.items())),
        "double_sent": double_sent,
        "parked": dict(await books.parked(wanted.ids)),
        "violations": checked["violations"],
        "invariants": len(checked["invariants"]),
        "problems": problems,
    }


async def _leaks(exchange: Exchange, wanted: Wanted, database: AsyncEngine) -> list[str]:
    """Return which secrets are where they do not belong; the search has to find what is there."""
    folder = exchange.data_dir
    accounts: Any = read_json(folder / "demo.json")["accounts"]
    secrets = secrets_of(folder, {one["name"]: one["api_secret"] for one in accounts})
    named = {"the beneficiary's name": [BENEFICIARY.encode()]}
    control = {"an id": [wanted.ids[0].encode()]} if wanted.ids else {}
    problems = await leaks_in_tables(database, secrets)
    problems += leaks_in_files(folder, {**secrets, **named}, ("logs", "temporal"))
    for place in ("logs", "temporal"):
        if not leaks_in_files(folder, control, (place,)):
            problems.append(f"the search for secrets finds nothing in {place}")
    return problems
