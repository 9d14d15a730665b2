"""`rialto audit`: who did what, told from the audit log and checked against all else."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer
from typer.core import TyperGroup

from workers.cli import audit_trade, liquidation
from workers.cli.context import EXIT_FAILED, EXIT_USAGE, DataOption, JsonOption
from workers.cli.database import with_database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from infra.compliance_file import ComplianceFile
    from infra.settings import Settings

Answer = TypeVar("Answer")
HtmlOption = Annotated[
    Path | None, typer.Option("--html", help="Write a page to be printed to this file, too.")
]


class _AuditGroup(TyperGroup):
    """Says what to type when an id comes where a verb is expected."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb, or end with a usage error that names the right line."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            ctx.fail(f"{name!r} is no verb of audit. Type: rialto audit withdrawal {name}")
        return super().resolve_command(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    audit = typer.Typer(help="Read the audit log.", cls=_AuditGroup)
    audit.command("withdrawal")(withdrawal)
    audit.command("about")(about)
    audit.command("history")(history)
    audit.command("export")(export)
    audit.command("verify")(verify)
    audit_trade.add_to(audit)
    liquidation.add_to(audit)
    audit.callback()(_audit)
    app.add_typer(audit, name="audit")


def _audit() -> None:
    """Read the audit log."""


def withdrawal(
    withdrawal_id: Annotated[str, typer.Argument(metavar="ID")],
    html: HtmlOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell a withdrawal's whole story from the audit log.

    Each record's content, its place in the chain, and the signatures of decisions are checked; the
    workflow's history, exported or still in Temporal, and the business row must say the same. That
    you have looked is recorded.
    """
    from infra.compliance_file import faults_of
    from workers.cli.story_page import story_page

    try:
        identity = UUID(withdrawal_id.removeprefix("withdrawal-"))
    except ValueError:
        typer.echo(f"not a withdrawal's id: {withdrawal_id}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    story = _with_file(data, lambda file: file.withdrawal(identity, _reader()))
    if story is None:
        typer.echo(f"the audit log knows no withdrawal {withdrawal_id}", err=True)
        raise typer.Exit(EXIT_FAILED)
    if html is not None:
        _write(html, story_page(story))
    if as_json:
        typer.echo(json.dumps(story, indent=1))
    elif html is None:
        _print_story(story)
    else:
        typer.echo(f"written: {html}")
    wrong = faults_of(story["records"]) + story["differences"]
    for line in wrong:
        typer.echo(f"NOT GENUINE: {line}", err=True)
    if wrong:
        raise typer.Exit(EXIT_FAILED)


def about(
    subject: Annotated[
        str, typer.Argument(help="shard-0, market-1, customer-7, withdrawal-..., deposit-...")
    ],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who did what to one subject.

    That you have looked at a customer's records is recorded.
    """
    from infra.compliance_file import faults_of

    records = _with_file(data, lambda file: file.about(subject, _reader()))
    if as_json:
        typer.echo(json.dumps({"subject": subject, "records": records}, indent=1))
    else:
        _print_records(records)
    if faults_of(records):
        raise typer.Exit(EXIT_FAILED)


def history(
    workflow_id: Annotated[str, typer.Argument(metavar="WORKFLOW", help="withdrawal-..., ...")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a closed workflow's exported histories, checked; --json prints the events."""
    kept = _with_file(data, lambda file: _history(file, workflow_id))
    if not kept:
        typer.echo(f"no history of {workflow_id} is exported (yet)", err=True)
        raise typer.Exit(EXIT_FAILED)
    if as_json:
        typer.echo(json.dumps(kept, indent=1))
    else:
        for run in kept:
            state = run["fault"] or f"{len(run['history']['events'])} events, genuine"
            typer.echo(
                f"run {run['run_id']}: {run['status']} at {run['closed_at']}, {state}, "
                f"kept until {run['keep_until'][:10]}"
            )
    if any(run["fault"] for run in kept):
        raise typer.Exit(EXIT_FAILED)


async def _history(file: ComplianceFile, workflow_id: str) -> list[dict[str, Any]]:
    await file.about(workflow_id, _reader())  # looking is recorded
    return [
        {
            "workflow_id": one.run.workflow_id,
            "run_id": one.run.run_id,
            "workflow_type": one.run.workflow_type,
            "status": one.run.status,
            "closed_at": one.run.closed_at.isoformat(),
            "keep_until": one.keep_until.isoformat(),
            "fault": one.fault,
            "history": json.loads(one.history) if one.history else None,
        }
        for one in await file.histories(workflow_id)
    ]


def export(
    begin: Annotated[str, typer.Option("--from", help="First day, or moment (UTC).")],
    end: Annotated[str, typer.Option("--to", help="Not included: day after, or moment (UTC).")],
    html: HtmlOption = None,
    data: DataOption = None,
) -> None:
    """Print a period of the audit log as JSON lines with hashes.

    That you have exported it is recorded first, so that it is the last record of an open period.
    """
    from infra.compliance_file import faults_of
    from workers.cli.story_page import period_page

    first, last = _moment(begin), _moment(end)
    if first >= last:
        typer.echo("--from must be before --to", err=True)
        raise typer.Exit(EXIT_USAGE)
    records = _with_file(data, lambda file: _export(file, first, last))
    for record in records:
        typer.echo(json.dumps(record, sort_keys=True))
    if html is not None:
        _write(html, period_page(first.isoformat(), last.isoformat(), records))
    wrong = faults_of(records)
    for line in wrong:
        typer.echo(f"NOT GENUINE: {line}", err=True)
    if wrong:
        raise typer.Exit(EXIT_FAILED)


async def _export(file: ComplianceFile, begin: datetime, end: datetime) -> list[dict[str, Any]]:
    await file.note_export(_reader(), begin, end)
    return [record async for record in file.period(begin, end)]


def _moment(text: str) -> datetime:
    """Return a moment of ISO 8601, UTC unless it says otherwise; a day is its midnight."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        typer.echo(f"not a day or moment: {text} (2026-11-27, 2026-11-27T09:30)", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def verify(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Check the whole audit log from its first record; names the first bad one."""
    good, fault = _with_file(data, lambda file: file.verify())
    if as_json:
        typer.echo(json.dumps({"good_records": good, "fault": fault}))
    else:
        typer.echo(f"{good} records are good" + (f"; then: {fault}" if fault else ""))
    if fault:
        raise typer.Exit(EXIT_FAILED)


def _with_file(data: Path | None, work: Callable[[ComplianceFile], Awaitable[Answer]]) -> Answer:
    """Run `work` with the compliance file; a database that does not answer ends the verb."""

    async def opened(engine: AsyncEngine, settings: Settings) -> Answer:
        from workers.compliance_desk import compliance_file

        return await work(compliance_file(settings, engine))

    return with_database(data, opened)


def _reader() -> str:
    from workers.officer_desk import login

    return f"staff:{login()}"


def _write(path: Path, page: str) -> None:
    """Write a page that only its owner can read; what is in the way ends the verb."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(page)
    except OSError as error:
        typer.echo(f"cannot write {path}: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error


def _print_story(story: dict[str, Any]) -> None:
    typer.echo(
        f"withdrawal {story['withdrawal_id']}: {story['amount']} {story['asset']} "
        f"(fee {story['fee']}) of {story['customer']} to {story['address']}"
    )
    typer.echo(f"state {story['state']}, tx {story['tx_hash'] or '-'}")
    for line in story["answer"]:
        typer.echo(f"  {line}")
    sources = ", ".join(f"{run['run_id']} ({run['source']})" for run in story["history"])
    typer.echo(f"compared with the workflow's history: {sources or 'there is none'}")
    _print_records(story["records"])


def _print_records(records: list[dict[str, Any]]) -> None:
    for record in records:
        detail = record["says"] or json.dumps(record["detail"], sort_keys=True)
        mark = f"  NOT GENUINE: {record['fault']}" if record["fault"] else ""
        typer.echo(
            f"#{record['audit_id']:<5} {record['at'][:23]}  {record['actor']:<16} "
            f"{record['action']:<14} {detail}{mark}"
        )
