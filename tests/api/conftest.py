"""The small exchange for the API's tests, and a real one made of processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.api.exchange import Exchange
from tests.api.running import RunningExchange
from tests.conftest import Servers


@pytest_asyncio.fixture
async def exchange() -> AsyncIterator[Exchange]:
    """Give a fresh exchange with two funded customers."""
    made = Exchange()
    yield made
    await made.http.aclose()


@pytest.fixture(scope="session")
def running(
    servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningExchange]:
    """Give engine, market data and gateway as processes; shared, so tests add what they need."""
    before = dict(os.environ)
    made = RunningExchange(
        tmp_path_factory.mktemp("exchange"),
        servers.postgres.database_url(servers.new_database()),
        servers.redis_url,
    )
    asyncio.run(made.start())
    yield made
    made.stop()
    os.environ.clear()
    os.environ.update(before)
