"""The verb `verify`: whether engine, ledger, wallet and chain agree, to the last unit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workers.cli.context import (
    EXIT_FAILED,
    EXIT_NOT_RUNNING,
    DataOption,
    JsonOption,
    data_dir,
    environment,
)
from workers.data_folder import FolderInUseError, owned, read_json, supervisor_pid

if TYPE_CHECKING:
    from domain.checker_report import Findings
    from infra.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify")(verify_command)


def verify_command(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Check every balance, journal, trade, position, transfer, deposit and withdrawal.

    The journal of each shard is replayed, and every command about perpetuals held against the
    invariants of docs/verification.md. Works beside a running exchange, and on a stopped one,
    whose database it starts meanwhile.
    """
    from infra.telemetry import configure_logging

    configure_logging("verify", "WARNING", "console")
    folder = data_dir(data)
    if not environment(folder):
        typer.echo(f"No exchange has ever run in {folder}.", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING)
    try:
        with _reachable(folder) as settings:
            found = asyncio.run(verify(settings))
    except FolderInUseError:
        typer.echo("The exchange is starting or stopping just now; try again.", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING) from None
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        _print(found)
    if not found["ok"]:
        raise typer.Exit(EXIT_FAILED)


async def verify(settings: Settings) -> dict[str, Any]:
    """Return `ok`, `sequence` (of shard 0), `sequences`, `invariants` and `violations`.

    Everything that is not archived is checked. Amounts are text: they may have 38 digits.
    """
    from activities.reconciliation import check_exchange
    from domain.checker_report import Findings
    from infra.postgres.engine import create
    from infra.postgres.record_reader import RecordReader
    from infra.second_engine import SecondEngines
    from infra.wallet.chain import EvmChain
    from infra.wallet.coins import WalletCoins
    from infra.wallet.keys import load_public
    from workers.risk_replay import risk_report

    database = create(settings.database_url)
    chain = EvmChain(settings.chain_url)
    try:
        checked = await check_exchange(
            RecordReader(database),
            SecondEngines(settings.engine_dir, names_faults=True),
            WalletCoins(chain, load_public(settings.data_dir).hot_address),
            range(settings.shard_count),
        )
    finally:
        await chain.close()
        await database.dispose()
    findings = Findings()
    findings.take(checked.report)
    for shard, sequence in checked.sequences.items():
        if not checked.engines[shard].fault:
            folder = settings.engine_dir(shard)
            findings.take(await asyncio.to_thread(risk_report, folder, shard, sequence))
    _compared_books(settings.run_dir, findings)
    report = findings.report()
    return {
        "ok": report.ok,
        "sequence": checked.sequences[0],
        "sequences": {str(shard): sequence for shard, sequence in checked.sequences.items()},
        "invariants": [asdict(invariant) for invariant in report.invariants],
        "violations": [
            asdict(violation)
            | {"amount": None if violation.amount is None else str(violation.amount)}
            for violation in report.violations
        ],
        "violation_count": report.violation_count,
    }


def _compared_books(run_dir: Path, findings: Findings) -> None:
    """Count how often processes held their books against those they come from, as they tell it."""
    for path in sorted(run_dir.glob("*.json")):
        detail = read_json(path).get("detail")
        checks = detail.get("book_checks") if isinstance(detail, dict) else None
        if not isinstance(detail, dict) or not checks:
            continue
        wrong = int(detail.get("books_wrong", 0))
        text = f"{path.stem} had a wrong book {wrong} times, and took it anew"
        findings.expect("public_books_equal_engine", not wrong, text, count=int(checks))


@contextmanager
def _reachable(folder: Path) -> Iterator[Settings]:
    """Give the settings of a running exchange, or of a stopped one with its database started."""
    from infra.settings import Settings

    known = environment(folder)
    if supervisor_pid(folder) is not None:
        yield Settings.of(known)
        return
    from workers.stack import build

    with owned(folder):
        postgres = build(folder).postgres
        if postgres is None or not (postgres.data_dir / "PG_VERSION").exists():
            yield Settings.of(known)  # a database of the user's own
            return
        postgres.start()
        try:
            yield Settings.of({**known, "RIALTO_DATABASE_URL": postgres.url})
        finally:
            postgres.stop()


def _places(sequences: dict[str, int]) -> str:
    if len(sequences) == 1:
        return f"sequence {sequences['0']}"
    return ", ".join(f"sequence {at} of shard {shard}" for shard, at in sequences.items())


def _print(found: dict[str, Any]) -> None:
    for violation in found["violations"]:
        where = f" (sequence {violation['sequence']})" if violation["sequence"] else ""
        typer.echo(f"VIOLATED {violation['invariant']}{where}: {violation['text']}")
    for invariant in found["invariants"]:
        mark = "holds   " if invariant["ok"] else "VIOLATED"
        typer.echo(f"{mark} {invariant['name']:32} {invariant['rows']:>10} rows")
    typer.echo(
        f"{found['violation_count']} violations at {_places(found['sequences'])}; "
        f"{len(found['invariants'])} invariants checked."
    )
