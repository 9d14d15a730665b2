"""What staff has looked at and done behind the login, in the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.hash_chain import JsonValue
from infra.postgres.audit_store import AuditStore


class StaffRecords:
    """Appends to the audit log; `ConnectionError` when that is impossible."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def append(
        self, name: str, subject: str, action: str, detail: Mapping[str, JsonValue]
    ) -> None:
        """Write down that `name` did `action` about `subject`."""
        try:
            async with self._engine.begin() as connection:
                await AuditStore().append(
                    connection, subject, f"staff:{name}", action, f"staff:{uuid4()}", detail
                )
        except (SQLAlchemyError, OSError) as error:
            raise ConnectionError(f"the audit log is away: {error}") from error
