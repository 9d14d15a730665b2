"""`rialto prices`: what outside sources say, and shocks for the synthetic ones."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, NoReturn

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, DataOption, JsonOption, load

_VENUES = "binance,coinbase,kraken"


def register(app: typer.Typer) -> None:
    """Add `prices` and its verbs."""
    prices = typer.Typer(
        help="Outside prices, of which the index is made.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    prices.command("watch")(watch)
    prices.command("shock")(shock)
    app.add_typer(prices, name="prices")


def watch(
    markets: Annotated[
        list[str] | None,
        typer.Option("--market", help="A market such as BTC/USDT; may be repeated."),
    ] = None,
    sources: Annotated[
        str, typer.Option("--from", help="Venues by name, with commas; or: synthetic.")
    ] = _VENUES,
    urls: Annotated[
        list[str] | None,
        typer.Option("--url", help="Another address of a venue: kraken=wss://HOST/v2; repeated."),
    ] = None,
    tick: Annotated[str, typer.Option(help="The tick that prices are rounded to.")] = "0.01",
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="How long to listen at most.")
    ] = 15.0,
    as_json: JsonOption = False,
) -> None:
    """Listen to price sources until each market has an index; no exchange needed.

    Connects to the venues' public WebSockets by the same adapters as the exchange. Shows each
    source's newest price, what was refused and why, and the index that would come of it.
    """
    import asyncio
    from pathlib import Path

    from domain.instrument import on_grid
    from domain.money import DecimalTextError
    from infra.prices.builder import build_sources
    from infra.prices.source import PricedMarket
    from workers.price_watch import clock_us, listen

    wanted = []
    for number, symbol in enumerate(dict.fromkeys(markets or ["BTC/USDT"]), 1):
        match = re.fullmatch(r"([A-Z0-9]{1,16})/([A-Z0-9]{1,16})", symbol)
        if match is None:
            _refuse(f"--market takes a symbol such as BTC/USDT, not {symbol[:40]!r}")
        wanted.append((number, symbol, match[1], match[2]))
    try:
        found = build_sources(sources, clock_us, run_dir=Path(), urls=_by_name(urls or []))
        start = on_grid("1", tick)
    except (DecimalTextError, ZeroDivisionError):
        _refuse(f"--tick takes a decimal that divides 1, such as 0.01, not {tick[:40]!r}")
    except ValueError as error:
        _refuse(str(error))
    priced = [PricedMarket(*one, tick_size=tick, start_ticks=start) for one in wanted]
    report = asyncio.run(listen(found, priced, seconds))
    typer.echo(json.dumps(report, indent=1) if as_json else _text(report))
    if any(market["index"] is None for market in report["markets"]):
        raise typer.Exit(EXIT_FAILED)


def shock(
    symbol: Annotated[str, typer.Argument(help="The market, e.g. BTC/USDT.")],
    percent: Annotated[
        float, typer.Argument(help="How far; a fall goes after `--`: -- -20.", show_default=False)
    ] = 0.0,
    ramp: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds until it is there, and back again.")
    ] = 5.0,
    hold: Annotated[float, typer.Option(min=0, max=86_400, help="Seconds that it stays.")] = 60.0,
    source: Annotated[
        str, typer.Option(help="Only this one lies: synthetic-1, -2 or -3.", show_default="all")
    ] = "",
    silent: Annotated[
        bool, typer.Option("--silent", help="Move nothing: let the sources fall silent.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Shake the synthetic prices of a running exchange, for a demonstration.

    Prices go by so many per cent within `--ramp` seconds, stay for `--hold` and come back. With
    `--silent` they stop coming instead, and the index goes stale. Real venues are not concerned.
    """
    from infra.prices.shocks import Shock, ShockFile
    from infra.prices.synthetic import SYNTHETIC
    from workers.price_watch import clock_us

    if source not in ("", *SYNTHETIC):
        _refuse(f"--source takes one of {', '.join(SYNTHETIC)}, not {source[:40]!r}")
    if not silent and percent == 0:
        _refuse("say how far, e.g. 10 or -- -20; or let the sources fall silent with --silent")
    running = load(data)
    now_us = clock_us()
    try:
        wanted = Shock(
            symbol,
            now_us,
            0 if silent else round(percent * 10_000),
            0 if silent else round(ramp * 1_000_000),
            round(hold * 1_000_000),
            source,
            silent,
        )
    except ValueError as error:
        _refuse(str(error))
    ShockFile(running.data_dir / "run").add(wanted, now_us)
    what = "are silent" if silent else f"go by {percent:g} %"
    typer.echo(
        f"{source or 'all sources'}: prices of {symbol} {what} until "
        f"{(wanted.end_us - now_us) / 1_000_000:g} seconds from now"
    )


def _by_name(urls: list[str]) -> dict[str, str]:
    found = {}
    for text in urls:
        name, _, url = text.partition("=")
        if not url.startswith(("ws://", "wss://")):
            _refuse(f"--url takes a venue's name and its address, not {text[:80]!r}")
        found[name] = url
    return found


def _refuse(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(EXIT_USAGE)


def _text(report: dict[str, Any]) -> str:
    names = {source["source_id"]: source["name"] for source in report["sources"]}
    lines = []
    for market in report["markets"]:
        lines.append(f"{market['market']}: index {market['index'] or '- (needs three sources)'}")
        for price in market["prices"]:
            left_out = "" if price["used"] else "  left out: too far from the others"
            name = names[price["source_id"]]
            lines.append(f"  {name:12} {price['price']:>18} {price['age_ms']:>6} ms old{left_out}")
    lines.append("sources:")
    for source in report["sources"]:
        refused = ", ".join(f"{count} {name}" for name, count in source["refused"].items())
        lines.append(
            f"  {source['name']:12} {source['prices']} prices in {source['frames']} messages"
            + (f"; refused {refused}" if refused else "")
            + (f"; {source['failure']}" if source["failure"] else "")
        )
    return "\n".join(lines)
