"""`rialto feed`: play a recorded order flow through the exchange and compare the trades."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from workers.cli.context import (
    EXIT_FAILED,
    EXIT_USAGE,
    DataOption,
    JsonOption,
    RunningExchange,
    data_dir,
    load,
)

OWN_FLOW = Path(__file__).parent.parent / "flows" / "demo.csv.xz"
FileArgument = Annotated[
    Path | None, typer.Argument(help="Flow (orders.csv.xz); default: a small one of our own.")
]
SpeedOption = Annotated[
    str, typer.Option("--speed", help="`max`, or how many times faster than recorded.")
]
LimitOption = Annotated[int, typer.Option("--limit", help="Play only the first N events.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.command("feed")(feed)


def feed(
    file: FileArgument = None,
    speed: SpeedOption = "max",
    limit: LimitOption = 0,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play a recorded order flow into BTC/USDX, then check trades, settlement and invariants.

    Agreement: of the recorded trades whose two orders are both in the flow (an order lost exactly
    that volume at that time), the share that the engine made between the same two orders at the
    same price and size. It needs the recording's `.log.xz` beside the flow.
    """
    from workers.feed_file import FlowError
    from workers.feed_run import FeedRunError, run_feed

    pace = _pace(speed)
    exchange = load(data)
    flow = file if file is not None else OWN_FLOW
    if not flow.exists():
        typer.echo(f"There is no file {flow}.", err=True)
        raise typer.Exit(EXIT_USAGE)
    try:
        with _Progress(quiet=as_json) as progress:
            report = asyncio.run(
                run_feed(exchange.demo, exchange.settings, flow, pace, limit, progress)
            )
    except FlowError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from error
    except FeedRunError as error:
        typer.echo(f"The flow could not be played: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
    report["verify"] = _verify(data, exchange)
    typer.echo(json.dumps(report, indent=1) if as_json else describe(report))
    if not report["verify"]["ok"] or report["settled_trades"] != report["trades"]:
        raise typer.Exit(EXIT_FAILED)


def _pace(speed: str) -> float | None:
    if speed == "max":
        return None
    try:
        pace = float(speed)
    except ValueError:
        pace = 0.0
    if not 0 < pace < 1e6:
        typer.echo("--speed is `max` or a positive number.", err=True)
        raise typer.Exit(EXIT_USAGE)
    return pace


def _verify(data: Path | None, exchange: RunningExchange) -> dict[str, Any]:
    """Run `rialto verify` on the exchange and return its verdict."""
    import subprocess
    import sys

    folder = data_dir(data) if data is not None else exchange.data_dir
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "workers", "verify", "--data", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        verdict: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        verdict = {"violations": [done.stderr.strip()[-500:] or "verify gave no answer"]}
    return {"ok": done.returncode == 0, **verdict}


def describe(report: dict[str, Any]) -> str:
    """Return the report in plain English."""
    rate = report["events"] / report["seconds"] if report["seconds"] else 0.0
    pace = f"{report['events']} events in {report['seconds']:.1f} s ({rate:.0f} a second)"
    counts = f"{report['orders']} orders, {report['cancels']} cancels"
    lines = [
        f"Played {pace}: {counts}, {report['already_gone']} deletes of orders already filled.",
        f"{report['trades']} trades, {report['settled_trades']} of them in the ledger.",
    ]
    if report["refused"]:
        refused = ", ".join(f"{count} {code}" for code, count in report["refused"].items())
        lines.append(f"Refused: {refused}.")
    found = report["agreement"]
    if found is None:
        lines.append("No recorded trades beside the flow (.log.xz), so nothing to compare.")
    else:
        share = 100 * found["matched"] / found["comparable"] if found["comparable"] else 0.0
        lines.append(
            f"Agreement {share:.1f} %: {found['matched']} of {found['comparable']} comparable "
            f"recorded trades happened between the same two orders at the same price and size "
            f"({found['same_price_and_size']} of all {found['recorded']} at that price and size)."
        )
    verdict = report["verify"]
    lines.append(
        "All invariants hold."
        if verdict["ok"]
        else f"Invariants violated: {verdict.get('violations')}"
    )
    return "\n".join(lines)


class _Progress:
    """A progress bar on standard error; with `quiet` none."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

        self._bar = Progress(
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=quiet,
        )

    def __enter__(self) -> Callable[[str, int, int], None]:
        self._bar.start()
        self._task = self._bar.add_task("starting", total=None)
        return self._show

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _show(self, description: str, done: int, total: int) -> None:
        self._bar.update(self._task, description=description, completed=done, total=total or None)
