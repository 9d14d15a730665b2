"""`rialto market`: list, show, add, set, delist with two signatures; halt and resume at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.market import market_name
from workers.cli import perpetual_market
from workers.cli.context import EXIT_USAGE, DataOption, JsonOption
from workers.cli.database import at_desk
from workers.cli.kill_switch import ByOption, ReasonOption, said_by, switch
from workers.cli.market_options import (
    SymbolArgument,
    WhyOption,
    read_object,
    tell_change,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from domain.market_change import MarketChange
    from infra.settings import Settings

ChangeArgument = Annotated[str, typer.Argument(metavar="ID", help="The change's id.")]
FeesOption = Annotated[
    str,
    typer.Option(
        "--fees",
        metavar="MAKER:TAKER,...",
        help="Rates in ppm by tier, from tier 0 on; tiers beyond pay like the last.",
    ),
]
BandOption = Annotated[
    int | None, typer.Option("--band-ppm", help="How far from the last price orders may go.")
]
OrderOption = Annotated[str, typer.Option("--max-order", help="Largest order, in base.")]
OpenOption = Annotated[
    int | None, typer.Option("--max-open-orders", help="Open orders of one account.")
]
PositionOption = Annotated[
    str, typer.Option("--max-position", help="What an account may have of the base; 0: no limit.")
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        help="Markets: what there is, and changes with a reason and two officers' signatures.",
        no_args_is_help=True,
    )
    group.command("list")(list_markets)
    group.command("show")(show)
    group.command("add")(add)
    group.command("set")(set_rules)
    group.command("delist")(delist)
    group.command("sign")(sign)
    group.command("abandon")(abandon)
    for verb, mode, does in (
        ("halt", "HALTED", "Stop one market at once; the same as `rialto halt --market`."),
        ("cancel-only", "CANCEL_ONLY", "Take cancels only, as `rialto cancel-only --market`."),
        ("resume", "NORMAL", "Open one market again, as `rialto resume --market`."),
    ):
        group.command(verb, help=does)(_switching(mode))
    perpetual_market.add_to(group)
    app.add_typer(group, name="market")


def _switching(mode: str) -> Callable[..., None]:
    def run(
        symbol: SymbolArgument,
        reason: ReasonOption,
        by: ByOption = "",
        data: DataOption = None,
        as_json: JsonOption = False,
    ) -> None:
        switch(mode, None, symbol, said_by(by, reason), data, as_json=as_json)

    return run


def list_markets(
    changes: Annotated[
        bool, typer.Option("--changes", help="The newest changes instead, open ones with a *.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the markets, or what was and is proposed for them."""

    async def work(engine: AsyncEngine, _: Settings) -> list[dict[str, Any]]:
        from workers import market_desk as desk

        if not changes:
            return await desk.markets(engine)
        recent = await desk.store_of(engine).recent(50)
        return [desk.as_json(change, list(signed)) for change, signed in recent]

    found = at_desk(data, work)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    if not found:
        typer.echo("nothing is proposed" if changes else "no market is listed yet")
    for row in found:
        if changes:
            mark = "*" if row["state"] == "proposed" else " "
            at = f" at sequence {row['sequence']}" if row["sequence"] else ""
            typer.echo(f"{mark} {row['change_id']} {row['state']}{at}: {row['summary']}")
            if row["failure"] and row["state"] == "proposed":
                typer.echo(f"    parked: the engine refuses: {row['failure']}")
        else:
            typer.echo(f"{row['symbol']:<12} shard {row['shard']}  {_standing(row)}")


def show(symbol: SymbolArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show a market's terms and every rules it has had, with their sequences."""

    async def work(engine: AsyncEngine, _: Settings) -> dict[str, Any]:
        from workers import market_desk as desk

        return await desk.market(engine, symbol)

    found = at_desk(data, work)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo(f"{found['symbol']} (number {found['symbol_id']}, shard {found['shard']})")
    typer.echo(_standing(found))
    for name in (
        "tick_size", "lot_size", "listing_price", "band_ppm", "max_order", "max_open_orders",
        "max_position", "max_taker_fee_ppm", "fees",
    ):  # fmt: skip
        typer.echo(f"  {name:<18} {found[name]}")
    for name, value in sorted(found.get("perpetual", {}).items()):
        typer.echo(f"  {name:<26} {value}")
    for event in found["history"]:
        rules = {name: event["rules"][name] for name in sorted(event["rules"])}
        typer.echo(f"  sequence {event['sequence']}: {event['event']} {rules or ''}")


def _standing(row: dict[str, Any]) -> str:
    if row["delisted_sequence"] is not None:
        return f"delisted at sequence {row['delisted_sequence']}"
    if row["listed_sequence"] is None:
        return "not listed by its engine yet"
    return f"listed at sequence {row['listed_sequence']}"


def add(
    symbol: SymbolArgument,
    tick: Annotated[str, typer.Option("--tick", help="Smallest step of the price.")],
    lot: Annotated[str, typer.Option("--lot", help="Smallest step of the quantity.")],
    price: Annotated[str, typer.Option("--price", help="Listing price: the band's first middle.")],
    fees: FeesOption,
    max_order: OrderOption,
    reason: WhyOption,
    band_ppm: BandOption = 100_000,
    max_open_orders: OpenOption = 200,
    max_position: PositionOption = "0",
    max_taker_fee_ppm: Annotated[
        int | None,
        typer.Option(
            "--max-taker-fee-ppm",
            help="No rate can be raised above it later; orders hold at it.",
            show_default="the highest taker rate",
        ),
    ] = None,
    shard: Annotated[int, typer.Option("--shard", min=0, help="Whose engine trades it.")] = 0,
    asset_file: Annotated[
        Path | None,
        typer.Option("--asset-file", help="JSON with the terms of a base asset that is new."),
    ] = None,
    perpetual: Annotated[
        Path | None,
        typer.Option(
            "--perpetual",
            help="JSON with the terms of a perpetual: brackets, cap, impact, max_leverage, ...; "
            "docs/runbooks/market-listing.md has one.",
        ),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose a new market; two officers must sign it within a day."""
    rates = _rates(fees)
    terms = {
        "tick_size": tick,
        "lot_size": lot,
        "listing_price": price,
        "max_taker_fee_ppm": (
            max(taker for _, taker in rates) if max_taker_fee_ppm is None else max_taker_fee_ppm
        ),
        "band_ppm": band_ppm,
        "max_order": max_order,
        "max_open_orders": max_open_orders,
        "max_position": max_position,
        "fees": rates,
    }
    asset = read_object(asset_file, "--asset-file")
    risk = read_object(perpetual, "--perpetual") if perpetual else None

    async def work(engine: AsyncEngine, settings: Settings) -> MarketChange:
        from workers import market_desk as desk

        name = market_name(symbol.upper())
        wanted = desk.Wanted(reason)
        asked = terms if risk is None else terms | {"perpetual": risk}
        return await desk.propose_listing(engine, settings, name, shard, asked, asset, wanted)

    tell_change(at_desk(data, work), as_json=as_json)


def set_rules(
    symbol: SymbolArgument,
    reason: WhyOption,
    band_ppm: BandOption = None,
    max_order: OrderOption = "",
    max_open_orders: OpenOption = None,
    max_position: PositionOption = "",
    fees: FeesOption = "",
    perpetual: perpetual_market.TermsOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose other rules of a market, or other risk terms of a perpetual; the rest stays."""
    given = {
        "band_ppm": band_ppm,
        "max_order": max_order or None,
        "max_open_orders": max_open_orders,
        "max_position": max_position or None,
        "fees": _rates(fees) if fees else None,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if perpetual is not None:
        perpetual_market.set_terms(
            symbol, perpetual, reason, data, alone=not changes, as_json=as_json
        )
        return
    if not changes:
        typer.echo("Say what is to change: see `rialto market set --help`.", err=True)
        raise typer.Exit(EXIT_USAGE)

    async def work(engine: AsyncEngine, settings: Settings) -> MarketChange:
        from workers import market_desk as desk

        return await desk.propose_rules(engine, settings, symbol, changes, desk.Wanted(reason))

    tell_change(at_desk(data, work), as_json=as_json)


def delist(
    symbol: SymbolArgument, reason: WhyOption, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Propose to close a market for ever: orders are cancelled, balances and history stay."""

    async def work(engine: AsyncEngine, settings: Settings) -> MarketChange:
        from workers import market_desk as desk

        return await desk.propose_delisting(engine, settings, symbol, desk.Wanted(reason))

    tell_change(at_desk(data, work), as_json=as_json)


def sign(
    change_id: ChangeArgument,
    officer: Annotated[str, typer.Option("--officer", help="Whose key signs.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a change; with the second officer's signature it goes to the engine."""
    import sys

    async def find(engine: AsyncEngine, _: Settings) -> MarketChange:
        from workers import market_desk as desk

        return (await desk.load(engine, change_id))[0]

    found = at_desk(data, find)
    if not as_json:
        typer.echo(f"{officer} signs: {found.statement()}")
    if not yes and not as_json and sys.stdin.isatty():
        typer.confirm("Sign this?", abort=True)

    async def work(engine: AsyncEngine, settings: Settings) -> tuple[int, MarketChange]:
        from workers import market_desk as desk

        return await desk.sign(engine, settings, officer, found)

    signatures, change = at_desk(data, work)
    answer = {"signatures": signatures, "state": change.state, "sequence": change.sequence}
    if as_json:
        typer.echo(json.dumps(answer | {"failure": change.failure}))
        return
    typer.echo(f"recorded; {signatures} of 2")
    if change.sequence is not None:
        typer.echo(f"{change.summary()}: in force at sequence {change.sequence}")
    elif change.failure:
        typer.echo(f"parked: the engine refuses: {change.failure}", err=True)


def abandon(
    change_id: ChangeArgument,
    reason: WhyOption,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a change up that no engine has carried out; it needs no signature."""

    async def work(engine: AsyncEngine, settings: Settings) -> str:
        from workers import market_desk as desk

        change, _ = await desk.load(engine, change_id)
        return await desk.abandon(settings, change, reason)

    state = at_desk(data, work)
    typer.echo(json.dumps({"state": state}) if as_json else f"the change is {state}")


def _rates(text: str) -> list[list[int]]:
    """Return [maker, taker] by tier of "1000:2000,500:1500"; anything else is a usage error."""
    try:
        rows = [[int(ppm) for ppm in pair.split(":")] for pair in text.split(",")]
    except ValueError:
        rows = [[]]
    if any(len(row) != 2 for row in rows):
        typer.echo(f"--fees takes MAKER:TAKER,... in ppm, not {text[:80]!r}", err=True)
        raise typer.Exit(EXIT_USAGE)
    return rows
