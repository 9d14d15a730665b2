"""Withdrawals that wait for somebody of the staff, with all that a decider must know of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.approval import Decision
from domain.withdrawal import (
    FINAL_STATES,
    Withdrawal,
    WithdrawalState,
    withdrawal_workflow_id,
)
from infra.postgres import tables
from infra.postgres.reading import reading
from infra.wallet.withdrawal_row import JOINED, withdrawal_of

PARKED = "parked"  # audit action: a step cannot go on; its `text` says why
_MOST = 500
_w, _address, _customer = tables.withdrawal.c, tables.withdrawal_address.c, tables.customer.c
_WAITS = sa.and_(
    _w.state.not_in(sorted(FINAL_STATES)),  # what is read is the index of the open ones
    sa.or_(
        sa.and_(
            _w.state == WithdrawalState.SCREENED, _w.stage.in_(("approval", "approval-overdue"))
        ),
        _w.stage.startswith("failed:"),
    ),
)
_QUERY = (
    JOINED.add_columns(_customer.name, _customer.tier, _address.beneficiary, _address.institution)
    .outerjoin(
        tables.withdrawal_address,
        sa.and_(
            _address.customer_id == _w.customer_id,
            _address.chain == tables.asset.c.chain,
            _address.address == _w.address,
        ),
    )
    .where(_WAITS)
    .order_by(_w.created_at)
    .limit(_MOST)
)


@dataclass(frozen=True, slots=True)
class WaitingWithdrawal:
    """A withdrawal with its customer, whom its address belongs to, and what was decided so far.

    `screened` is the policy's record in the audit log, {} without one; `parked` the text of the
    last parking, "" where it is not parked.
    """

    withdrawal: Withdrawal
    customer: str
    tier: str
    beneficiary: str
    institution: str
    decisions: Sequence[Decision]
    screened: Mapping[str, Any]
    parked: str


async def waiting_withdrawals(engine: AsyncEngine) -> list[WaitingWithdrawal]:
    """Return the withdrawals that wait for officers or are parked, the oldest 500 of them."""
    async with reading(engine) as connection:
        rows = (await connection.execute(_QUERY)).all()
        ids = [row.withdrawal_id for row in rows]
        decisions = await _decisions(connection, ids)
        records = await _records(connection, [withdrawal_workflow_id(str(one)) for one in ids])
    found = []
    for row in rows:
        withdrawal = withdrawal_of(row)
        told = records[withdrawal.subject]
        is_parked = withdrawal.stage.startswith("failed:")
        found.append(
            WaitingWithdrawal(
                withdrawal=withdrawal,
                customer=row.name,
                tier=row.tier,
                beneficiary=row.beneficiary or "",
                institution=row.institution or "",
                decisions=decisions[row.withdrawal_id],
                screened=told.get(WithdrawalState.SCREENED, {}),
                parked=str(told.get(PARKED, {}).get("text", "")) if is_parked else "",
            )
        )
    return found


async def _decisions(connection: AsyncConnection, ids: list[Any]) -> dict[Any, list[Decision]]:
    approval = tables.approval.c
    query = (
        sa.select(tables.approval)
        .where(approval.withdrawal_id.in_(ids))
        .order_by(approval.created_at, approval.officer)
    )
    found = defaultdict(list)
    for row in await connection.execute(query):
        decision = Decision(row.officer, row.action, row.statement, bytes(row.signature).hex())
        found[row.withdrawal_id].append(decision)
    return found


async def _records(
    connection: AsyncConnection, subjects: list[str]
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return the newest record of the policy and of a parking, by subject and action."""
    log = tables.audit_log.c
    query = (
        sa.select(log.subject, log.action, log.detail)
        .where(log.subject.in_(subjects), log.action.in_((WithdrawalState.SCREENED, PARKED)))
        .order_by(log.audit_id)
    )
    found: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in await connection.execute(query):
        found[row.subject][row.action] = row.detail
    return found
