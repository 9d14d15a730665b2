"""Opens the compliance file of an exchange, for a verb of the command line."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from infra.compliance_file import ComplianceFile
from infra.postgres.audit_store import AuditStore
from infra.postgres.history_archive import HistoryArchive
from infra.secret_box import SecretBox, history_key_path
from infra.settings import Settings
from infra.temporal.client import connect
from infra.temporal.histories import WorkflowHistories
from infra.wallet import officers
from infra.wallet.pinned_officers import load_pins


def compliance_file(settings: Settings, engine: AsyncEngine) -> ComplianceFile:
    """Return the file over `engine`; Temporal is asked only where something has to be compared."""

    async def server() -> WorkflowHistories | None:
        try:
            return WorkflowHistories(await connect(settings))
        except RuntimeError:  # the SDK's word for "unreachable"
            return None

    box = SecretBox.from_file(history_key_path(settings.secrets_dir))
    return ComplianceFile(
        engine,
        HistoryArchive(engine, AuditStore(), box),
        server,
        lambda: load_pins(officers.pinned_path(settings.data_dir)),
    )
