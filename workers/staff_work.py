"""What waits for the staff, as the console shows it: rows, workflows, money in suspense."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import sqlalchemy as sa
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import (
    Client,
    WorkflowQueryFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError

from activities.officer_check import OfficerCheck
from activities.withdrawal_review import counted
from api.staff.shapes import (
    Link,
    ParkedWork,
    ProposedWork,
    Screened,
    StoppedPayments,
    SuspenseItem,
    WithdrawalWork,
)
from domain.adjustment import Adjustment, adjustment_workflow_id
from domain.approval import APPROVE, VOID
from domain.decision_choices import (
    abandoning_choice,
    release_choice,
    retry_choice,
    return_choice,
    signing_choice,
    withdrawal_choices,
)
from domain.market_change import MarketChange, market_change_workflow_id
from domain.money import text_from_units
from domain.shortfall import Shortfall
from domain.withdrawal import WITHDRAWAL_WORKFLOW, withdrawal_workflow_id
from infra.postgres import tables
from infra.postgres.usd_price import usd_price
from infra.postgres.waiting_withdrawals import WaitingWithdrawal, waiting_withdrawals
from infra.settings import Settings
from infra.temporal.client import connect
from infra.wallet.officers import pinned_path, verify_ed25519
from infra.wallet.pinned_officers import PinnedOfficers
from workers import adjust_desk, market_desk, officer_desk, suspense_desk
from workers.wallet_queries import ANY_PARKED, named_links
from workers.wallet_wiring import payment_gate
from workflows.operations import what_to_do
from workflows.withdrawal import APPROVAL_DEADLINE

_QUERY_SECONDS = dt.timedelta(seconds=3)
_MOST_ASKED = 50  # parked workflows that are asked for their own words
_LONGEST_SECONDS = 20
_RUNBOOKS = {
    "SettlementWorkflow": "settlement-parked",
    "LiquidationWorkflow": "liquidation-parked",
    "AutoDeleveragingWorkflow": "liquidation-parked",
    "UnwindWorkflow": "liquidation-parked",
    "FinalSettlementWorkflow": "liquidation-parked",
    "MarketChangeWorkflow": "market-listing",
}
log = structlog.get_logger(__name__)
GATE, SIGNER = "The gate before each nonce", "The signer"
_SHORTFALL_STAGE = "failed:shortfall"


@asynccontextmanager
async def reaching() -> AsyncIterator[None]:
    """Say `ConnectionError` where a server is away, `TimeoutError` where one is late.

    What was handed over to one that is late may still happen.
    """
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            yield
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:  # the SDK's word for our cancelling
        raise TimeoutError("the workflow has not answered yet") from error
    except TimeoutError:
        raise
    except (SQLAlchemyError, RPCError, RedisError, RuntimeError, OSError) as error:
        log.warning("the console does not reach a server", kind=type(error).__name__)
        raise ConnectionError(f"not reachable: {error}") from error


class StaffWork:
    """Reads what waits, anew each time: several members of the staff decide beside each other."""

    def __init__(
        self, settings: Settings, database: AsyncEngine, redis: Redis | None = None
    ) -> None:
        self._settings = settings
        self._redis = redis  # where processes tell how they are; None: nothing is known of them
        self._database = database
        self._officers = OfficerCheck(
            PinnedOfficers(pinned_path(settings.data_dir)),
            verify_ed25519,
            lambda: dt.datetime.now(dt.UTC),
        )
        self._client: Client | None = None

    def links(self) -> Sequence[Link]:
        """Return the named searches in Temporal's UI, as of now."""
        path = f"/namespaces/{self._settings.temporal_namespace}/workflows"
        return [Link(*found) for found in named_links(path, dt.datetime.now(dt.UTC))]

    async def stopped(self) -> Sequence[StoppedPayments]:
        """Return what stops payments out: the gate before each nonce, the signer, or both."""
        async with reaching():
            gate = payment_gate(self._database, self._settings.reconciliation_policy)
            by_gate = await gate()
            beat = await self._redis.get("process:wallet-signer") if self._redis else None
        attention = json.loads(beat)["detail"].get("attention", {}) if beat else {}
        told = {GATE: by_gate, SIGNER: str(attention.get("wallet", ""))}
        return [StoppedPayments(by, reason) for by, reason in told.items() if reason]

    async def withdrawals(self) -> Sequence[WithdrawalWork]:
        """Return the withdrawals that wait for officers or are parked, oldest first."""
        async with reaching():
            found = await waiting_withdrawals(self._database)
        return [self._withdrawal(one) for one in found]

    def _withdrawal(self, one: WaitingWithdrawal) -> WithdrawalWork:
        row = one.withdrawal
        decimals, is_parked = row.asset.chain_decimals, row.stage.startswith("failed:")
        approved, voided = (
            counted(row, action, one.decisions, self._officers) for action in (APPROVE, VOID)
        )
        deadline = "" if row.screened_at is None else _iso(row.screened_at + APPROVAL_DEADLINE)
        return WithdrawalWork(
            withdrawal_id=row.withdrawal_id,
            workflow_id=withdrawal_workflow_id(row.withdrawal_id),
            customer_id=row.customer_id,
            customer=one.customer,
            standing=row.standing,
            tier=one.tier,
            asset=row.asset.code,
            amount=text_from_units(row.amount, decimals),
            amount_units=str(row.amount),
            decimals=decimals,
            fee=text_from_units(row.fee, decimals),
            receives=text_from_units(row.amount - row.fee, decimals),
            value_usd="" if row.value_cents is None else text_from_units(row.value_cents, 2),
            chain=row.chain,
            address=row.address,
            beneficiary=one.beneficiary,
            institution=one.institution,
            state=row.state,
            stage=row.stage,
            requested_at=_iso(row.created_at),
            deadline="" if is_parked else deadline,
            needed=row.approvals_needed,
            approved_by=approved,
            review=row.review or "",
            nonce=row.nonce,
            screened=_screened(one.screened),
            parked=one.parked,
            advice=what_to_do(one.parked.partition(":")[0]) if is_parked else "",
            choices=withdrawal_choices(
                row.state,
                is_parked=is_parked,
                needed=row.approvals_needed,
                approved=len(approved),
                voided=len(voided),
            ),
        )

    # ---- other workflows ----------------------------------------------------------------------

    async def parked(self) -> Sequence[ParkedWork]:
        """Return what else is parked: whatever Temporal shows, except withdrawals."""
        async with reaching():
            found = [
                one
                for one in await officer_desk.open_work(self._settings, ANY_PARKED)
                if one.workflow_type != WITHDRAWAL_WORKFLOW
            ]
            told = await asyncio.gather(*(self._details(one) for one in found[:_MOST_ASKED]))
        told += [("", "")] * (len(found) - len(told))
        return [_parked(one, *said) for one, said in zip(found, told, strict=True)]

    async def _details(self, work: officer_desk.OpenWork) -> tuple[str, str]:
        """Return what a workflow says itself, and the statement that officers may sign about it.

        Both are "" while no worker answers for it.
        """
        self._client = self._client or await connect(self._settings)
        handle = self._client.get_workflow_handle(work.workflow_id)
        try:
            metadata = await handle.query(
                "__temporal_workflow_metadata",
                result_type=WorkflowMetadata,
                rpc_timeout=_QUERY_SECONDS,
            )
            statement = ""
            if work.stage == _SHORTFALL_STAGE:
                statement = str(await handle.query("shortfall", rpc_timeout=_QUERY_SECONDS))
        except (RPCError, WorkflowQueryFailedError):
            return "", ""
        return metadata.current_details, statement

    # ---- money in suspense, proposals ---------------------------------------------------------

    async def suspense(self) -> Sequence[SuspenseItem]:
        """Return the deposits in suspense, oldest first."""
        async with reaching():
            found = await suspense_desk.suspended(self._database)
            names, times, prices = await self._around([row.deposit_id for row in found])
            open_releases = await adjust_desk.store_of(self._database).open()
        items = []
        for row in found:
            amount, decimals = suspense_desk.suspended_amount(row), row.asset.chain_decimals
            price = prices.get(row.asset.code)
            releases = [
                one.adjustment_id for one, _ in open_releases if one.event == row.deposit_id
            ]
            items.append(
                SuspenseItem(
                    deposit_id=row.deposit_id,
                    customer_id=row.customer_id or 0,
                    customer=names.get(row.deposit_id, ""),
                    asset=row.asset.code,
                    amount=text_from_units(amount, decimals),
                    about_usd=None if price is None else _dollars(price * amount / 10**decimals),
                    reason=row.reason or row.state,
                    sender=row.sender,
                    tx_hash=row.tx_hash,
                    seen_at=times[row.deposit_id],
                    proposals=releases,
                    choices=() if releases or row.reversed else (release_choice(), return_choice()),
                )
            )
        return items

    async def _around(
        self, ids: list[str]
    ) -> tuple[dict[str, str], dict[str, str], dict[str, Decimal | None]]:
        """Return customers' names and first sights by deposit, and prices in USD by asset."""
        deposit, customer, asset = tables.deposit.c, tables.customer.c, tables.asset.c
        query = (
            sa.select(deposit.deposit_id, deposit.created_at, customer.name, asset.code)
            .join_from(tables.deposit, tables.asset)
            .outerjoin(tables.customer, customer.customer_id == deposit.customer_id)
            .where(deposit.deposit_id.in_(ids))
        )
        async with self._database.connect() as connection:
            rows = (await connection.execute(query)).all()
            prices = {
                code: await usd_price(connection, code) for code in sorted({it.code for it in rows})
            }
        names = {row.deposit_id: row.name or "" for row in rows}
        return names, {row.deposit_id: _iso(row.created_at) for row in rows}, prices

    async def proposals(self) -> Sequence[ProposedWork]:
        """Return the adjustments and changes of markets that wait for signatures."""
        asset = tables.asset.c
        async with reaching():
            adjustments = await adjust_desk.store_of(self._database).open()
            changes = await market_desk.store_of(self._database).open()
            async with self._database.connect() as connection:
                rows = await connection.execute(sa.select(asset.code, asset.chain_decimals))
                decimals = {row.code: row.chain_decimals for row in rows}
        return [
            *(_adjustment(one, signed, decimals) for one, signed in adjustments),
            *(_change(one, signed) for one, signed in changes),
        ]


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")


def _dollars(value: Decimal) -> int:
    """Return whole dollars for the eye, half to even."""
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def _screened(record: Any) -> Screened | None:
    if not record:
        return None
    return Screened(
        policy_version=int(record.get("policy_version", 0)),
        checks=dict(record.get("checks") or {}),
        screenings=[
            f"{name}: {' '.join(str(found.get(key, '')) for key in ('verdict', 'rule')).strip()}"
            for name, found in (record.get("screenings") or {}).items()
        ],
    )


def _parked(work: officer_desk.OpenWork, details: str, statement: str) -> ParkedWork:
    choices = [retry_choice()]
    if work.stage == _SHORTFALL_STAGE:  # its workflow waits for officers, and takes no retry
        choices = [signing_choice(0, "the liquidation is tried again")] if statement else []
    elif work.workflow_type == "MarketChangeWorkflow":
        choices.append(abandoning_choice())
    return ParkedWork(
        workflow_id=work.workflow_id,
        workflow_type=work.workflow_type,
        stage=work.stage,
        account=work.account,
        asset=work.asset,
        symbol=work.symbol,
        amount=work.amount,
        about_usd=work.about_usd,
        started_at=work.started_at,
        is_paused=work.paused,
        details=details,
        runbook=f"docs/runbooks/{_RUNBOOKS.get(work.workflow_type, 'wallet-parked')}.md",
        action=Shortfall.action if statement else "",
        statement=statement,
        choices=tuple(choices),
    )


def _adjustment(one: Adjustment, signed: dict[str, str], decimals: dict[str, int]) -> ProposedWork:
    lines = [
        f"{text_from_units(p.amount, decimals[p.asset])} {p.asset} from {p.source} to "
        f"{p.destination}"
        for p in one.postings
    ]
    if one.event:
        lines.append(f"about {one.event}")
    if one.address:
        lines.append(f"then paid to {one.address}, from the hot wallet")
    return ProposedWork(
        proposal_id=one.adjustment_id,
        workflow_id=adjustment_workflow_id(one.adjustment_id),
        kind=one.kind,
        action=one.action,
        lines=lines,
        reason=one.reason,
        proposed_by=one.proposed_by,
        signed_by=sorted(signed),
        deadline=_iso(dt.datetime.fromtimestamp(one.expiry, dt.UTC)),
        statement=one.statement(),
        failure="",
        choices=(signing_choice(len(signed), "it is posted, once and for good"),),
    )


def _change(one: MarketChange, signed: dict[str, str]) -> ProposedWork:
    return ProposedWork(
        proposal_id=one.change_id,
        workflow_id=market_change_workflow_id(one.change_id),
        kind=f"market {one.kind}",
        action=one.action,
        lines=[one.summary()],
        reason=one.reason,
        proposed_by=one.proposed_by,
        signed_by=sorted(signed),
        deadline=_iso(dt.datetime.fromtimestamp(one.expiry, dt.UTC)),
        statement=one.statement(),
        failure=one.failure,
        choices=(signing_choice(len(signed), "the engine carries it out"), abandoning_choice()),
    )
