"""The wallet's rig, the API's exchange and a database, for the processes and verbs on them."""

from tests.api.conftest import exchange, pytest_runtest_teardown, running
from tests.infra.postgres.conftest import database
from tests.workflows.conftest import quiet_rig, rig, wallet_servers

__all__ = [
    "database",
    "exchange",
    "pytest_runtest_teardown",
    "quiet_rig",
    "rig",
    "running",
    "wallet_servers",
]
