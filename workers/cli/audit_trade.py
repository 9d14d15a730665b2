"""`rialto audit trade` and `rialto audit order`: from the command to the books."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli.context import EXIT_FAILED, DataOption, JsonOption
from workers.cli.database import with_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine
    from temporalio.client import Client

    from infra.postgres.trade_story import TradeStory
    from infra.settings import Settings


def add_to(audit: typer.Typer) -> None:
    """Add the verbs to `audit`."""
    audit.command("trade")(trade)
    audit.command("order")(order)


def trade(
    trade_id: Annotated[int, typer.Argument(metavar="ID", min=1)],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell where a trade came from and where its money went.

    Command and sequence, batch, journal entry with its hashes, workflow run and event; what is
    stored is held against what was written.
    """

    async def work(engine: AsyncEngine, settings: Settings) -> dict[str, Any] | None:
        from infra.postgres.trade_story import TradeStories

        story = await TradeStories(engine).trade(trade_id)
        return None if story is None else await _told(story, settings)

    found = with_database(data, work)
    if found is None:
        typer.echo(f"there is no settled trade {trade_id} here (or it is archived)", err=True)
        raise typer.Exit(EXIT_FAILED)
    typer.echo(json.dumps(found, indent=1) if as_json else _text(found))
    if found["fault"]:
        raise typer.Exit(EXIT_FAILED)


def order(
    order_id: Annotated[int, typer.Argument(metavar="ID", min=1)],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what became of an order, and where the money of each of its trades went."""

    async def work(engine: AsyncEngine, settings: Settings) -> dict[str, Any] | None:
        from infra.postgres.trade_story import TradeStories

        row, stories = await TradeStories(engine).order(order_id)
        if row is None:
            return None
        shown = {
            name: value if isinstance(value, int) else str(value) for name, value in row.items()
        }
        command = _command(settings, int(row["shard"]), int(row["accepted_sequence"]))
        trades = [await _told(story, settings) for story in stories]
        return {"order": shown, "command": command, "trades": trades}

    found = with_database(data, work)
    if found is None:
        typer.echo(f"there is no order {order_id}", err=True)
        raise typer.Exit(EXIT_FAILED)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        typer.echo(f"order {order_id}: command {found['command'] or 'not in the journal any more'}")
        typer.echo("\n\n".join(_text(story) for story in found["trades"]) or "never traded")
    if any(story["fault"] for story in found["trades"]):
        raise typer.Exit(EXIT_FAILED)


async def _told(story: TradeStory, settings: Settings) -> dict[str, Any]:
    """Return a story for JSON; amounts as text."""
    row, journal = story.row, story.journal
    touched = {account for account, _, _ in story.postings}
    detail = journal.detail
    origin = {name: str(detail.get(name, "")) for name in ("workflow_id", "run_id", "activity_id")}
    return {
        "trade_id": row["trade_id"],
        "symbol": row["symbol"],
        "shard": row["shard"],
        "sequence": row["sequence"],
        "index": row["index"],
        "time_us": row["time_us"],
        "command": _command(settings, row["shard"], row["sequence"]),
        "orders": {"maker": row["maker_order_id"], "taker": row["taker_order_id"]},
        "postings": [
            {"account": account, "asset": asset, "amount": str(amount)}
            for account, asset, amount in story.postings
        ],
        "batch": {
            "first_sequence": journal.first_sequence,
            "last_sequence": journal.last_sequence,
            "trades": detail.get("trades"),
        },
        "journal": {
            "journal_id": journal.journal_id,
            "stream": journal.stream,
            "position": journal.position,
            "key": journal.key,
            "previous_hash": journal.previous_hash.hex(),
            "hash": journal.hash.hex(),
            "entries": [
                {
                    "account": entry.account,
                    "amount": str(entry.amount),
                    "balance_after": str(entry.balance_after),
                }
                for entry in journal.entries
                if entry.account in touched
            ],
        },
        "workflow": {**origin, "event_id": await _event(settings, origin)},
        "fault": story.fault,
    }


def _command(settings: Settings, shard: int, sequence: int) -> dict[str, Any] | None:
    """Return the command for JSON; None where the journal does not hold it any more."""
    from infra.command_reader import read_command

    record = read_command(settings.engine_dir(shard), shard, sequence)
    if record is None:
        return None
    fields = _plain(asdict(record.command))
    return {"name": type(record.command).__name__, "time_us": record.time_us, **fields}


def _plain(value: Any) -> Any:
    """Return a command's value for JSON: numbers as text, the orders of a list one by one."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, bool | str) or value is None else str(value)


async def _event(settings: Settings, origin: dict[str, str]) -> int | None:
    """Return the history's event that asked for the activity; None where it cannot be had."""
    from temporalio.service import RPCError

    from infra.temporal.client import connect
    from infra.temporal.history_event import scheduling_event

    if not origin["workflow_id"]:
        return None
    try:
        client: Client = await connect(settings)
        return await scheduling_event(client, **origin)
    except (RuntimeError, RPCError):  # Temporal is away; the books say enough
        return None


def _text(story: dict[str, Any]) -> str:
    command, journal, workflow = story["command"], story["journal"], story["workflow"]
    batch = story["batch"]
    lines = [
        f"trade {story['trade_id']} on {story['symbol']}",
        f"  event     shard {story['shard']}, sequence {story['sequence']}.{story['index']}",
        f"  command   {command['name'] + ' ' + json.dumps(command) if command else 'retired'}",
        *(f"  moved     {line['amount']:>32} {line['account']}" for line in story["postings"]),
        (
            f"  batch     commands {batch['first_sequence']} to {batch['last_sequence']}, "
            f"{batch['trades']} trades"
        ),
        (
            f"  journal   {journal['journal_id']}: {journal['stream']} #{journal['position']} "
            f"{journal['hash']}"
        ),
        *(
            f"  entry     {line['amount']:>32} {line['account']} -> {line['balance_after']}"
            for line in journal["entries"]
        ),
        (
            f"  workflow  {workflow['workflow_id'] or '-'} run {workflow['run_id'] or '-'}, "
            f"event {workflow['event_id'] or '-'}"
        ),
    ]
    if story["fault"]:
        lines.append(f"  NOT GENUINE: {story['fault']}")
    return "\n".join(lines)
