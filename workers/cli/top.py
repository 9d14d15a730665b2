"""`rialto top`: book, tape, account, components and workflows, live in a terminal."""

from __future__ import annotations

import asyncio
import shutil
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.context import EXIT_USAGE, DataOption, load

if TYPE_CHECKING:
    from workers.top_source import TopSource

_PLAIN_SIZE = (132, 44)  # of a frame that no terminal shows


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    app.command("top")(top)


def top(
    symbol: Annotated[str, typer.Option("--symbol", help="Market to begin with.")] = "",
    account: Annotated[
        str, typer.Option("--account", help="Whose orders and balances; default: the first.")
    ] = "",
    once: Annotated[bool, typer.Option("--once", help="Print one frame as text and end.")] = False,
    seconds: Annotated[
        float, typer.Option("--interval", min=0.2, max=60, help="Seconds between frames.")
    ] = 1.0,
    data: DataOption = None,
) -> None:
    """Watch the running exchange in this terminal: market, account, components, workflows."""
    from api.client.account import ApiAccount
    from workers.top_source import TopSource

    exchange = load(data)
    name = account or str(exchange.demo["accounts"][0]["name"])
    source = TopSource(exchange, ApiAccount(**exchange.account(name)))
    if once or not sys.stdout.isatty():
        asyncio.run(_print(source, symbol.upper()))
    else:
        with suppress(KeyboardInterrupt):
            asyncio.run(_watch(source, symbol.upper(), seconds))


async def _print(source: TopSource, symbol: str) -> None:
    from rich.console import Console

    from workers.top_view import frame

    columns, lines = shutil.get_terminal_size() if sys.stdout.isatty() else _PLAIN_SIZE
    console = Console(width=columns, height=lines)
    try:
        state = await source.read(symbol)
    finally:
        await source.close()
    if state.markets and state.symbol not in state.markets:
        typer.echo(f"no market {symbol}; there are: {', '.join(state.markets)}", err=True)
        raise typer.Exit(EXIT_USAGE)
    console.print(frame(state, lines))


async def _watch(source: TopSource, symbol: str, seconds: float) -> None:
    """Draw frames until `q` or Ctrl-C; the terminal is as before afterwards."""
    from rich.console import Console
    from rich.live import Live

    from workers.top_view import frame

    console, keys = Console(), asyncio.Queue[str]()
    with _keys_to(keys), Live(console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                state = await source.read(symbol)
                symbols = list(state.markets)
                symbol = state.symbol if state.symbol in symbols else next(iter(symbols), "")
                live.update(frame(state, console.height), refresh=True)
                try:
                    key = await asyncio.wait_for(keys.get(), seconds)
                except TimeoutError:
                    continue
                if key == "q":
                    return
                if key == "n" and symbols:
                    symbol = symbols[(symbols.index(symbol) + 1) % len(symbols)]
        finally:
            await source.close()


@contextmanager
def _keys_to(keys: asyncio.Queue[str]) -> Iterator[None]:
    """Put each key into the queue as it is pressed, without an echo, where there is a keyboard."""
    if not sys.stdin.isatty():
        yield
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    loop = asyncio.get_running_loop()
    tty.setcbreak(number)
    loop.add_reader(number, lambda: keys.put_nowait(sys.stdin.read(1)))
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)
