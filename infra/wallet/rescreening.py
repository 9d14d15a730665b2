"""Looking again: every open withdrawal and every listed address, when a list has changed.

What is open and blocked is not paid in any case, since it is screened once more right before its
nonce; this tells staff at once, and about addresses that nobody pays just now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.screening import RESCREENED, SANCTIONS, Screening, ScreeningResult, Verdict
from domain.withdrawal import CANCELLABLE_STATES, withdrawal_workflow_id
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.wallet.screening import Screener, ask_all


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer that is not clear; `subject` is the withdrawal, or the customer of the list."""

    subject: str
    customer_id: int
    address: str
    screener: str
    result: ScreeningResult


@dataclass(frozen=True, slots=True)
class Rescreening:
    """How much was looked at, and what was found."""

    withdrawals: int
    addresses: int
    findings: tuple[Finding, ...]


async def rescreen(
    engine: AsyncEngine, audit: AuditStore, screeners: Mapping[str, Screener], actor: str
) -> Rescreening:
    """Ask about everything that is open or listed; each finding is a record of the audit log.

    Raises `ScreeningAwayError` when somebody does not answer: then nothing was written.
    """
    async with engine.connect() as connection:
        open_ones = await _open_withdrawals(connection)
        listed = await _listed_addresses(connection)
    findings: list[Finding] = []
    for asked in open_ones:
        findings += _findings(asked, await ask_all(screeners, asked))
    about_addresses = {SANCTIONS: screeners[SANCTIONS]}  # a receiver's name belongs to a payment
    for asked in listed:
        findings += _findings(asked, await ask_all(about_addresses, asked))
    async with engine.begin() as connection:
        for found in findings:
            await audit.append(
                connection,
                found.subject,
                actor,
                RESCREENED,
                f"{RESCREENED}:{uuid4()}",
                {"address": found.address, "by": found.screener, **found.result.as_json()},
            )
    return Rescreening(len(open_ones), len(listed), tuple(findings))


def _findings(asked: Screening, results: Mapping[str, ScreeningResult]) -> list[Finding]:
    return [
        Finding(asked.subject, asked.customer_id, asked.address, name, result)
        for name, result in results.items()
        if result.verdict is not Verdict.CLEAR
    ]


async def _open_withdrawals(connection: AsyncConnection) -> list[Screening]:
    """Return withdrawals that can still be stopped: those without a nonce."""
    row, asset, listed = tables.withdrawal.c, tables.asset.c, tables.withdrawal_address
    query = (
        sa.select(
            row.withdrawal_id,
            row.customer_id,
            row.amount,
            row.value_cents,
            row.address,
            asset.code,
            asset.chain,
            sa.func.coalesce(listed.c.beneficiary, "").label("beneficiary"),
            sa.func.coalesce(listed.c.institution, "").label("institution"),
        )
        .select_from(
            tables.withdrawal.join(tables.asset).outerjoin(
                listed,
                sa.and_(
                    listed.c.customer_id == row.customer_id,
                    listed.c.chain == asset.chain,
                    listed.c.address == row.address,
                ),
            )
        )
        .where(row.state.in_(sorted(CANCELLABLE_STATES)))
        .order_by(row.withdrawal_id)
    )
    return [
        Screening(
            subject=withdrawal_workflow_id(str(one.withdrawal_id)),
            customer_id=one.customer_id,
            asset=one.code,
            amount=int(one.amount),
            value_cents=None if one.value_cents is None else int(one.value_cents),
            chain=one.chain,
            address=one.address,
            beneficiary=one.beneficiary,
            institution=one.institution,
        )
        for one in await connection.execute(query)
    ]


async def _listed_addresses(connection: AsyncConnection) -> list[Screening]:
    row = tables.withdrawal_address.c
    query = sa.select(tables.withdrawal_address).order_by(row.customer_id, row.chain, row.address)
    return [
        Screening(
            subject=f"customer-{one.customer_id}",
            customer_id=one.customer_id,
            asset="",
            amount=0,
            value_cents=0,
            chain=one.chain,
            address=one.address,
            beneficiary=one.beneficiary,
            institution=one.institution,
        )
        for one in await connection.execute(query)
    ]
