"""`rialto simulate`: a derivatives market of thousands of accounts, checked throughout.

A violation is told with the seed and the step that show it again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, JsonOption

if TYPE_CHECKING:
    from workers.simulation.run import Plan

_ENGINES = ("core", "reference")
_TELL_EVERY_SECONDS = 5.0


def register(app: typer.Typer) -> None:
    """Add `simulate`."""
    app.command("simulate")(simulate)


def simulate(
    seed: Annotated[int, typer.Option(min=0, help="Draws everything: prices, people, chance.")] = 1,
    steps: Annotated[int, typer.Option(min=20, help="Steps of 5 s after the opening.")] = 600,
    accounts: Annotated[int, typer.Option(min=20, help="Accounts beside the makers.")] = 2_000,
    engine: Annotated[str, typer.Option(help="core or reference.")] = "core",
    sweep: Annotated[
        int, typer.Option(min=1, help="Compare the whole state every N steps, too.")
    ] = 100,
    mass: Annotated[
        int,
        typer.Option(min=0, help="Instead: N scopes breached at one mark, until all are done."),
    ] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw mark, fund, open interest and liquidations: FILE.svg.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate two perpetual markets and a spot market, and hold every command against the rules.

    The real engine, with its journal on the disk, and the real risk service (scan, slices,
    takeover, ranking, funding, unwinding) meet makers, momentum and mean-reversion traders and
    hedgers, cross and isolated, at leverages of 2 to 50. Every 600 steps bring a fall of 30 %, a
    rise of 40 %, missing, stale, silent and absurd index sources, and a crash of the engine, which
    has to come back byte for byte; now and then the answer of a workflow's step is lost.

    The invariants are those of docs/verification.md. The same options give the same digest.
    When one is violated, `first_violation_step` and the seed show it again.
    """
    if engine not in _ENGINES:
        _usage("--engine is core or reference")
    if plot is not None:
        _refuse_plot(plot, mass)
    from infra.telemetry import configure_logging
    from workers.simulation.run import Plan

    configure_logging("simulate", "ERROR", "console")
    plan = Plan(seed, steps, accounts, engine, sweep)
    found = _mass(plan, mass) if mass else _run(plan, plot)
    typer.echo(json.dumps(found, indent=1) if as_json else _text(found))
    if not found["ok"]:
        raise typer.Exit(EXIT_FAILED)


def _refuse_plot(plot: Path, mass: int) -> None:
    """Refuse a drawing that cannot be made before minutes are spent on what it would show."""
    if plot.suffix != ".svg":
        _usage("--plot draws an SVG: name a file that ends in .svg")
    if mass:
        _usage("--plot draws a market over time, which --mass has not")
    if plot.is_dir() or not os.access(plot if plot.exists() else plot.parent, os.W_OK):
        _usage(f"--plot: {plot} cannot be written: is its folder there, and yours?")


def _run(plan: Plan, plot: Path | None) -> dict[str, Any]:
    from workers.simulation.picture import draw
    from workers.simulation.run import simulate as run

    report, curve = run(plan, _teller(plan.steps))
    if plot is not None:
        try:
            plot.write_text(draw(report, curve))
        except OSError as error:
            _usage(f"--plot: {error}")
    return report


def _mass(plan: Plan, scopes: int) -> dict[str, Any]:
    from workers.simulation.mass import breach

    return breach(scopes, plan.seed, plan.engine, _teller(scopes, "scopes"))


def _teller(whole: int, noun: str = "steps") -> Callable[[int], None]:
    """Return what tells on standard error how far it has come, every few seconds."""
    begun = told = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= _TELL_EVERY_SECONDS:
            told = now
            left = (now - begun) / done * (whole - done) if done else 0
            typer.echo(f"{done:,} of {whole:,} {noun}, about {left:.0f} s left", err=True)

    return tell


def _text(found: dict[str, Any]) -> str:
    """Return the report for people: the invariants, then every number."""
    lines = [
        f"{_mark(row)} {row['number']:>2} {row['checked']:>12,} checks  {', '.join(row['rules'])}"
        for row in found["invariants"]
    ]
    lines += [f"VIOLATED {one['invariant']}: {one['text']}" for one in found["violations"][:20]]
    for name, value in found.items():
        if isinstance(value, int | str) and name != "ok":
            shown = f"{value:,}" if isinstance(value, int) else value
            lines.append(f"{name.replace('_', ' '):34} {shown:>34}")
    if not found["ok"]:
        lines.append(f"A rule is violated: seed {found['seed']} shows it again.")
    return "\n".join(lines)


def _mark(row: dict[str, Any]) -> str:
    return "holds   " if row["ok"] else "VIOLATED"


def _usage(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(EXIT_USAGE)
