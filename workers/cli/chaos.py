"""`rialto chaos temporal | kill | withdrawals | books`: drills on an exchange of their own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, JsonOption
from workers.processes import MOST_GATEWAYS

Work = Callable[[Path], Coroutine[Any, Any, dict[str, Any]]]
RateOption = Annotated[int, typer.Option(min=20, help="Trades a second.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    chaos = typer.Typer(help="Drills: an exchange in a scratch folder, load, faults, its books.")
    chaos.command("temporal")(temporal)
    chaos.command("kill")(kill)
    chaos.command("withdrawals")(withdrawals)
    chaos.command("books")(books)
    app.add_typer(chaos, name="chaos")


def temporal(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long Temporal is away.")] = 10,
    rate: RateOption = 1000,
    within: Annotated[float, typer.Option(min=1, help="Seconds to catch up in.")] = 60,
    lag_bound: Annotated[
        int, typer.Option(min=0, help="RIALTO_SETTLEMENT_LAG_BOUND; beyond it, cancels only.")
    ] = 1_000_000,
    as_json: JsonOption = False,
) -> None:
    """Stop Temporal's server while trading goes on; measure how settlement catches up.

    No order may be refused, settlement has to catch up in time, and the books to be right. A whole
    exchange runs meanwhile, beside any other.
    """
    from workers.chaos import temporal_away

    def work(folder: Path) -> Coroutine[Any, Any, dict[str, Any]]:
        return temporal_away.run(folder, rate, minutes * 60, within, say)

    _report(_drilled(work, {"RIALTO_SETTLEMENT_LAG_BOUND": str(lag_bound)}), as_json=as_json)


def kill(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long things die.")] = 2,
    rate: RateOption = 200,
    seed: Annotated[int, typer.Option(min=0, help="Who dies when; printed in the report.")] = 1,
    victims: Annotated[
        str, typer.Option(help="Comma-separated; default: all, and `flushall` of Redis.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Kill -9 processes and servers at random moments under load, one or two at a time.

    `resumed_seconds` is from a kill until trades of a quarter of a second later are in the ledger.
    Settlement has to come back, and the books to be right.
    """
    from workers.chaos import kills

    chosen = _chosen("--victims", victims, kills.VICTIMS)

    def work(folder: Path) -> Coroutine[Any, Any, dict[str, Any]]:
        return kills.run(folder, rate, minutes * 60, seed, chosen, say)

    _report(_drilled(work, {}), as_json=as_json)


def withdrawals(
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many are asked for.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Who asks what, and who dies when.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Kill worker, signer, engine and gateway while withdrawals run and the node lies.

    Customers ask and cancel by the API, officers sign and retry, the node is late, errs after the
    effect, says nothing or forgets. `final` counts how they ended, `double_sent` those of which
    more than one transaction was mined. Each has to end, to be paid
    once and as its row says, and the books to be right.
    """
    from infra.embedded.ports import LOOPBACK, free_port
    from workers.chaos import withdrawals as drill

    def work(folder: Path) -> Coroutine[Any, Any, dict[str, Any]]:
        return drill.run(folder, count, seed, say)

    variables = {
        "RIALTO_CHAIN_URL": f"http://{LOOPBACK}:{free_port()}",
        "RIALTO_WITHDRAWAL_STUCK_SECONDS": drill.STUCK_SECONDS,
    }
    _report(_drilled(work, variables), as_json=as_json)


def books(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long things break.")] = 10,
    gateways: Annotated[
        int, typer.Option(min=1, max=MOST_GATEWAYS, help="Gateways that are followed.")
    ] = 2,
    rate: RateOption = 100,
    seed: Annotated[int, typer.Option(min=0, help="What breaks when.")] = 1,
    faults: Annotated[
        str, typer.Option(help="Comma-separated; default: all. An unknown one names them.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Follow every book while lines are cut, half-open or slow and gateways are killed.

    Three followers a gateway: this project's client on a good line and on a bad one, and ccxt.pro
    (a dependency of the tests) on a bad one. Every message's checksum is held against the book,
    and every whole book against what the others saw at that sequence; at the end all have to be
    the engine's and REST's. `longest_without_book_seconds` says what had been done. No book may
    be wrong once.
    """
    from workers.chaos import books as drill

    chosen = _chosen("--faults", faults, tuple(drill.FAULTS))

    def work(folder: Path) -> Coroutine[Any, Any, dict[str, Any]]:
        return drill.run(folder, minutes * 60, gateways, rate, seed, chosen, say)

    _report(_drilled(work, {}), as_json=as_json)


def _chosen(option: str, words: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return what an option names, or all there is; a word that is not known ends the verb."""
    chosen = tuple(words.split(",")) if words else tuple(known)
    if unknown := sorted(set(chosen) - set(known)):
        typer.echo(f"{option}: {', '.join(unknown)}? There are {', '.join(known)}.", err=True)
        raise typer.Exit(EXIT_USAGE)
    return chosen


def say(text: str) -> None:
    """Tell the person who waits; the figures alone are the output."""
    print(text, file=sys.stderr, flush=True)


def _drilled(work: Work, variables: dict[str, str]) -> dict[str, Any]:
    from infra.telemetry import configure_logging
    from workers.chaos.drill import scratch

    configure_logging("chaos", "ERROR", "console")
    with scratch(variables) as folder:
        return asyncio.run(work(folder))


def _report(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report, indent=1))
    else:
        for name, value in report.items():
            typer.echo(f"{name:28} {value}")
    if report["problems"]:
        raise typer.Exit(EXIT_FAILED)
