"""`rialto halt`, `cancel-only`, `resume`: stop and reopen trading, within a second.

`rialto market halt | cancel-only | resume SYMBOL` are the same for one market.
"""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from domain.instrument import PERPETUAL_SUFFIX
from domain.market import market_name
from matching.wire import MAX_ACTOR, MAX_REASON
from workers.cli.context import (
    EXIT_FAILED,
    EXIT_NOT_RUNNING,
    EXIT_USAGE,
    DataOption,
    JsonOption,
    data_dir,
    environment,
)

if TYPE_CHECKING:
    from infra.settings import Settings
    from workers.kill_switch import Switched

ShardOption = Annotated[
    int | None, typer.Option("--shard", min=0, help="One shard; default: every shard.")
]
MarketOption = Annotated[str, typer.Option("--market", help="One market, e.g. ETH/USDT.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; customers read it.")]
ByOption = Annotated[str, typer.Option("--by", help="Who decides.", show_default="your login")]
_HELP = {
    "HALTED": "Stop trading at once: no orders, no cancels; money may come in, not out.",
    "CANCEL_ONLY": "Take cancels only: whoever wants may leave, nobody may enter.",
    "NORMAL": "Open trading again after `halt` or `cancel-only`.",
}


def register(app: typer.Typer) -> None:
    """Add the three verbs."""
    for verb, mode in (("halt", "HALTED"), ("cancel-only", "CANCEL_ONLY"), ("resume", "NORMAL")):
        app.command(verb, help=_HELP[mode])(_verb(mode))


def _say_market(given: str) -> str:
    """Say how to name one market: without that word the verb is for whole shards."""
    if given:
        _end(
            f"For one market write --market {given}; without it whole shards are meant.", EXIT_USAGE
        )
    return given


StrayArgument = Annotated[
    str, typer.Argument(hidden=True, is_eager=True, callback=_say_market, show_default=False)
]


def _verb(mode: str) -> Callable[..., None]:
    def run(
        reason: ReasonOption,
        _stray: StrayArgument = "",
        shard: ShardOption = None,
        market: MarketOption = "",
        by: ByOption = "",
        data: DataOption = None,
        as_json: JsonOption = False,
    ) -> None:
        switch(mode, shard, market, said_by(by, reason), data, as_json=as_json)

    return run


def said_by(by: str, reason: str) -> tuple[str, str]:
    """Return who decides, the login where nobody is named, and why."""
    return by or getpass.getuser(), reason.strip()


def switch(
    mode: str,
    shard: int | None,
    market: str,
    said: tuple[str, str],
    data: Path | None,
    *,
    as_json: bool,
) -> None:
    """Do it, and end with 0 done, 1 refused or not everywhere, 2 usage, 3 no engine answers."""
    from infra.settings import Settings

    _require_printable(*said)
    if shard is not None and market:
        _end("Give either --shard or --market.", EXIT_USAGE)
    folder = data_dir(data)
    known = environment(folder)
    if not known:
        _end(f"No exchange has ever run in {folder}.", EXIT_NOT_RUNNING)
    settings = Settings.of(known)
    if shard is not None and shard >= settings.shard_count:
        _end(f"There are {settings.shard_count} shards, counted from 0.", EXIT_USAGE)
    found = asyncio.run(carry_out(settings, mode, shard, market, said))
    if as_json:
        typer.echo(json.dumps({"mode": mode.lower(), "shards": [asdict(one) for one in found]}))
    else:
        _print(mode, market, found)
    if all(one.unreachable for one in found):
        raise typer.Exit(EXIT_NOT_RUNNING)
    if not all(one.done for one in found):
        raise typer.Exit(EXIT_FAILED)


_PERPETUAL_TRIGGERS = {"reduce-only": "REDUCE", "halted": "HALT", "resumed": "RESUME"}


def set_perpetual(
    to: str,
    shard: int,
    symbol: str,
    said: tuple[str, str],
    data: Path | None,
    *,
    as_json: bool,
) -> None:
    """Move a perpetual market, by name or number, to another state; ends as `switch`."""
    from domain.risk_commands import Trigger
    from infra.settings import Settings
    from workers.kill_switch import switch_perpetual

    _require_printable(*said)
    if to not in _PERPETUAL_TRIGGERS:
        _end(f"--to takes {', '.join(_PERPETUAL_TRIGGERS)}, not {to[:32]!r}.", EXIT_USAGE)
    known = environment(data_dir(data))
    if not known:
        _end(f"No exchange has ever run in {data_dir(data)}.", EXIT_NOT_RUNNING)
    settings = Settings.of(known)
    if shard >= settings.shard_count:
        _end(f"There are {settings.shard_count} shards, counted from 0.", EXIT_USAGE)
    trigger = Trigger[_PERPETUAL_TRIGGERS[to]]

    async def carry_out() -> tuple[int, Switched]:
        place = (shard, int(symbol)) if symbol.isdecimal() else await find_market(settings, symbol)
        return place[1], await switch_perpetual(settings, *place, trigger, *said)

    symbol_id, found = asyncio.run(carry_out())
    if as_json:
        typer.echo(json.dumps({"to": to, "symbol_id": symbol_id, **asdict(found)}))
    elif found.done:
        typer.echo(f"{symbol} (shard {found.shard}) is {to} at sequence {found.sequence}")
    else:
        typer.echo(found.refused or f"no answer: {found.unreachable}", err=True)
    if not found.done:
        raise typer.Exit(EXIT_NOT_RUNNING if found.unreachable else EXIT_FAILED)


async def carry_out(
    settings: Settings, mode: str, shard: int | None, market: str, said: tuple[str, str]
) -> list[Switched]:
    """Do it at the engines; return what each answered."""
    from domain.order import ShardMode, SymbolState
    from workers.kill_switch import switch_market, switch_shards

    if not market:
        shards = range(settings.shard_count) if shard is None else [shard]
        return await switch_shards(settings, shards, ShardMode[mode], *said)
    state = SymbolState.OPEN if mode == "NORMAL" else SymbolState[mode]
    place = await find_market(settings, market)
    if market_name(market.upper()).endswith(PERPETUAL_SUFFIX):
        return [await _carry_out_perpetual(settings, mode, place, said)]
    return [await switch_market(settings, *place, state, *said)]


async def _carry_out_perpetual(
    settings: Settings, mode: str, place: tuple[int, int], said: tuple[str, str]
) -> Switched:
    """Halt a perpetual's phase, which its liquidations heed; resume that and its orders' state."""
    from domain.order import SymbolState
    from domain.risk_commands import Trigger
    from workers.kill_switch import switch_market, switch_perpetual

    if mode == "HALTED":
        return await switch_perpetual(settings, *place, Trigger.HALT, *said)
    if mode == "CANCEL_ONLY":
        return await switch_market(settings, *place, SymbolState.CANCEL_ONLY, *said)
    opened = await switch_market(settings, *place, SymbolState.OPEN, *said)
    resumed = await switch_perpetual(settings, *place, Trigger.RESUME, *said)
    return opened if resumed.refused == "state unchanged" else resumed


async def find_market(settings: Settings, symbol: str) -> tuple[int, int]:
    """Return (shard, symbol id), from the gateway's memory or else from PostgreSQL."""
    from infra.embedded.temporal import http_json
    from infra.postgres.engine import create
    from infra.postgres.markets import MarketStore

    name = market_name(symbol.upper())
    page = settings.gateway_public_url
    answer: Any = await asyncio.to_thread(http_json, f"{page}/v1/markets") if page else None
    listed = answer["markets"] if answer else []
    places = {market["symbol"]: (market["shard"], market["symbol_id"]) for market in listed}
    if not places:
        database = create(settings.database_url)
        try:
            markets = (await MarketStore(database).listings()).markets
        except ConnectionError:
            text = "Nobody can say where that market is; --shard does not need to know."
            _end(text, EXIT_NOT_RUNNING)
        finally:
            await database.dispose()
        places = {m.instrument.symbol: (m.shard, m.instrument.symbol_id) for m in markets}
    if name not in places:
        _end(f"There is no market {symbol}; there are {', '.join(sorted(places))}.", EXIT_USAGE)
    return places[name]


def _require_printable(actor: str, reason: str) -> None:
    for name, text, longest in (("--by", actor, MAX_ACTOR), ("--reason", reason, MAX_REASON)):
        if not text or len(text) > longest or not (text.isascii() and text.isprintable()):
            _end(f"{name} takes 1 to {longest} printable ASCII characters.", EXIT_USAGE)


def _print(mode: str, market: str, found: list[Switched]) -> None:
    word = {"HALTED": "halted", "CANCEL_ONLY": "cancel-only", "NORMAL": "open"}[mode]
    for one in found:
        place = f"{market} (shard {one.shard})" if market else f"shard {one.shard}"
        if one.done:
            after = f"at sequence {one.sequence}, after {one.seconds * 1000:.0f} ms"
            typer.echo(f"{place} is {word} {after}")
            if mode == "NORMAL" and not market and one.closed_markets:
                count = len(one.closed_markets)
                typer.echo(f"{count} of its markets stay closed by themselves: `rialto status`")
        else:
            typer.echo(f"{place}: {one.refused or 'no answer: ' + one.unreachable}", err=True)


def _end(text: str, code: int) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(code)
