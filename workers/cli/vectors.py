"""`rialto vectors`: published and our own risk cases against the formulas."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, JsonOption

if TYPE_CHECKING:
    from workers.conformance.vectors import Report


def register(app: typer.Typer) -> None:
    """Add `vectors`."""
    app.command("vectors")(vectors)


def vectors(
    folder: Annotated[Path, typer.Argument(help="Folder of cases, *.json, with ops.json.")],
    as_json: JsonOption = False,
) -> None:
    """Run published risk cases through the formulas, exactly.

    Cases that document another venue's rule are skipped and say so.
    """
    from workers.conformance import vectors as runner
    from workers.conformance.vector_text import VectorError

    try:
        report = runner.run_folder(folder)
    except VectorError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from None
    typer.echo(json.dumps(as_dict(report), indent=1) if as_json else describe(report))
    if report.failures:
        raise typer.Exit(EXIT_FAILED)


def as_dict(report: Report) -> dict[str, object]:
    """Return the report for machines: three counts, and the cases behind two of them."""
    return {
        "ok": not report.failures,
        "passed": report.passed,
        "failed": len(report.failures),
        "skipped": len(report.skips),
        "failures": report.failures,
        "skips": report.skips,
    }


def describe(report: Report) -> str:
    """Return the report in plain English."""
    lines = [f"{report.passed} passed, {len(report.failures)} failed, {len(report.skips)} skipped"]
    lines += [
        f"FAILED {row['file']} {row['id']} ({row['op']}): {text}"
        for row in report.failures
        for text in row["differences"]
    ]
    reasons = Counter(row["reason"] for row in report.skips)
    lines += [f"skipped {count}: {reason}" for reason, count in reasons.items()]
    return "\n".join(lines)
