"""`rialto alarms`: what people have to look at, and who looks after it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.context import EXIT_FAILED, DataOption, JsonOption
from workers.cli.database import with_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from domain.alarm import Alarm
    from infra.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(help="Alarms: list the open ones, say that you look after one.")
    group.callback(invoke_without_command=True)(alarms)
    group.command("ack")(acknowledge)
    app.add_typer(group, name="alarms")


def alarms(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Cleared ones too.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the open alarms; nobody looks after one until it is acknowledged."""
    if context.invoked_subcommand:
        return

    async def work(engine: AsyncEngine, settings: Settings) -> list[Alarm]:
        from infra.postgres.alarm_store import AlarmStore

        store = AlarmStore(engine, settings.temporal_ui_url, settings.temporal_namespace)
        return await (store.latest() if everything else store.open())

    found = with_database(data, work)
    if as_json:
        typer.echo(json.dumps([asdict(alarm) for alarm in found], indent=1))
    else:
        _print(found)
    if any(not alarm.acked_by and not alarm.cleared_at for alarm in found):
        raise typer.Exit(EXIT_FAILED)


def acknowledge(
    alarm_id: Annotated[int, typer.Argument(metavar="ID", min=1)],
    by: Annotated[str, typer.Option("--by", help="Who; default: your login.")] = "",
    data: DataOption = None,
) -> None:
    """Say that you look after an alarm; it stays open until its cause is gone."""
    import getpass

    name = by.strip() or getpass.getuser()

    async def work(engine: AsyncEngine, settings: Settings) -> bool:
        from infra.postgres.alarm_store import AlarmStore

        store = AlarmStore(engine, settings.temporal_ui_url, settings.temporal_namespace)
        return await store.acknowledge(alarm_id, name)

    if not with_database(data, work):
        typer.echo(f"alarm {alarm_id} does not exist, or somebody looks after it already", err=True)
        raise typer.Exit(EXIT_FAILED)
    typer.echo(f"alarm {alarm_id}: {name} looks after it")


def _print(found: list[Alarm]) -> None:
    if not found:
        typer.echo("no open alarms")
    for alarm in found:
        state = (
            f"cleared {alarm.cleared_at}"
            if alarm.cleared_at
            else (f"acked by {alarm.acked_by}" if alarm.acked_by else "OPEN")
        )
        typer.echo(
            f"#{alarm.alarm_id:<5} {alarm.severity:<8} {alarm.raised_at}  {state:<28} "
            f"{alarm.kind} {alarm.subject}"
        )
        typer.echo(f"       {alarm.text}")
        typer.echo(f"       {alarm.runbook}  {alarm.workflow_url}".rstrip())
