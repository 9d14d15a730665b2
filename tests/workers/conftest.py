"""The wallet's rig, for the processes and verbs that work on it."""

from tests.workflows.conftest import quiet_rig, rig, wallet_servers

__all__ = ["quiet_rig", "rig", "wallet_servers"]
