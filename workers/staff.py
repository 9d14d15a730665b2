"""The demo's staff at work: an officer signs what waits for approval, an operator retries."""

from __future__ import annotations

import time

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError

from domain.approval import APPROVE, Statement
from domain.withdrawal import WithdrawalState, withdrawal_workflow_id
from infra.postgres import tables
from infra.settings import Settings
from infra.temporal.client import connect
from infra.wallet import officers
from workflows.parking import RetryRequest, RetryResult
from workflows.withdrawal_messages import DecisionResult

_APPROVAL_SECONDS = 3600


class Staff:
    """Moves withdrawals on through the same updates that people use."""

    def __init__(self, settings: Settings, client: Client, database: AsyncEngine) -> None:
        self._settings = settings
        self._client = client
        self._database = database
        self.approved: list[str] = []
        self.retried: list[str] = []

    @staticmethod
    async def at(settings: Settings, database: AsyncEngine) -> Staff:
        """Return the staff of an exchange."""
        return Staff(settings, await connect(settings), database)

    async def move_on(self) -> None:
        """Approve each withdrawal that waits for it and retry each that is parked."""
        table = tables.withdrawal
        query = sa.select(
            table.c.withdrawal_id, table.c.state, table.c.stage, table.c.amount, table.c.address,
            tables.asset.c.code,
        ).join_from(table, tables.asset)  # fmt: skip
        async with self._database.connect() as connection:
            rows = (await connection.execute(query)).all()
        for row in rows:
            name = str(row.withdrawal_id)
            waits = row.state == WithdrawalState.SCREENED and row.stage == "approval"
            if waits and name not in self.approved:
                await self._approve(name, row.code, int(row.amount), row.address)
            elif row.stage.startswith("failed:"):
                await self._retry(name)

    async def _approve(self, name: str, asset: str, amount: int, address: str) -> None:
        officer = officers.DEMO_OFFICERS[0]
        key = officers.load_private_key(officers.private_key_path(self._settings.data_dir, officer))
        statement = Statement(
            withdrawal_id=name,
            action=APPROVE,
            asset=asset,
            amount=amount,
            address=address,
            expiry=int(time.time()) + _APPROVAL_SECONDS,
        )
        decision = officers.sign_statement(key, officer, statement)
        handle = self._client.get_workflow_handle(withdrawal_workflow_id(name))
        try:
            await handle.execute_update("approve", decision, result_type=DecisionResult)
        except (WorkflowUpdateFailedError, RPCError):
            return  # it is not at that stage any more, or not yet: the next look tells
        self.approved.append(name)

    async def _retry(self, name: str) -> None:
        handle = self._client.get_workflow_handle(withdrawal_workflow_id(name))
        request = RetryRequest(by="operator", reason="the hot wallet was refilled")
        try:
            await handle.execute_update("retry", request, result_type=RetryResult)
        except (WorkflowUpdateFailedError, RPCError):
            return
        self.retried.append(name)
