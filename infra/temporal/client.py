"""Connection to the Temporal server, the same for every process."""

from __future__ import annotations

from temporalio.client import Client

from infra.settings import Settings
from infra.temporal.data_converter import data_converter


async def connect(settings: Settings) -> Client:
    """Return a client of the exchange's namespace; raises `RuntimeError` when unreachable."""
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=data_converter(),
    )
