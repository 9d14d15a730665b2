"""Carries out what staff decides on the console, by the same updates as the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from api.staff.shapes import CustomerFile, Done, Refused
from domain.approval import DECISIONS, VOID, Decision
from domain.customer import Standing
from domain.deposit import is_deposit_id
from domain.wallet_record import WithdrawalFilter
from domain.withdrawal_story import FILE_READ
from infra.compliance_file import ComplianceFile
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_file import CustomerFileStore
from infra.settings import Settings
from workers import adjust_desk, market_desk, officer_desk, standing_desk, suspense_desk
from workers.officer_desk import DeskError
from workers.signing_desk import hand_over
from workers.staff_work import reaching

_SHOWN = 20  # of a customer's withdrawals
_NOBODY = Refused("nothing here is called so, or takes this decision")


class StaffDesk:
    """Hands decisions over; it has no key, and signs nothing."""

    def __init__(self, settings: Settings, database: AsyncEngine) -> None:
        self._settings = settings
        self._database = database

    async def decide(self, workflow_id: str, decision: Decision) -> Done | Refused:
        """Hand an officer's signed decision over to the workflow that it is about."""
        async with reaching():
            try:
                return await self._decide(workflow_id, decision)
            except DeskError as error:
                return Refused(str(error))

    async def _decide(self, workflow_id: str, decision: Decision) -> Done | Refused:
        kind, name = _parts(workflow_id)
        is_of_withdrawal = decision.action in DECISIONS
        if (kind == "withdrawal") != is_of_withdrawal:
            return _NOBODY
        if is_of_withdrawal:
            result = await officer_desk.deliver(self._settings, workflow_id, decision)
            what = "signatures" if decision.action == VOID else "approvals"
            counted = f"{result.approvals} of {result.approvals_needed} {what}"
            return Done(f"recorded: {counted}, state {result.state}")
        if kind == "adjustment":
            adjustment = await adjust_desk.load(self._database, name)
            count = await adjust_desk.deliver(self._settings, adjustment, decision)
        elif kind == "market-change":
            change, _ = await market_desk.load(self._database, name)
            count, _ = await market_desk.deliver(self._database, self._settings, change, decision)
        elif kind == "liquidation":
            count = await hand_over(self._settings, workflow_id, decision)
        else:
            return _NOBODY
        return Done(f"recorded: {count} of 2 signatures")

    async def retry(self, workflow_id: str, by: str, reason: str) -> Done | Refused:
        """Try a parked step again; the workflow is called by its whole id, as records call it."""
        if officer_desk.workflow_id_of(workflow_id) != workflow_id:
            return _NOBODY
        async with reaching():
            try:
                stage = await officer_desk.retry(self._settings, workflow_id, reason, by)
            except DeskError as error:
                return Refused(str(error))
        return Done(f"goes on at {stage or 'once'}")

    async def abandon(self, workflow_id: str, by: str, reason: str) -> Done | Refused:
        """Give a change of a market up."""
        kind, name = _parts(workflow_id)
        if kind != "market-change":
            return _NOBODY
        async with reaching():
            try:
                change, _ = await market_desk.load(self._database, name)
                state = await market_desk.abandon(self._settings, change, reason, by)
            except DeskError as error:
                return Refused(str(error))
        return Done(f"the change is {state}")

    async def propose_release(
        self, deposit_id: str, customer: str, by: str, reason: str
    ) -> Done | Refused:
        """Propose to release a deposit in suspense to a customer, by name."""
        if not is_deposit_id(deposit_id):
            return _NOBODY
        async with reaching():
            try:
                made = await suspense_desk.propose_release(
                    self._database, self._settings, deposit_id, customer, reason, by
                )
            except DeskError as error:
                return Refused(str(error))
        return Done(f"proposed: {made.adjustment_id}; two officers must sign it")

    async def propose_return(self, deposit_id: str, by: str, reason: str) -> Done | Refused:
        """Propose to pay a deposit in suspense back to its sender."""
        if not is_deposit_id(deposit_id):
            return _NOBODY
        async with reaching():
            try:
                made = await suspense_desk.propose_return(
                    self._database, self._settings, deposit_id, reason, by
                )
            except DeskError as error:
                return Refused(str(error))
        return Done(f"proposed: {made.adjustment_id}; two officers must sign it")


class StaffFiles:
    """Customers' files for the console; each look is on record before anything is read."""

    def __init__(self, settings: Settings, database: AsyncEngine, file: ComplianceFile) -> None:
        self._settings = settings
        self._database = database
        self._file = file
        self._store = CustomerFileStore(database, AuditStore())

    async def story(self, withdrawal_id: UUID, reader: str) -> Mapping[str, Any] | None:
        """Return the story of a withdrawal for JSON; None when the log knows none."""
        async with reaching():
            return await self._file.withdrawal(withdrawal_id, reader)

    async def customer(self, who: str, reader: str) -> CustomerFile | None:
        """Return the file of a customer, by name or number."""
        row = tables.customer.c
        is_meant = row.name == who
        if who.isascii() and who.isdigit() and len(who) <= 18:
            is_meant = sa.or_(is_meant, row.customer_id == int(who))
        async with reaching():
            async with self._database.connect() as connection:
                query = sa.select(tables.customer).where(is_meant)
                found = (await connection.execute(query.order_by(row.name != who))).first()
            if found is None:
                return None
            subject = f"customer-{found.customer_id}"
            await self._note_read(subject, reader)
            records = await self._file.told(subject)
            latest = await self._file.withdrawals(
                WithdrawalFilter(customer_id=found.customer_id), None, _SHOWN
            )
        return CustomerFile(
            customer_id=found.customer_id,
            name=found.name,
            kind=found.kind,
            standing=found.status,
            tier=found.tier,
            since=found.created_at.isoformat(timespec="seconds"),
            withdrawals=[
                {**asdict(one), "withdrawal_id": str(one.withdrawal_id)} for one in latest
            ],
            records=records,
        )

    async def _note_read(self, subject: str, reader: str) -> None:
        """Write down the look, also at a customer about whom there is no record yet."""
        async with self._database.begin() as connection:
            key = f"{FILE_READ}:{uuid4()}"
            await AuditStore().append(
                connection, subject, reader, FILE_READ, key, {"by": "console"}
            )

    async def set_standing(
        self, customer_id: int, standing: Standing, by: str, reason: str
    ) -> Done | Refused:
        """Say what the customer may do; whoever may trade no more has his orders cancelled."""
        async with reaching():
            try:
                changed = await standing_desk.set_standing(
                    self._database, self._settings, customer_id, standing, f"staff:{by}", reason
                )
            except LookupError as error:
                return Refused(str(error))
            except standing_desk.OrdersNotCancelledError as error:
                return Refused(str(error))
        return Done(f"{standing}" if changed else f"{standing} already")

    async def note(self, customer_id: int, by: str, text: str) -> Done | Refused:
        """Append a case note."""
        async with reaching():
            try:
                await self._store.note(customer_id, f"staff:{by}", text)
            except LookupError as error:
                return Refused(str(error))
        return Done("noted")


def _parts(workflow_id: str) -> tuple[str, str]:
    """Return (kind, the rest) of a workflow's id; ("", "") of a kind that takes no decision."""
    for kind in ("withdrawal", "adjustment", "market-change", "liquidation"):
        if workflow_id.startswith(f"{kind}-"):
            return kind, workflow_id.removeprefix(f"{kind}-")
    return "", ""
