"""`rialto fuzz`: hostile streams against the native code, with sanitizers and invariants."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, JsonOption

if TYPE_CHECKING:
    from workers.fuzz_run import Report


def register(app: typer.Typer) -> None:
    """Add `fuzz`."""
    app.command("fuzz")(fuzz)


def fuzz(
    target: Annotated[
        str, typer.Option(help="core: commands to the engine; frames: bytes to the door.")
    ] = "core",
    seconds: Annotated[int, typer.Option(min=1, help="How long to fuzz.")] = 60,
    seed: Annotated[int, typer.Option(min=1, help="Seed of the mutations.")] = 1,
    compiler: Annotated[
        str | None, typer.Option(help="C++ compiler; default: clang++ (libFuzzer), else c++.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="Folder that keeps inputs with new coverage (clang).")
    ] = None,
    findings: Annotated[
        Path | None, typer.Option(help="Folder for inputs that break a rule.")
    ] = None,
    again: Annotated[
        Path | None, typer.Option("--input", help="Only run this input, to reproduce a finding.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fuzz the native code under sanitizers; nothing may break.

    core: every input goes through three engines that must agree, command by command, in batches,
    and restored in the middle; holds, totals, book and windows are checked beside it. frames: what
    a client sends, in any portions, against a plain reading of the protocol.
    """
    from workers import fuzz_run

    if target not in fuzz_run.TARGETS:
        typer.echo(f"--target is one of {', '.join(fuzz_run.TARGETS)}", err=True)
        raise typer.Exit(EXIT_USAGE)
    if again is not None and not again.is_file():
        typer.echo(f"There is no file {again}.", err=True)
        raise typer.Exit(EXIT_USAGE)

    def show(runs: int, places: int) -> None:
        if not as_json:
            print(f"\r{runs} inputs, {places} places covered", end="", file=sys.stderr, flush=True)

    try:
        found = fuzz_run.find_compiler(compiler)
        if again is not None:
            report = fuzz_run.reproduce(found, again, target)
        else:
            folder = findings or fuzz_run.FOLDER / "findings"
            report = fuzz_run.run(
                found,
                seconds=seconds,
                seed=seed,
                findings=folder,
                target=target,
                corpus=corpus,
                progress=show,
            )
    except fuzz_run.FuzzError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None
    if not as_json:
        print(file=sys.stderr)
    typer.echo(json.dumps(asdict(report), indent=1) if as_json else describe(report))
    if report.findings:
        raise typer.Exit(EXIT_FAILED)


def describe(report: Report) -> str:
    """Return the report in plain English."""
    of_all = f" of {report.all_places}" if report.all_places else ""
    text = (
        f"{report.runs} inputs in {report.seconds} s with {report.compiler} "
        f"({report.driver} driver); {report.places}{of_all} places covered."
    )
    broken = [f"BROKEN: {row['error']}\n  again: {row['reproduce']}" for row in report.findings]
    return "\n".join([text, *broken])
