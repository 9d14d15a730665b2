"""Wires the staff's origin: a second port of the gateway, with another application behind it."""

from __future__ import annotations

from contextlib import AsyncExitStack

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp

from api.staff.app import create_staff_app
from api.staff.ports import StaffServices
from infra.postgres.staff_records import StaffRecords
from infra.redis.staff_sessions import StaffSessions
from infra.settings import Settings
from infra.staff_file import StaffDirectory, staff_path
from infra.temporal.codec_json import JsonCodec
from infra.temporal.payload_codec import SealingCodec
from infra.temporal.payload_keys import PayloadKeys, ensure_payload_keys
from infra.temporal.ui_door import UiDoor
from infra.wallet.officers import pinned_path, verify_ed25519
from infra.wallet.pinned_officers import PinnedOfficers
from workers.compliance_desk import compliance_file
from workers.staff_desk import StaffDesk, StaffFiles
from workers.staff_work import StaffWork


def staff_origin(settings: Settings) -> str:
    """Return what browsers call the staff's origin."""
    own = settings.staff_public_url.rstrip("/")
    return own or f"http://{settings.gateway_host}:{settings.staff_port}"


def staff_app(
    settings: Settings, database: AsyncEngine, redis: Redis, stack: AsyncExitStack
) -> ASGIApp:
    """Return the staff's application over the adapters; `stack` closes what it opens."""
    ensure_payload_keys(settings.payload_keys_path)
    door = UiDoor(settings.temporal_ui_upstream)
    stack.push_async_callback(door.close)
    return create_staff_app(
        StaffServices(
            origin=staff_origin(settings),
            directory=StaffDirectory(
                staff_path(settings.secrets_dir), PinnedOfficers(pinned_path(settings.data_dir))
            ),
            sessions=StaffSessions(redis),
            records=StaffRecords(database),
            codec=JsonCodec(SealingCodec(PayloadKeys(settings.payload_keys_path))),
            ui=door,
            verify=verify_ed25519,
            work=StaffWork(settings, database, redis),
            desk=StaffDesk(settings, database),
            files=StaffFiles(settings, database, compliance_file(settings, database)),
            workflows_path=f"/namespaces/{settings.temporal_namespace}/workflows",
        )
    )
