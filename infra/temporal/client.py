"""Connection to the Temporal server, the same for every process."""

from __future__ import annotations

from pathlib import Path

from temporalio.client import Client

from infra.settings import Settings
from infra.temporal.data_converter import data_converter
from infra.temporal.payload_keys import PayloadKeys, ensure_payload_keys


async def connect(settings: Settings, keys_path: Path | None = None) -> Client:
    """Return a client of the exchange's namespace; raises `RuntimeError` when unreachable.

    Payloads are sealed with the ring of `keys_path`, or with the settings' one, which is made when
    it is missing; `PayloadKeysError` (a `RuntimeError`) when it cannot be read.
    """
    if keys_path is None:
        keys_path = settings.payload_keys_path
        ensure_payload_keys(keys_path)
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=data_converter(PayloadKeys(keys_path)),
    )
