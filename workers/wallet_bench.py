"""Measures the wallet of a whole exchange: deposits and withdrawals, from the chain to the books.

Everything is the product's own: chain (a block a second), Temporal, PostgreSQL, engine, signer,
gateway, each in its process. No bots trade beside it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from api.client.account import ApiAccount
from api.client.http import AsyncClient
from domain.withdrawal_limits import Tier
from infra.postgres import tables
from infra.postgres.customers import CustomerStore
from infra.postgres.engine import create
from infra.secret_box import SecretBox, gateway_key_path
from infra.settings import Settings
from infra.wallet import erc20
from infra.wallet.keys import load_public
from infra.wallet.rpc import JsonRpc
from infra.wallet.setup import ensure_deposit_address
from workers.cli.verify import verify
from workers.data_folder import make_folders, scatter_ports
from workers.demo_money import withdraw
from workers.exchange import Exchange
from workers.stack import PREFERRED_PORTS

Say = Callable[[str], None]
_ASSET = "USDT"
_UNIT = 10**6
_EACH = 100  # USDT of a deposit: enough for a withdrawal or two
_AMOUNT = "12"  # USDT of a withdrawal, far below what needs an officer
_WAIT_SECONDS = 300.0
_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 60.0
_AT_ONCE = 16  # requests of customers at a time
_PEOPLE = 20  # a customer's allow-list and limits take this load spread over so many


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked for: `pace` withdrawals a second for `paced`, `burst` all at once."""

    deposits: int
    burst: int
    paced: int
    pace: float


@dataclass(frozen=True, slots=True)
class _Rig:
    settings: Settings
    database: AsyncEngine
    people: Sequence[ApiAccount]
    addresses: Sequence[str]
    target: str


async def measure(folder: Path, load: Load, say: Say) -> dict[str, Any]:
    """Return the report of one exchange in `folder`; `problems` says what is wrong."""
    make_folders(folder)
    scatter_ports(folder, PREFERRED_PORTS)
    exchange = Exchange(folder, 1, say)
    try:
        await exchange.start(bots=False)
        settings = exchange.settings
        database = create(settings.database_url, pool_size=2)
        try:
            async with exchange.demo() as demo:
                target = await demo.outside_address()
            people, addresses = await _people(settings, database)
            rig = _Rig(settings, database, people, addresses, target)
            report: dict[str, Any] = {}
            say(f"{load.deposits} deposits")
            report |= await _deposits(rig, load.deposits)
            say(f"{load.burst} withdrawals at once, {load.paced} at {load.pace} a second")
            report |= await _withdrawals(rig, load)
            say("checking the books")
            checked = await verify(settings)
            violations = checked["violations"]
            return report | {
                "invariants": len(checked["invariants"]),
                "problems": [f"violation: {violation}" for violation in violations],
            }
        finally:
            await database.dispose()
    finally:
        await exchange.stop()


async def _people(settings: Settings, database: AsyncEngine) -> tuple[list[ApiAccount], list[str]]:
    """Return customers with keys, and their deposit addresses, which the watcher knows."""
    public = load_public(settings.data_dir)
    store = CustomerStore(database, SecretBox.from_file(gateway_key_path(settings.secrets_dir)))
    people, addresses = [], []
    for number in range(_PEOPLE):
        name = f"bench-{number}"
        made = await store.create_customer(name, rate_class="market_maker", tier=Tier.INSTITUTIONAL)
        async with database.begin() as connection:
            addresses.append(
                await ensure_deposit_address(
                    connection, public, made.customer_id, made.deposit_index
                )
            )
        key = await store.create_api_key(made.customer_id)
        people.append(ApiAccount(name, key.api_key, key.api_secret))
    return people, addresses


async def _deposits(rig: _Rig, count: int) -> dict[str, Any]:
    """Return the pace from the first payment sent to the last one credited."""
    asset = tables.asset.c
    async with rig.database.connect() as connection:
        contract = await connection.scalar(sa.select(asset.contract).where(asset.code == _ASSET))
    row = tables.deposit.c
    credited = (
        sa.select(sa.func.count())
        .select_from(tables.deposit)
        .where(row.address.in_(rig.addresses), row.state == "credited")
    )
    before = await _scalar(rig, credited)
    began = time.monotonic()
    async with JsonRpc(rig.settings.chain_url) as rpc:
        minter = (await rpc.call("eth_accounts"))[0]
        for number in range(count):
            data = erc20.mint_call(rig.addresses[number % _PEOPLE], _EACH * _UNIT)
            call = {"from": minter, "to": contract, "data": "0x" + data.hex()}
            await rpc.call("eth_sendTransaction", call)
    sent = time.monotonic() - began
    await _until(rig, credited, before + count)
    took = time.monotonic() - began
    return {
        "deposits": count,
        "deposits_sent_seconds": round(sent, 1),
        "deposits_seconds": round(took, 1),
        "deposits_per_minute": round(count / took * 60),
    }


async def _withdrawals(rig: _Rig, load: Load) -> dict[str, Any]:
    """Return the pace of a burst until the last one is booked, and the times of a steady flow."""
    api = AsyncClient(rig.settings.gateway_public_url, patience_seconds=_PATIENCE_SECONDS)
    try:
        for person in rig.people:  # list the target, which has to cool off
            await withdraw(api, person, _ASSET, _AMOUNT, rig.target, key="first")
        await _until(rig, _settled("first"), _PEOPLE)
        paced = await _paced(rig, api, load)
        began = time.monotonic()
        gate = asyncio.Semaphore(_AT_ONCE)

        async def ask(number: int) -> None:
            async with gate:
                await _ask(rig, api, number, f"burst-{number}")

        await asyncio.gather(*(ask(number) for number in range(load.burst)))
        asked = time.monotonic() - began
        await _until(rig, _settled("burst-"), load.burst)
        took = time.monotonic() - began
    finally:
        await api.close()
    burst = await _times_ms(rig, "burst-")
    return {
        "withdrawals": load.burst,
        "withdrawals_asked_seconds": round(asked, 1),
        "withdrawals_seconds": round(took, 1),
        "withdrawals_per_minute": round(load.burst / took * 60),
        **paced,
        "burst_request_to_broadcast_p50_ms": _percentile(burst, 50),
        "burst_request_to_broadcast_p99_ms": _percentile(burst, 99),
    }


async def _paced(rig: _Rig, api: AsyncClient, load: Load) -> dict[str, Any]:
    """Return the times from request to broadcast of a steady flow; what is late is not left out."""
    began = time.monotonic()
    asking = []
    for number in range(load.paced):
        await asyncio.sleep(max(0.0, began + number / load.pace - time.monotonic()))
        asking.append(asyncio.create_task(_ask(rig, api, number, f"paced-{number}")))
    await asyncio.gather(*asking)
    await _until(rig, _settled("paced-"), load.paced)
    times = await _times_ms(rig, "paced-")
    return {
        "paced_withdrawals": len(times),
        "paced_per_minute": round(load.pace * 60),
        "request_to_broadcast_p50_ms": _percentile(times, 50),
        "request_to_broadcast_p99_ms": _percentile(times, 99),
    }


async def _ask(rig: _Rig, api: AsyncClient, number: int, key: str) -> None:
    person = rig.people[number % _PEOPLE]
    await withdraw(api, person, _ASSET, _AMOUNT, rig.target, key=key)


def _settled(prefix: str) -> sa.Select[Any]:
    row = tables.withdrawal.c
    return (
        sa.select(sa.func.count())
        .select_from(tables.withdrawal)
        .where(row.idempotency_key.startswith(prefix), row.state == "settled")
    )


async def _times_ms(rig: _Rig, prefix: str) -> list[float]:
    """Return how long each took from its row to the first node that took it, by the database."""
    asked, sent = tables.withdrawal.c, tables.wallet_transaction.c
    took = sa.extract("epoch", sent.broadcast_at - asked.created_at) * 1000
    query = (
        sa.select(took)
        .join_from(tables.withdrawal, tables.wallet_transaction)
        .where(asked.idempotency_key.startswith(prefix), sent.replacement == 0)
    )
    async with rig.database.connect() as connection:
        return sorted(float(ms) for ms in (await connection.execute(query)).scalars())


def _percentile(ordered: Sequence[float], percent: int) -> float:
    if percent == 50:
        return round(statistics.median(ordered), 1)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 1)


async def _scalar(rig: _Rig, query: sa.Select[Any]) -> int:
    async with rig.database.connect() as connection:
        return int(await connection.scalar(query) or 0)


async def _until(rig: _Rig, query: sa.Select[Any], wanted: int) -> None:
    """Wait until the count is reached; `TimeoutError` says how far it came, and what waits."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while (found := await _scalar(rig, query)) < wanted:
        if time.monotonic() > deadline:
            stages = await _stages(rig)
            raise TimeoutError(f"{found} of {wanted} within {_WAIT_SECONDS:.0f} s; {stages}")
        await asyncio.sleep(_LOOK_SECONDS)


async def _stages(rig: _Rig) -> dict[str, int]:
    """Return how many deposits are in each state, and withdrawals at each stage."""
    found: dict[str, int] = {}
    async with rig.database.connect() as connection:
        for what, column in (
            ("deposit", tables.deposit.c.state),
            ("withdrawal", tables.withdrawal.c.stage),
        ):
            query = sa.select(column, sa.func.count()).group_by(column)
            found |= {f"{what} {row[0]}": row[1] for row in await connection.execute(query)}
    return found
