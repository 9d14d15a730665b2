"""`rialto market`, for perpetuals: restrict at once; terms, an end, cash for the fund by two."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.market import market_name
from workers.cli.context import EXIT_USAGE, DataOption, JsonOption
from workers.cli.database import at_desk
from workers.cli.kill_switch import ByOption, ReasonOption, said_by, set_perpetual
from workers.cli.market_options import SymbolArgument, WhyOption, read_object, tell_change

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from domain.market_change import MarketChange
    from infra.settings import Settings

TermsOption = Annotated[
    Path | None,
    typer.Option(
        "--perpetual",
        help="JSON with the risk terms of a perpetual that change; a change of its own.",
    ),
]


def add_to(group: typer.Typer) -> None:
    """Add the verbs."""
    group.command("perpetual")(restrict)
    group.command("settle")(settle)
    group.command("top-up")(top_up)


def restrict(
    symbol: Annotated[
        str, typer.Argument(metavar="SYMBOL", help="e.g. ETH/USDT-PERP, or a market's number.")
    ],
    to: Annotated[str, typer.Option("--to", help="reduce-only, halted, or resumed.")],
    reason: ReasonOption,
    shard: Annotated[
        int, typer.Option("--shard", min=0, help="Whose engine trades a market given by number.")
    ] = 0,
    by: ByOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restrict, halt or resume a perpetual market at once; it comes back through GUARDED."""
    set_perpetual(to, shard, symbol, said_by(by, reason), data, as_json=as_json)


def set_terms(
    symbol: str, path: Path, reason: str, data: Path | None, *, alone: bool, as_json: bool
) -> None:
    """Propose other risk terms of a perpetual."""
    if not alone:
        typer.echo("Risk terms are a change of their own: give --perpetual alone.", err=True)
        raise typer.Exit(EXIT_USAGE)
    document = read_object(path, "--perpetual")

    async def work(engine: AsyncEngine, settings: Settings) -> MarketChange:
        from workers import perpetual_desk as desk
        from workers.market_desk import Wanted

        wanted = Wanted(reason)
        return await desk.propose_risk(engine, settings, _named(symbol), document, wanted)

    tell_change(at_desk(data, work), as_json=as_json)


def settle(
    symbol: SymbolArgument, reason: WhyOption, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Propose to end a halted perpetual for ever: everybody is closed at its final index."""

    async def work(engine: AsyncEngine, settings: Settings) -> MarketChange:
        from workers import perpetual_desk as desk
        from workers.market_desk import Wanted

        wanted = Wanted(reason)
        return await desk.propose_settlement(engine, settings, _named(symbol), wanted)

    tell_change(at_desk(data, work), as_json=as_json)


def top_up(
    symbol: SymbolArgument,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="Of the quote asset.")],
    reason: WhyOption,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose cash of the house for the insurance fund of a shard."""

    async def work(engine: AsyncEngine, settings: Settings) -> MarketChange:
        from workers import perpetual_desk as desk
        from workers.market_desk import Wanted

        wanted = Wanted(reason)
        return await desk.propose_top_up(engine, settings, _named(symbol), amount, wanted)

    tell_change(at_desk(data, work), as_json=as_json)


def _named(symbol: str) -> str:
    return market_name(symbol.upper())
