"""`rialto ops`, `approve`, `reject`, `void`, `faucet`: what staff do with the wallet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from workers.cli.context import (
    EXIT_FAILED,
    EXIT_NOT_RUNNING,
    EXIT_USAGE,
    DataOption,
    JsonOption,
    load,
)

Answer = TypeVar("Answer")
OfficerOption = Annotated[
    str, typer.Option("--officer", help="Whose key signs; at a terminal the demo's marta.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")]
_DEFAULT_OFFICER = "marta"


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    ops = typer.Typer(
        help="Look at running deposits, withdrawals, changes; retry whatever is parked."
    )
    ops.command("list")(list_open)
    ops.command("retry")(retry)
    app.add_typer(ops, name="ops")
    app.command("approve")(approve)
    app.command("reject")(reject)
    app.command("void")(void)
    app.command("faucet")(faucet)


def list_open(
    query: Annotated[
        str, typer.Option("--query", help="Temporal query, or `parked`; default: all open.")
    ] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List running deposits, withdrawals, transfers, adjustments and changes of markets.

    Of everything else, settlement and liquidations too, what is parked.
    """
    from workers import officer_desk as desk
    from workers.wallet_queries import OPEN_WORK

    settings = load(data).settings
    found = _run(desk.open_work(settings, query or OPEN_WORK))
    if as_json:
        typer.echo(json.dumps(desk.as_json(found), indent=1))
        return
    if not found:
        typer.echo("nothing is open")
    for work in found:
        about = "" if work.about_usd is None else f"about {work.about_usd:,} USD"
        whose = f"account {work.account}" if work.account else work.symbol
        typer.echo(
            f"{work.stage:<18} {work.amount:>16} {work.asset:<5} {about:<20} {whose:<14} "
            f"{work.workflow_id}{'  paused in Temporal' if work.paused else ''}"
        )


def retry(
    name: Annotated[str, typer.Argument(metavar="[ID]", help="A withdrawal or workflow id.")] = "",
    query: Annotated[
        str, typer.Option("--query", help="Retry what is parked and found; `parked` is all.")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="For the record.")] = "cause removed",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Retry a parked step: one workflow by id, or all that a query finds."""
    from workers import officer_desk as desk

    if bool(name) == bool(query):
        typer.echo("give an id, or --query", err=True)
        raise typer.Exit(EXIT_USAGE)
    settings = load(data).settings
    if query:
        batch = _run(desk.retry_all(settings, query))
        if as_json:
            typer.echo(json.dumps({"asked": batch.asked, "skipped": batch.skipped}))
        else:
            typer.echo(f"{len(batch.asked)} asked to retry")
            for workflow_id, why in batch.skipped.items():
                typer.echo(f"skipped {workflow_id}: {why}", err=True)
        if batch.skipped:
            raise typer.Exit(EXIT_FAILED)
        return
    stage = _run(desk.retry(settings, name, reason))
    typer.echo(json.dumps({"stage": stage}) if as_json else f"goes on at {stage or 'once'}")


def approve(
    withdrawal_id: Annotated[str, typer.Argument(metavar="ID")],
    officer: OfficerOption = "",
    yes: YesOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign an approval of a withdrawal."""
    _decide(withdrawal_id, "approve", officer, data, ask=not (yes or as_json), as_json=as_json)


def reject(
    withdrawal_id: Annotated[str, typer.Argument(metavar="ID")],
    officer: OfficerOption = "",
    yes: YesOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a rejection of a withdrawal; its amount goes back to the customer."""
    _decide(withdrawal_id, "reject", officer, data, ask=not (yes or as_json), as_json=as_json)


def void(
    withdrawal_id: Annotated[
        str, typer.Argument(metavar="ID", help="A withdrawal, or `payment-ID` of one of ours.")
    ],
    officer: OfficerOption = "",
    yes: YesOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give up a parked payment that has its nonce already; two officers must sign.

    The nonce is used up by a transaction that pays nobody, at a higher fee. Whichever is mined
    decides: the payment, or the void, after which a customer's amount goes back to him.
    """
    _decide(withdrawal_id, "void", officer, data, ask=not (yes or as_json), as_json=as_json)


def _decide(
    withdrawal_id: str, action: str, officer: str, data: Path | None, *, ask: bool, as_json: bool
) -> None:
    from workers import officer_desk as desk

    if not officer and not _is_terminal():
        typer.echo("name the officer whose key signs: --officer NAME", err=True)
        raise typer.Exit(EXIT_USAGE)
    officer = officer or _DEFAULT_OFFICER
    settings = load(data).settings
    statement = _run(desk.statement_for(settings, withdrawal_id, action))
    if not as_json:
        typer.echo(f"{officer} signs: {statement.canonical()}")
    if ask and _is_terminal():
        typer.confirm("Sign this?", abort=True)
    result = _run(desk.decide(settings, officer, statement, withdrawal_id))
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "state": result.state,
                    "approvals": result.approvals,
                    "approvals_needed": result.approvals_needed,
                }
            )
        )
    else:
        typer.echo(
            f"recorded; {result.approvals} of {result.approvals_needed} "
            f"{'signatures' if action == 'void' else 'approvals'}, state {result.state}"
        )


def _is_terminal() -> bool:
    import sys

    return sys.stdin.isatty()


def faucet(
    receiver: Annotated[str, typer.Argument(metavar="CUSTOMER|hot")],
    asset: str,
    amount: str,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pay demo coins to a customer's deposit address, or refill the hot wallet; on the chain."""
    from workers import officer_desk as desk

    tx_hash = _run(desk.faucet(load(data).settings, receiver, asset, amount))
    typer.echo(json.dumps({"tx_hash": tx_hash}) if as_json else f"sent: {tx_hash}")


def _run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run `work`; what does not make sense ends with 1 or 2, what cannot be reached with 3."""
    from sqlalchemy.exc import SQLAlchemyError
    from temporalio.service import RPCError

    from infra.wallet.rpc import ChainUnavailableError
    from workers.officer_desk import DeskError, QueryError

    try:
        return asyncio.run(work)
    except QueryError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from error
    except DeskError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error
    except (RuntimeError, OSError, RPCError, SQLAlchemyError, ChainUnavailableError) as error:
        typer.echo(f"not reachable: {error}", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING) from error
