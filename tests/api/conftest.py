"""The small exchange for the API's tests, and a real one made of processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.api.exchange import Exchange
from tests.api.running import RunningExchange
from tests.conftest import Servers
from tests.scheduling import shares_exchange

CHROMIUM = Path("/usr/bin/chromium")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the browser's tests on machines without Debian's chromium, and count them so."""
    if CHROMIUM.exists():
        return
    unable = [item for item in items if item.get_closest_marker("browser") is not None]
    config.hook.pytest_deselected(items=unable)
    items[:] = [item for item in items if item not in unable]


@pytest_asyncio.fixture
async def exchange() -> AsyncIterator[Exchange]:
    """Give a fresh exchange with two funded customers."""
    made = Exchange()
    yield made
    await made.http.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_chromium() -> AsyncIterator[None]:
    """Let all pages of a module be windows of one Chromium: starting it costs a second."""
    from tests.api.browser import shared  # the browser's library, for who needs it

    async with shared():
        yield


_RUNNING: list[RunningExchange] = []


@pytest.fixture(scope="module")
def running(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> RunningExchange:
    """Give engine, market data and gateway as processes; shared, so tests add what they need.

    Folders of tests that import this fixture get the same exchange, until a file comes that has no
    use for it: it takes a twentieth of a core to keep.
    """
    if not _RUNNING:
        made = RunningExchange(
            tmp_path_factory.mktemp("exchange"),
            servers.postgres.database_url(servers.new_database()),
            f"{servers.redis_url.removesuffix('/0').rstrip('/')}/1",  # streams of its own
        )
        asyncio.run(made.start())
        _RUNNING.append(made)
    return _RUNNING[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None]:
    """Stop the running exchange when no test of the next file uses it."""
    yield
    if _RUNNING and (nextitem is None or not shares_exchange(nextitem.nodeid)):
        _RUNNING.pop().stop()
