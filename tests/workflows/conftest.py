"""The wallet's rig: one set of servers a module, its hot wallet filled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

import pytest
import pytest_asyncio

from tests.conftest import Servers
from tests.workflows.wallet_rig import Rig, build_rig


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(
    servers: Servers, temporal: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Rig]:
    """Give a customer-less exchange's wallet on a chain and a database of the module's own."""
    async with AsyncExitStack() as stack:
        chain = servers.new_chain()
        stack.callback(chain.kill)
        rig = await build_rig(
            stack,
            database_url=servers.postgres.database_url(servers.new_database()),
            chain_url=chain.url,
            temporal=temporal,
            data_dir=tmp_path_factory.mktemp("wallet"),
        )
        async with rig.worker():
            for asset, amount in (("ETH", 50 * 10**18), ("USDT", 100_000 * 10**6)):
                refill = await rig.fund(rig.wallet.public.hot_address, asset, amount)
                await rig.mine()
                await rig.until(partial(rig.deposit_state, refill), "refilled")
            yield rig
