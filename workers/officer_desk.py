"""What staff do with withdrawals, for the command line: list, retry, decide, read the story."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.withdrawal_review import subject_of
from domain.approval import VOID, Decision, Statement
from domain.money import DecimalTextError, text_from_units, units_from_text
from domain.wallet_payment import FROM_HOT
from domain.withdrawal import Withdrawal, withdrawal_workflow_id
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.settings import Settings
from infra.temporal.client import connect
from infra.temporal.runs import Run, list_runs
from infra.wallet import demo, officers
from infra.wallet.keys import load_public
from infra.wallet.payment_store import PaymentStore
from infra.wallet.withdrawal_store import WithdrawalStore
from workers.wallet_queries import ANY_PARKED
from workflows import search_attributes as attributes
from workflows.parking import RetryRequest
from workflows.withdrawal_messages import DecisionResult

DECISION_SECONDS = 24 * 3600
_PAYMENT = "payment-"
_NAMES = {"parked": ANY_PARKED}  # queries that have a name


class DeskError(Exception):
    """The request makes no sense as things are; the message says why."""


class QueryError(DeskError):
    """Temporal does not understand the query."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Which workflows were asked to try again, and which could not be, with the reason."""

    asked: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenWork:
    """One open workflow, as search attributes and its row show it; `paused` in Temporal's UI.

    What it has none of, account, asset, amount, or a market's `symbol`, is "".
    `amount` is exact; `about_usd` is a rough value in whole dollars, for the eye only.
    """

    workflow_id: str
    workflow_type: str
    stage: str
    account: str
    asset: str
    amount: str
    about_usd: int | None
    started_at: str
    paused: bool
    symbol: str = ""


async def open_work(settings: Settings, query: str) -> list[OpenWork]:
    """Return the workflows that `query` finds, paused ones too."""
    client = await connect(settings)
    runs = [run async for run in _found(client, _NAMES.get(query, query))]
    amounts = await _amounts(settings, [run.workflow_id for run in runs])
    found = []
    for run in runs:
        values = run.attributes
        usd = values.get(attributes.NOTIONAL_USD)
        found.append(
            OpenWork(
                workflow_id=run.workflow_id,
                workflow_type=run.workflow_type,
                stage=values.get(attributes.STAGE) or "",
                account=values.get(attributes.ACCOUNT_ID) or "",
                asset=values.get(attributes.ASSET) or "",
                symbol=values.get(attributes.SYMBOL) or "",
                amount=amounts.get(run.workflow_id, ""),
                about_usd=None if usd is None else round(usd),
                started_at=run.started_at,
                paused=run.paused,
            )
        )
    return found


async def _amounts(settings: Settings, names: list[str]) -> dict[str, str]:
    """Return the exact amounts of what is paid, moved and deposited by their workflows' ids."""
    withdrawal, deposit, asset = tables.withdrawal.c, tables.deposit.c, tables.asset.c
    transfer = tables.shard_transfer.c
    queries = (
        _amounts_by("withdrawal-", names, tables.withdrawal, withdrawal.withdrawal_id),
        _amounts_by(_PAYMENT, names, tables.wallet_payment, tables.wallet_payment.c.payment_id),
        _amounts_by("transfer-", names, tables.shard_transfer, transfer.shard_transfer_id),
        sa.select(deposit.deposit_id.label("name"), deposit.amount, asset.chain_decimals)
        .join_from(tables.deposit, tables.asset)
        .where(deposit.deposit_id.in_(names)),
    )
    engine = create(settings.database_url, pool_size=1)
    try:
        async with engine.connect() as connection:
            rows = [row for query in queries for row in await connection.execute(query)]
    finally:
        await engine.dispose()
    return {row.name: text_from_units(int(row.amount), row.chain_decimals) for row in rows}


def _amounts_by(
    prefix: str, names: list[str], table: sa.Table, key: sa.ColumnElement[UUID]
) -> sa.Select[Any]:
    ids = [UUID(name.removeprefix(prefix)) for name in names if name.startswith(prefix)]
    name = sa.literal(prefix) + sa.cast(key, sa.Text)
    return (
        sa.select(name.label("name"), table.c.amount, tables.asset.c.chain_decimals)
        .join_from(table, tables.asset)
        .where(key.in_(ids))
    )


async def _found(client: Client, query: str) -> AsyncIterator[Run]:
    """Yield what a person's query finds; `QueryError` when it is none."""
    try:
        async for run in list_runs(client, query):
            yield run
    except RPCError as error:
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            raise QueryError(f"Temporal does not understand the query: {error}") from error
        raise


def workflow_id_of(name: str) -> str:
    """Return the workflow's id for a withdrawal's id; any other name is a workflow's id already."""
    try:
        return withdrawal_workflow_id(str(UUID(name)))
    except ValueError:
        return name


async def retry(settings: Settings, name: str, reason: str, by: str = "") -> str:
    """Retry one parked workflow, of whatever kind; return the stage that it is in then, if told.

    `by` asks for it; default: who works on this machine.
    """
    handle = (await connect(settings)).get_workflow_handle(workflow_id_of(name))
    request = RetryRequest(by=by or login(), reason=reason)
    try:
        result: Any = await handle.execute_update("retry", request)
    except (WorkflowUpdateFailedError, RPCError) as error:
        raise DeskError(why(error)) from error
    return str(result.get("stage", "")) if isinstance(result, dict) else ""


async def retry_all(settings: Settings, query: str) -> Batch:
    """Signal what `query` finds and is parked; one that cannot be signalled is no obstacle."""
    client = await connect(settings)
    parked = f"({_NAMES.get(query, query)}) AND {ANY_PARKED}"
    names = [run.workflow_id async for run in _found(client, parked)]
    batch = Batch()
    for name in names:
        try:
            await client.get_workflow_handle(name).signal("retry_parked")
        except RPCError as error:
            batch.skipped[name] = why(error)
        else:
            batch.asked.append(name)
    return batch


async def statement_for(settings: Settings, name: str, action: str) -> Statement:
    """Return what an officer is about to sign, from the business row.

    `name` is a withdrawal's id, or `payment-ID` of one of our own, which can only be given up.
    """
    if name.startswith(_PAYMENT):
        return await _void_of_payment(settings, name, action)
    row = await _row(settings, name)
    if action == VOID and row.nonce is None:
        raise DeskError("it has no nonce yet: `rialto reject` gives the amount back")
    return subject_of(row, action).statement(action, int(time.time()) + DECISION_SECONDS)


async def _void_of_payment(settings: Settings, name: str, action: str) -> Statement:
    engine = create(settings.database_url, pool_size=1)
    try:
        store = PaymentStore(engine, LedgerStore(), AuditStore())
        row = await store.load(name.removeprefix(_PAYMENT))
    except ValueError as error:
        raise DeskError(f"not a payment's id: {name}") from error
    finally:
        await engine.dispose()
    if row is None:
        raise DeskError(f"there is no {name}")
    if action != VOID:
        raise DeskError("a payment between our own addresses takes no approval")
    if row.kind not in FROM_HOT or row.nonce is None:
        raise DeskError("only what has a nonce of the hot wallet can be given up")
    return row.void_subject.statement(action, int(time.time()) + DECISION_SECONDS)


async def _row(settings: Settings, name: str) -> Withdrawal:
    engine = create(settings.database_url, pool_size=1)
    try:
        store = WithdrawalStore(engine, LedgerStore(), AuditStore())
        row = await store.load(name.removeprefix("withdrawal-"))
    except ValueError as error:
        raise DeskError(f"not a withdrawal's id: {name}") from error
    finally:
        await engine.dispose()
    if row is None:
        raise DeskError(f"there is no withdrawal {name}")
    return row


async def decide(
    settings: Settings, officer: str, statement: Statement, name: str = ""
) -> DecisionResult:
    """Sign `statement` with the officer's key and hand it to the workflow.

    That of `name`, as `statement_for` knows it; without one, the withdrawal's.
    """
    workflow_id = workflow_id_of(name or statement.withdrawal_id)
    path = officers.private_key_path(settings.data_dir, officer)
    if not path.exists():
        raise DeskError(f"there is no key of an officer {officer!r} on this machine")
    decision = officers.sign_statement(officers.load_private_key(path), officer, statement)
    try:
        return await deliver(settings, workflow_id, decision)
    except DeskError as error:
        await _note_refusal(settings, officer, statement, str(error), workflow_id)
        raise


async def deliver(settings: Settings, workflow_id: str, decision: Decision) -> DecisionResult:
    """Hand a signed decision to its withdrawal's workflow; `DeskError` says why it is refused."""
    handle = (await connect(settings)).get_workflow_handle(workflow_id)
    try:
        result: DecisionResult = await handle.execute_update(
            decision.action, decision, result_type=DecisionResult
        )
    except (WorkflowUpdateFailedError, RPCError) as error:
        raise DeskError(why(error)) from error
    return result


async def _note_refusal(
    settings: Settings, officer: str, statement: Statement, why: str, subject: str
) -> None:
    """Write down who has tried to decide: a refused update leaves no trace in the workflow."""
    engine = create(settings.database_url, pool_size=1)
    try:
        async with engine.begin() as connection:
            await AuditStore().append(
                connection,
                subject,
                f"staff:{login()}",
                f"{statement.action}_refused",
                f"refused:{uuid4()}",
                {"officer": officer, "statement": statement.canonical(), "refused": why[:500]},
            )
    finally:
        await engine.dispose()


def login() -> str:
    """Return the name under which this person works on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def why(error: WorkflowUpdateFailedError | RPCError) -> str:
    """Return, for people, why a workflow refused or could not be reached."""
    if isinstance(error, RPCError):
        if error.status is RPCStatusCode.NOT_FOUND:
            return "there is no such running workflow"
        return str(error)
    if isinstance(error.cause, ApplicationError):
        return error.cause.message
    return str(error.cause or error)


async def faucet(settings: Settings, receiver: str, asset: str, amount: str) -> str:
    """Pay demo coins to a customer's deposit address or the hot wallet; return the hash."""
    engine = create(settings.database_url, pool_size=1)
    try:
        async with engine.connect() as connection:
            listed = (
                await connection.execute(
                    sa.select(tables.asset).where(tables.asset.c.code == asset.upper())
                )
            ).one_or_none()
            customer = (
                await connection.execute(
                    sa.select(tables.customer.c.deposit_index).where(
                        tables.customer.c.name == receiver
                    )
                )
            ).one_or_none()
    finally:
        await engine.dispose()
    if listed is None:
        raise DeskError(f"there is no asset {asset}")
    public = load_public(settings.data_dir)
    if receiver == "hot":
        address = public.hot_address
    elif customer is not None:
        address = public.deposit_address(customer.deposit_index)
    else:
        raise DeskError(f"there is no customer {receiver!r}; `hot` is the hot wallet")
    try:
        units = units_from_text(amount, listed.chain_decimals)
    except DecimalTextError as error:
        raise DeskError(str(error)) from error
    return await demo.fund(settings.chain_url, address, listed.contract, units)


def as_json(work: list[OpenWork]) -> list[dict[str, Any]]:
    """Return the list as JSON values."""
    return [asdict(entry) for entry in work]
