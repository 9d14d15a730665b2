"""The demo's staff at work: an officer signs what waits for approval, an operator retries."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.approval import APPROVE
from domain.withdrawal import WithdrawalState
from infra.postgres import tables
from infra.settings import Settings
from infra.wallet.officers import DEMO_OFFICERS
from workers import officer_desk as desk


class Staff:
    """Moves withdrawals on through the same updates that people use."""

    def __init__(self, settings: Settings, database: AsyncEngine) -> None:
        self._settings = settings
        self._database = database
        self.approved: list[str] = []
        self.retried: list[str] = []

    async def move_on(self) -> None:
        """Approve each withdrawal that waits for it and retry each that is parked.

        One that has just left that stage refuses; the next look tells.
        """
        table = tables.withdrawal
        query = sa.select(table.c.withdrawal_id, table.c.state, table.c.stage)
        async with self._database.connect() as connection:
            rows = (await connection.execute(query)).all()
        for row in rows:
            name = str(row.withdrawal_id)
            waits = row.state == WithdrawalState.SCREENED and row.stage == "approval"
            try:
                if waits and name not in self.approved:
                    statement = await desk.statement_for(self._settings, name, APPROVE)
                    await desk.decide(self._settings, DEMO_OFFICERS[0], statement)
                    self.approved.append(name)
                elif row.stage.startswith("failed:"):
                    await desk.retry(self._settings, name, "the hot wallet was refilled")
                    self.retried.append(name)
            except desk.DeskError:
                continue
