"""The wallet's rig and the API's exchange, for the processes and verbs that work on them."""

from tests.api.conftest import exchange, running
from tests.workflows.conftest import quiet_rig, rig, wallet_servers

__all__ = ["exchange", "quiet_rig", "rig", "running", "wallet_servers"]
