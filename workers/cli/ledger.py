"""`rialto statement` and `rialto ledger`: what the books say, now and in the past."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, DataOption, JsonOption
from workers.cli.database import with_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from infra.postgres.retention import Partition
    from infra.settings import Settings

_CUSTOMER = typer.Argument(metavar="CUSTOMER", help="Name or number.")
_FORMATS = ("csv", "json")


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.command("statement")(statement)
    group = typer.Typer(help="Look at the ledger's past balances and its partitions.")
    group.command("balances")(balances)
    group.command("partitions")(partitions)
    group.command("detach")(detach)
    app.add_typer(group, name="ledger")


def statement(
    customer: Annotated[str, _CUSTOMER],
    begin: Annotated[str, typer.Option("--from", help="Date or time, UTC.")] = "",
    end: Annotated[str, typer.Option("--to", help="Date or time, UTC; not in it. Now.")] = "",
    form: Annotated[str, typer.Option("--format", help="csv or json.")] = "csv",
    data: DataOption = None,
) -> None:
    """Print a customer's statement: per asset, opening + lines = closing.

    The period counts when the ledger booked; without --from it is the month of --to. The books have
    to add up, and the period not to be archived yet.
    """
    from domain.ledger import LedgerInvariantError
    from infra.postgres.statements import ArchivedError, StatementStore

    if form not in _FORMATS:
        _usage(f"--format is csv or json, not {form!r}")
    until = _moment(end) if end else dt.datetime.now(dt.UTC)
    since = (
        _moment(begin) if begin else until.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    )
    if since >= until:
        _usage("the period ends before it begins")

    async def work(engine: AsyncEngine, _: Settings) -> str:
        found = await StatementStore(engine).statement(
            await _customer_id(engine, customer), since, until
        )
        return json.dumps(found.as_json(), indent=1) if form == "json" else found.as_csv()

    try:
        typer.echo(with_database(data, work), nl=form == "json")
    except (ArchivedError, LedgerInvariantError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error


def balances(
    customer: Annotated[str, _CUSTOMER],
    at: Annotated[str, typer.Option("--at", help="Date or time, UTC; default now.")] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a customer's accounts as of a moment, in chain units."""
    from infra.postgres.statements import ArchivedError, StatementStore

    moment = _moment(at) if at else dt.datetime.now(dt.UTC)

    async def work(engine: AsyncEngine, _: Settings) -> dict[str, int]:
        return await StatementStore(engine).balances_at(
            await _customer_id(engine, customer), moment
        )

    try:
        found = with_database(data, work)
    except ArchivedError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error
    if as_json:
        texts = {code: str(amount) for code, amount in found.items()}
        typer.echo(json.dumps({"at": moment.isoformat(), "balances": texts}, indent=1))
        return
    for code, amount in found.items():
        typer.echo(f"{code:<44} {amount:>40}")


def partitions(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the partitions of the append-only tables, attached and archived."""
    from dataclasses import asdict

    from infra.postgres.retention import LedgerRetention

    async def work(engine: AsyncEngine, _: Settings) -> list[Partition]:
        return await LedgerRetention(engine).partitions()

    found = with_database(data, work)
    if as_json:
        typer.echo(json.dumps([{**asdict(p), "name": p.name} for p in found], indent=1))
        return
    for part in found:
        typer.echo(
            f"{part.name:<28} {part.first:>14} to {part.last:>14} "
            f"{part.bytes >> 20:>8} MB {part.rows:>12} rows"
        )


def detach(
    older_than_days: Annotated[int, typer.Option("--older-than", min=1, help="Days.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move partitions that are old, and compared by a clean reconciliation, to the archive.

    They become tables of the schema `archive`, to be exported; nothing is dropped. Statements and
    full checks then begin after them. The worker does the same by RIALTO_LEDGER_RETENTION_DAYS.
    """
    from infra.postgres.reconciliation_log import ReconciliationLog
    from infra.postgres.retention import LedgerRetention

    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=older_than_days)

    async def work(engine: AsyncEngine, _: Settings) -> list[str]:
        checked = await ReconciliationLog(engine).checked_positions()
        return await LedgerRetention(engine).detach(before, checked)

    names = with_database(data, work)
    if as_json:
        typer.echo(json.dumps({"detached": names}))
    else:
        typer.echo("\n".join(names) if names else "nothing is old enough and checked")


def _moment(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        _usage(f"not a date or time: {text!r} (2026-01-31 or 2026-01-31T12:00:00)")
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)


def _usage(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(EXIT_USAGE)


async def _customer_id(engine: AsyncEngine, name: str) -> int:
    import sqlalchemy as sa

    from infra.postgres import tables

    row = tables.customer.c
    known = row.customer_id == int(name) if name.isdecimal() else row.name == name
    async with engine.connect() as conn:
        found = await conn.scalar(sa.select(row.customer_id).where(known))
    if found is None:
        typer.echo(f"there is no customer {name!r}", err=True)
        raise typer.Exit(EXIT_USAGE)
    return int(found)
