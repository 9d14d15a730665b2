"""Servers for a measurement: the product's own, with its own settings, in a folder that goes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.embedded.ports import own_port
from infra.embedded.postgres import PostgresServer
from infra.embedded.temporal import TemporalServer
from infra.postgres.migrate import upgrade
from infra.temporal.search_attributes import SEARCH_ATTRIBUTES
from workers.stack import POSTGRES_SETTINGS


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="rialto-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL may run as another user
        yield Path(folder)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Give the URL of a migrated database that syncs its log at each commit."""
    server = PostgresServer(
        folder / "postgres",
        folder / "postgres.log",
        own_port(),
        password_path=folder / "postgres-password",
        settings=POSTGRES_SETTINGS,
    )
    server.start()
    try:
        upgrade(server.url)
        yield server.url
    finally:
        server.stop()


@contextmanager
def temporal(folder: Path) -> Iterator[str]:
    """Give the address of a Temporal server with our namespace and attributes."""
    server = TemporalServer(
        folder / "temporal",
        folder / "temporal.log",
        own_port(),
        http_port=own_port(),
        metrics_port=own_port(),
        search_attributes=SEARCH_ATTRIBUTES,
    )
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
