"""`rialto replay`: run a shard's journal through a fresh engine and name the state it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workers.cli.context import (
    EXIT_FAILED,
    EXIT_NOT_RUNNING,
    EXIT_USAGE,
    DataOption,
    data_dir,
)


def replay(
    directory: Annotated[
        Path | None, typer.Argument(help="A shard's folder; default: the exchange's own.")
    ] = None,
    data: DataOption = None,
    shard_number: Annotated[int, typer.Option("--shard", min=0, help="Which shard's journal.")] = 0,
    until: Annotated[int | None, typer.Option(min=0, help="Stop after this sequence.")] = None,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="Start from the newest snapshot, not from genesis.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay a journal from the beginning; print counts, digest and speed. Reads only.

    What is wrong with the journal is named, and a sequence that it has not.
    """
    import json
    import time

    from matching.cursors import Cursors
    from matching.journal_scan import Run
    from matching.replay import refuse_cursors_beyond, replay_to, shard_of
    from matching.segments import JournalError, JournalFault
    from matching.storage import FileStorage
    from matching.wire import STRIPE

    if directory is not None and data is not None:
        typer.echo("Give either a shard's folder or --data.", err=True)
        raise typer.Exit(EXIT_USAGE)
    if directory is None:
        directory = data_dir(data) / "engine" / f"shard-{shard_number}"
    storage = FileStorage(directory, read_only=True)
    commands = stripes = blocks = 0

    def count(run: Run, event_bytes: int) -> None:
        nonlocal commands, stripes, blocks
        commands += run.last_sequence - run.first_sequence + 1
        stripes += event_bytes // STRIPE
        blocks += run.blocks

    begun = time.perf_counter()
    shard = -1
    try:
        shard = shard_of(storage)
        cursors = Cursors(storage).positions  # before: a running engine goes on meanwhile
        engine = replay_to(storage, shard, until, from_genesis=not snapshot, progress=count)
        if until is None:
            refuse_cursors_beyond(engine.sequence, cursors)
    except JournalError as error:
        no_journal = shard < 0 and error.fault is JournalFault.NOT_IN_JOURNAL
        typer.echo(f"{error} ({directory})" if no_journal else str(error), err=True)
        raise typer.Exit(EXIT_NOT_RUNNING if no_journal else EXIT_FAILED) from None
    finally:
        storage.close()
    seconds = time.perf_counter() - begun
    result = {
        "directory": str(directory),
        "engine": engine.kind,
        "shard": shard,
        "sequence": engine.sequence,
        "time_us": engine.time_us,
        "commands": commands,
        "blocks": blocks,
        "event_stripes": stripes,
        "digest": engine.digest().hex(),
        "seconds": round(seconds, 3),
        "commands_per_second": round(commands / seconds),
    }
    if as_json:
        typer.echo(json.dumps(result))
        return
    for name, value in result.items():
        typer.echo(f"{name.replace('_', ' '):20} {value}")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("replay")(replay)
