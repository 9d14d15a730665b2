"""The pause as a row: what the gate before each nonce asks; each method is one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.payment_pause import PAUSE, RESUME, PauseState, PaymentPause
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.reading import reading, writing

_SUBJECT = "hot-wallet"
_r = tables.payment_pause.c


def _pause(row: Any) -> tuple[PaymentPause, dict[str, str]]:
    found = PaymentPause(str(row.pause_id), row.officer, row.reason, row.at)
    return found, dict(row.signatures)


class PauseStore:
    """Begins and ends pauses, with their records in the audit log."""

    def __init__(self, engine: AsyncEngine, audit: AuditStore) -> None:
        self._engine = engine
        self._audit = audit

    async def in_force(self) -> tuple[PaymentPause, dict[str, str]] | None:
        """Return the oldest pause in force with the signatures to resume; None when none is."""
        query = (
            sa.select(tables.payment_pause)
            .where(_r.state == PauseState.IN_FORCE)
            .order_by(_r.created_at)
            .limit(1)
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _pause(row)

    async def begin(self, pause: PaymentPause, signature: str) -> None:
        """Write a pause down; it is in force from here on."""
        async with writing(self._engine) as connection:
            await connection.execute(
                sa.insert(tables.payment_pause).values(
                    pause_id=UUID(pause.pause_id),
                    officer=pause.officer,
                    reason=pause.reason,
                    at=pause.at,
                    signature=signature,
                    state=PauseState.IN_FORCE,
                )
            )
            await self._audit.append(
                connection,
                _SUBJECT,
                f"officer:{pause.officer}",
                PAUSE,
                f"{PAUSE}:{pause.pause_id}",
                {"statement": pause.statement(), "signature": signature},
            )

    async def resume(
        self, pause: PaymentPause, signatures: Mapping[str, str], by: str, *, ended: bool
    ) -> None:
        """Store the signatures to resume, of which `by` gave the newest; end it if they suffice."""
        state = PauseState.ENDED if ended else PauseState.IN_FORCE
        async with writing(self._engine) as connection:
            await connection.execute(
                sa.update(tables.payment_pause)
                .where(_r.pause_id == UUID(pause.pause_id))
                .values(signatures=dict(signatures), state=state)
            )
            await self._audit.append(
                connection,
                _SUBJECT,
                f"officer:{by}",
                RESUME,
                f"{RESUME}:{pause.pause_id}:{signatures[by]}",
                {"statement": pause.resumption(), "signature": signatures[by], "ended": ended},
            )
