"""A wallet rig for a module's tests, with a funded hot wallet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.conftest import Servers
from tests.workflows.wallet_rig import Rig, build_rig

HOT_COINS = {"USDT": 100_000 * 10**6, "ETH": 50 * 10**18}


@dataclass(frozen=True)
class WalletServers:
    """Where a module's servers are."""

    database_url: str
    chain_url: str
    temporal: str


@pytest.fixture(scope="module")
def wallet_servers(servers: Servers) -> Iterator[WalletServers]:
    """Give a database and a chain that only this module sees."""
    chain = servers.new_chain()
    name = servers.new_database()
    yield WalletServers(servers.postgres.database_url(name), chain.url, servers.temporal)
    chain.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quiet_rig(
    wallet_servers: WalletServers, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Rig]:
    """Give a rig without a wallet worker: the tests start one of their own kind."""
    async with AsyncExitStack() as stack:
        rig = await build_rig(
            stack,
            database_url=wallet_servers.database_url,
            chain_url=wallet_servers.chain_url,
            temporal=wallet_servers.temporal,
            data_dir=tmp_path_factory.mktemp("wallet"),
        )
        for asset, amount in HOT_COINS.items():
            await rig.fund(rig.wallet.public.hot_address, asset, amount)
        await rig.mine()
        yield rig


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(quiet_rig: Rig) -> AsyncIterator[Rig]:
    """Give a rig with a running wallet worker."""
    async with quiet_rig.worker():
        yield quiet_rig
