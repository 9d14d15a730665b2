"""What the verbs of `rialto market` share: arguments, a file to read, a proposal to print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli.context import EXIT_USAGE

if TYPE_CHECKING:
    from domain.market_change import MarketChange

SymbolArgument = Annotated[str, typer.Argument(metavar="SYMBOL", help="e.g. ETH/USDT")]
WhyOption = Annotated[str, typer.Option("--reason", help="Why; it is signed and stored for ever.")]


def read_object(path: Path | None, option: str) -> dict[str, Any]:
    """Return a file's JSON object, {} without a file; anything else is a usage error."""
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        typer.echo(f"{option}: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from error
    if not isinstance(found, dict):
        typer.echo(f"{option}: not a JSON object", err=True)
        raise typer.Exit(EXIT_USAGE)
    return found


def tell_change(change: MarketChange, *, as_json: bool) -> None:
    """Print what was proposed and how it is signed."""
    if as_json:
        from workers.market_desk import as_json as shown

        typer.echo(json.dumps(shown(change, []), indent=1))
        return
    typer.echo(f"proposed: {change.summary()}")
    typer.echo(f"rialto market sign {change.change_id} --officer NAME")
