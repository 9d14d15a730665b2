"""Real servers for tests: one set per test process, each started when a test first asks for it."""

from __future__ import annotations

import atexit
import gc
import itertools
import socket
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.chain import ChainServer
from infra.embedded.ports import own_port
from infra.embedded.postgres import PostgresServer
from infra.embedded.server import EmbeddedServer
from infra.embedded.temporal import TemporalServer
from infra.embedded.valkey import ValkeyServer
from infra.postgres.migrate import upgrade
from infra.temporal.search_attributes import SEARCH_ATTRIBUTES
from tests import recorded
from tests.examples import load_profile

# Safe in tests only: their databases need not survive a power cut.
_FAST_POSTGRES = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
_TEMPLATE = "migrated"


_PROCESS_TESTS = (
    "tests/chaos/",
    "tests/infra/test_engine_protocol.py",
    "tests/workers/bench/test_engine.py",
    "tests/workers/test_matching_engine.py",
    "tests/workers/test_supervisor.py",
)
# Begun first, so that no process is left alone with one of them at the end; the longest first.
_LONG_FILES = (
    "tests/workers/test_up.py",
    "tests/api/test_page.py",  # and with it all that share the running exchange
    "tests/architecture/test_packaging.py",
    "tests/workers/cli/test_chaos.py",
    "tests/workers/cli/test_market.py",
    "tests/workers/test_up_two_shards.py",
    "tests/workers/test_fuzz_run.py",
    "tests/workflows/",
    "tests/chaos/",
    "tests/workers/",
    "tests/api/",
)
_QUEUES = ("transfer", "timer", "visibility")
_SERVER_FIXTURES = {"servers", "postgres_url", "redis_url", "temporal", "chain_url"}


def pytest_configure(config: pytest.Config) -> None:
    """Set Hypothesis up before any test is imported, and collect no garbage meanwhile."""
    load_profile(config.getoption("markexpr"))
    gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave what was imported and collected alone: it stays, and a walk over it takes a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # most of what tests leave is not garbage
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Leave everything alone until Python ends: pytest would walk over it five times."""
    gc.freeze()
    atexit.register(gc.unfreeze)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let one process have all the tests that share the running exchange (`--dist loadfile`)."""
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.scheduling import Scheduling

    return Scheduling(config, log)


def pytest_report_header() -> str:
    """Say whether the tests on recorded data run."""
    return recorded.report()


@pytest.hookimpl(tryfirst=True)  # before the marks are used to choose tests
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test that needs a server or starts a process; leave out what has no data here."""
    if recorded.folder() is None:
        absent = [item for item in items if item.get_closest_marker("recorded")]
        config.hook.pytest_deselected(items=absent)
        items[:] = [item for item in items if item not in absent]
    for item in items:
        by_fixture = _SERVER_FIXTURES & set(getattr(item, "fixturenames", ()))
        if by_fixture or item.nodeid.startswith(_PROCESS_TESTS):
            item.add_marker(pytest.mark.servers)
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Return when an item's file is begun; the order within a file stays."""
    places = (n for n, path in enumerate(_LONG_FILES) if item.nodeid.startswith(path))
    return next(places, len(_LONG_FILES))


class QuickTemporal(TemporalServer):
    """Deletes a run at once: usually that waits until queues are acknowledged, twice a minute."""

    def command(self) -> list[str]:
        """Return the server's command line."""
        quick = (f'history.{name}ProcessorUpdateAckInterval="500ms"' for name in _QUEUES)
        return [
            *super().command(),
            *(part for value in quick for part in ("--dynamic-config-value", value)),
        ]


class Servers:
    """The servers of this test process; reading a property starts what it needs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[EmbeddedServer] = []
        self._numbers = itertools.count(1)

    @cached_property
    def postgres(self) -> PostgresServer:
        """Return PostgreSQL with a migrated template database."""
        server = PostgresServer(
            self._folder / "postgres",
            self._folder / "postgres.log",
            own_port(),
            password_path=self._folder / "postgres-password",
            settings=_FAST_POSTGRES,
        )
        self._start(server)
        server.create_database(_TEMPLATE)
        upgrade(server.database_url(_TEMPLATE))
        return server

    @cached_property
    def redis_url(self) -> str:
        """Return the URL of Valkey."""
        return self._start(
            ValkeyServer(self._folder / "valkey", self._folder / "valkey.log", own_port())
        )

    @cached_property
    def temporal(self) -> str:
        """Return the address of a Temporal server without UI."""
        return self._start(self._temporal_in("temporal"))

    @property
    def temporal_folder(self) -> Path:
        """Return where that server keeps what it is told."""
        return self._folder / "temporal"

    def new_database(self) -> str:
        """Create an empty migrated database and return its name."""
        name = f"test_{next(self._numbers)}"
        self.postgres.create_database(name, template=_TEMPLATE)
        return name

    def new_chain(self) -> ChainServer:
        """Start a chain of its own: a block a second, and one for each transaction at once."""
        number = next(self._numbers)
        server = ChainServer(
            self._folder / f"chain-{number}",
            self._folder / f"chain-{number}.log",
            own_port(),
            also_at_once=True,
            persistent=False,
        )
        self._start(server)
        return server

    def new_temporal(self) -> TemporalServer:
        """Start a Temporal of its own, for a test that stops it."""
        number = next(self._numbers)
        server = self._temporal_in(f"temporal-{number}")
        self._start(server)
        return server

    def _temporal_in(self, name: str) -> TemporalServer:
        return QuickTemporal(
            self._folder / name,
            self._folder / f"{name}.log",
            own_port(),
            http_port=own_port(),
            metrics_port=own_port(),
            search_attributes=SEARCH_ATTRIBUTES,
        )

    def stop(self) -> None:
        """End all that was started."""
        for server in reversed(self._started):
            server.kill()

    def _start(self, server: EmbeddedServer) -> str:
        self._started.append(server)
        server.start()
        return server.url


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Give the lazily started servers of this test process."""
    found = Servers(tmp_path_factory.mktemp("servers"))
    yield found
    found.stop()


@pytest.fixture(scope="session")
def postgres_url(servers: Servers) -> str:
    """Give the URL of one migrated database that all tests of this process share."""
    return servers.postgres.database_url(servers.new_database())


@pytest.fixture
def fresh_database(servers: Servers) -> Iterator[str]:
    """Give the URL of a migrated database that only this test sees."""
    name = servers.new_database()
    yield servers.postgres.database_url(name)
    servers.postgres.drop_database(name)


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """Give the URL of an emptied Valkey."""
    host, port = servers.redis_url.removeprefix("redis://").split("/")[0].split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(16) == b"+OK\r\n"
    return servers.redis_url


@pytest.fixture(scope="session")
def temporal(servers: Servers) -> str:
    """Give the address (host:port) of a Temporal server with our namespace and attributes."""
    return servers.temporal


@pytest.fixture
def chain_url(servers: Servers) -> Iterator[str]:
    """Give the URL of a fresh chain that only this test sees."""
    server = servers.new_chain()
    yield server.url
    server.kill()
