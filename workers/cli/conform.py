"""`rialto conform`: what others recorded, run through our engines."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, JsonOption

_ENGINES = ("core", "reference")
EngineOption = Annotated[
    str, typer.Option("--engine", help="core, reference, or both one after the other.")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only the first N messages of each flow.")
]


def register(app: typer.Typer) -> None:
    """Add `conform` and its parts."""
    conform = typer.Typer(
        help="Compare the engines with recorded flows and published traces.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    conform.command("meb")(meb)
    conform.command("scenarios")(scenarios)
    conform.command("flow")(flow)
    conform.command("tracebook")(tracebook)
    conform.command("tracebook-adapter")(tracebook_adapter)
    app.add_typer(conform, name="conform")


def meb(
    folder: Annotated[Path, typer.Argument(help="Folder of message flows and their reports.")],
    engine: EngineOption = "core",
    modify: Annotated[
        str, typer.Option(help="How a modify reaches the engine: amend, or replace.")
    ] = "amend",
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare reports with those that independent engines agree on.

    A flow is NAME.orders.csv.xz with NAME.reports.txt.xz beside it, or orders_NAME_sS_nN.bin of
    the benchmark's generator, whose SHA-256 is looked up in correctness_hash.txt.
    """
    from workers.conformance import meb as flows

    found = sorted([*folder.glob("*.orders.csv.xz"), *folder.glob("orders_*.bin")])
    _require(found, f"there are no flows in {folder}")
    kinds = _kinds(engine)
    if modify not in ("amend", "replace"):
        _usage("--modify is amend or replace")
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        for path in found:
            try:
                rows.append(flows.check(path, kind, modify, limit))
            except (flows.FlowError, OSError) as error:
                _usage(f"{path.name}: {error}")
    lines = [
        f"{row['flow']} ({row['engine']}): {row['messages']} messages, {row['lines']} lines, "
        f"{row['trades']} trades: {'equal' if row['ok'] else row['difference']}"
        for row in rows
    ]
    _finish(rows, lines, as_json)


def scenarios(
    folder: Annotated[Path, typer.Argument(help="Folder of command scripts, *.txt.")],
    as_json: JsonOption = False,
) -> None:
    """Run command scripts through both engines, which must agree byte for byte."""
    from workers.conformance import scenarios as scripts
    from workers.conformance.desk import DivergenceError

    found = sorted(folder.glob("*.txt"))
    _require(found, f"there are no scripts in {folder}")
    rows: list[dict[str, Any]] = []
    for path in found:
        try:
            outcome = scripts.ScenarioDesk().run(path.read_text())
        except DivergenceError as error:
            rows.append({"script": path.stem, "ok": False, "difference": str(error)})
        except scripts.ScriptError as error:
            _usage(f"{path.name}: {error}")
        else:
            rows.append({"script": path.stem, "ok": True, **asdict(outcome)})
    lines = [
        f"{row['script']}: {row['commands']} commands, {len(row['trades'])} trades, equal"
        + "".join(f"\n  not supported: {line}" for line in row["unsupported"])
        if row["ok"]
        else f"{row['script']}: {row['difference']}"
        for row in rows
    ]
    _finish(rows, lines, as_json)


def flow(
    file: Annotated[Path, typer.Argument(help="A recorded flow, orders.csv.xz.")],
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play a recorded order flow through both engines, which must agree byte for byte."""
    from workers.conformance import flow as flows
    from workers.conformance.desk import DivergenceError
    from workers.feed_file import FlowError

    try:
        played = flows.play(file, _ENGINES, limit)
    except (FlowError, OSError) as error:
        _usage(str(error))
    except DivergenceError as error:
        _finish([{"flow": file.name, "ok": False}], [f"{file.name}: {error}"], as_json)
        return
    row = {"flow": file.name, "ok": True, **asdict(played)}
    text = f"{file.name}: {played.commands} commands, {played.trades} trades, equal"
    _finish([row], [f"{text}; digest {played.digest}"], as_json)


def tracebook(
    suite: Annotated[
        Path | None, typer.Argument(help="Suite folder; default: the one of the package.")
    ] = None,
    engine: EngineOption = "core",
    traces: Annotated[int, typer.Option(min=1, help="Generated traces.")] = 25,
    events: Annotated[int, typer.Option(min=1, help="Events a trace.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generated traces.")] = 42,
    as_json: JsonOption = False,
) -> None:
    """Run tracebook-conformance against our engines: its suite, then a generated campaign.

    Its pro-rata case is left out: Rialto matches by price and time.
    """
    from workers.conformance import tracebook_run

    program = tracebook_run.program()
    if program is None:
        _usage("tracebook-conformance is not installed here; it comes with the test tools")
    rows: list[dict[str, Any]] = []
    for kind in _kinds(engine):
        rows += tracebook_run.run(program, suite, kind, traces=traces, events=events, seed=seed)
    lines = [
        f"{row['case']} ({row['engine']}): " + ("conforms" if row["ok"] else row["difference"])
        for row in rows
    ]
    _finish(rows, lines, as_json)


def tracebook_adapter(engine: EngineOption = "core") -> None:
    """Be the candidate of tracebook-conformance: NDJSON on standard input and output."""
    from infra.heartbeat import rialto_version
    from workers.conformance import tracebook as adapter

    (kind,) = _kinds(engine)
    try:
        for line in adapter.serve(sys.stdin, rialto_version(), kind):
            print(line, flush=True)
    except (adapter.ProtocolError, json.JSONDecodeError, KeyError) as error:
        print(json.dumps({"type": "error", "code": "PROTOCOL_ERROR", "message": str(error)}))
        raise typer.Exit(EXIT_USAGE) from None


def _kinds(engine: str) -> tuple[str, ...]:
    if engine == "both":
        return _ENGINES
    if engine not in _ENGINES:
        _usage("--engine is core, reference or both")
    return (engine,)


def _require(found: list[Path], message: str) -> None:
    if not found:
        _usage(message)


def _usage(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(EXIT_USAGE)


def _finish(rows: list[dict[str, Any]], lines: list[str], as_json: bool) -> None:
    """Print the verdict; a row that is not ok is a failure."""
    ok = all(row["ok"] for row in rows)
    typer.echo(json.dumps({"ok": ok, "results": rows}, indent=1) if as_json else "\n".join(lines))
    if not ok:
        raise typer.Exit(EXIT_FAILED)
