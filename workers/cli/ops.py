"""`rialto ops`, `approve`, `reject`, `faucet`, `audit`: what staff do with the wallet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from workers.cli import audit_trade, liquidation
from workers.cli.context import (
    EXIT_FAILED,
    EXIT_NOT_RUNNING,
    EXIT_USAGE,
    DataOption,
    JsonOption,
    load,
)

Answer = TypeVar("Answer")
OfficerOption = Annotated[
    str, typer.Option("--officer", help="Whose key signs; at a terminal the demo's marta.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")]
_DEFAULT_OFFICER = "marta"


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    ops = typer.Typer(
        help="Look at running deposits, withdrawals, transfers; retry what is parked."
    )
    ops.command("list")(list_open)
    ops.command("retry")(retry)
    app.add_typer(ops, name="ops")
    app.command("approve")(approve)
    app.command("reject")(reject)
    app.command("faucet")(faucet)
    audit = typer.Typer(help="Read the audit log.", cls=_AuditGroup)
    audit.command("withdrawal")(audit_withdrawal)
    audit.command("about")(audit_about)
    audit.command("verify")(audit_verify)
    audit_trade.add_to(audit)
    liquidation.add_to(audit)
    audit.callback()(_audit)
    app.add_typer(audit, name="audit")


class _AuditGroup(TyperGroup):
    """Says what to type when an id comes where a verb is expected."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb, or end with a usage error that names the right line."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            ctx.fail(f"{name!r} is no verb of audit. Type: rialto audit withdrawal {name}")
        return super().resolve_command(ctx, args)


def _audit() -> None:
    """Read the audit log."""


def list_open(
    query: Annotated[
        str, typer.Option("--query", help="Temporal query, or `parked`; default: all open.")
    ] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List running deposits, withdrawals, transfers and adjustments with their stages."""
    from workers import officer_desk as desk
    from workers.wallet_queries import OPEN_WORK

    settings = load(data).settings
    found = _run(desk.open_work(settings, query or OPEN_WORK))
    if as_json:
        typer.echo(json.dumps(desk.as_json(found), indent=1))
        return
    if not found:
        typer.echo("nothing is open")
    for work in found:
        about = "" if work.about_usd is None else f"about {work.about_usd:,} USD"
        typer.echo(
            f"{work.stage:<18} {work.amount:>16} {work.asset:<5} {about:<20} "
            f"account {work.account:<6} "
            f"{work.workflow_id}{'  paused in Temporal' if work.paused else ''}"
        )


def retry(
    name: Annotated[str, typer.Argument(metavar="[ID]", help="A withdrawal or workflow id.")] = "",
    query: Annotated[
        str, typer.Option("--query", help="Retry what is parked and found; `parked` is all.")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="For the record.")] = "cause removed",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Retry a parked step: one workflow by id, or all that a query finds."""
    from workers import officer_desk as desk

    if bool(name) == bool(query):
        typer.echo("give an id, or --query", err=True)
        raise typer.Exit(EXIT_USAGE)
    settings = load(data).settings
    if query:
        batch = _run(desk.retry_all(settings, query))
        if as_json:
            typer.echo(json.dumps({"asked": batch.asked, "skipped": batch.skipped}))
        else:
            typer.echo(f"{len(batch.asked)} asked to retry")
            for workflow_id, why in batch.skipped.items():
                typer.echo(f"skipped {workflow_id}: {why}", err=True)
        if batch.skipped:
            raise typer.Exit(EXIT_FAILED)
        return
    stage = _run(desk.retry(settings, name, reason))
    typer.echo(json.dumps({"stage": stage}) if as_json else f"goes on at {stage or 'once'}")


def approve(
    withdrawal_id: Annotated[str, typer.Argument(metavar="ID")],
    officer: OfficerOption = "",
    yes: YesOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign an approval of a withdrawal."""
    _decide(withdrawal_id, "approve", officer, data, ask=not (yes or as_json), as_json=as_json)


def reject(
    withdrawal_id: Annotated[str, typer.Argument(metavar="ID")],
    officer: OfficerOption = "",
    yes: YesOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a rejection of a withdrawal; its amount goes back to the customer."""
    _decide(withdrawal_id, "reject", officer, data, ask=not (yes or as_json), as_json=as_json)


def _decide(
    withdrawal_id: str, action: str, officer: str, data: Path | None, *, ask: bool, as_json: bool
) -> None:
    from workers import officer_desk as desk

    if not officer and not _is_terminal():
        typer.echo("name the officer whose key signs: --officer NAME", err=True)
        raise typer.Exit(EXIT_USAGE)
    officer = officer or _DEFAULT_OFFICER
    settings = load(data).settings
    statement = _run(desk.statement_for(settings, withdrawal_id, action))
    if not as_json:
        typer.echo(f"{officer} signs: {statement.canonical()}")
    if ask and _is_terminal():
        typer.confirm("Sign this?", abort=True)
    result = _run(desk.decide(settings, officer, statement))
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "state": result.state,
                    "approvals": result.approvals,
                    "approvals_needed": result.approvals_needed,
                }
            )
        )
    else:
        typer.echo(
            f"recorded; {result.approvals} of {result.approvals_needed} approvals, "
            f"state {result.state}"
        )


def _is_terminal() -> bool:
    import sys

    return sys.stdin.isatty()


def faucet(
    receiver: Annotated[str, typer.Argument(metavar="CUSTOMER|hot")],
    asset: str,
    amount: str,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pay demo coins to a customer's deposit address, or refill the hot wallet; on the chain."""
    from workers import officer_desk as desk

    tx_hash = _run(desk.faucet(load(data).settings, receiver, asset, amount))
    typer.echo(json.dumps({"tx_hash": tx_hash}) if as_json else f"sent: {tx_hash}")


def audit_withdrawal(
    withdrawal_id: Annotated[str, typer.Argument(metavar="ID")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell a withdrawal's whole story from the audit log; exit code 1 if a record is not genuine.

    Each record's content, its place in the chain, and the signatures of decisions are checked.
    """
    from workers import officer_desk as desk

    story = _run(desk.withdrawal_story(load(data).settings, withdrawal_id))
    if as_json:
        typer.echo(json.dumps(story, indent=1))
    else:
        _print_story(story)
    if any(record["fault"] for record in story["records"]):
        raise typer.Exit(EXIT_FAILED)


def audit_about(
    subject: Annotated[str, typer.Argument(help="shard-0, market-1, withdrawal-..., deposit-...")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who did what to one subject; exit code 1 if a record is not genuine."""
    from workers import officer_desk as desk

    records = _run(desk.records_about(load(data).settings, subject))
    if as_json:
        typer.echo(json.dumps({"subject": subject, "records": records}, indent=1))
    else:
        _print_records(records)
    if any(record["fault"] for record in records):
        raise typer.Exit(EXIT_FAILED)


def audit_verify(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Check the whole audit log from its first record; exit code 1 names the first bad one."""
    from workers import officer_desk as desk

    good, fault = _run(desk.verify_audit(load(data).settings))
    if as_json:
        typer.echo(json.dumps({"good_records": good, "fault": fault}))
    else:
        typer.echo(f"{good} records are good" + (f"; then: {fault}" if fault else ""))
    if fault:
        raise typer.Exit(EXIT_FAILED)


def _print_story(story: dict[str, Any]) -> None:
    typer.echo(
        f"withdrawal {story['withdrawal_id']}: {story['amount']} {story['asset']} "
        f"(fee {story['fee']}) of customer {story['customer_id']} to {story['address']}"
    )
    typer.echo(f"state {story['state']}, stage {story['stage']}, tx {story['tx_hash']}")
    _print_records(story["records"])


def _print_records(records: list[dict[str, Any]]) -> None:
    for record in records:
        detail = json.dumps(record["detail"], sort_keys=True)
        mark = f"  NOT GENUINE: {record['fault']}" if record["fault"] else ""
        typer.echo(
            f"#{record['audit_id']:<5} {record['at'][:23]}  {record['actor']:<16} "
            f"{record['action']:<14} {detail}{mark}"
        )


def _run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run `work`; what does not make sense ends with 1 or 2, what cannot be reached with 3."""
    from sqlalchemy.exc import SQLAlchemyError
    from temporalio.service import RPCError

    from infra.wallet.rpc import ChainUnavailableError
    from workers.officer_desk import DeskError, QueryError

    try:
        return asyncio.run(work)
    except QueryError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from error
    except DeskError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error
    except (RuntimeError, OSError, RPCError, SQLAlchemyError, ChainUnavailableError) as error:
        typer.echo(f"not reachable: {error}", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING) from error
