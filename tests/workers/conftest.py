"""The wallet's rig and the API's exchange, for the processes and verbs that work on them."""

from tests.api.conftest import exchange, pytest_runtest_teardown, running
from tests.workflows.conftest import quiet_rig, rig, wallet_servers

__all__ = [
    "exchange",
    "pytest_runtest_teardown",
    "quiet_rig",
    "rig",
    "running",
    "wallet_servers",
]
