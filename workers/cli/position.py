"""`rialto position`: an account's positions in perpetuals, and what backs them."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from domain.market import market_name
from workers.cli import order_text, position_text
from workers.cli.context import EXIT_FAILED, DataOption, JsonOption, load
from workers.cli.order_options import AccountOption, call, given, usage

if TYPE_CHECKING:
    from api.client.call import Call
    from api.schemas.perpetuals import EventText, ModeText

PerpetualArgument = Annotated[str, typer.Argument(help="Perpetual market, e.g. ETH/USDT-PERP.")]
SymbolOption = Annotated[str, typer.Option("--symbol", help="Only this market.")]
QuantityOption = Annotated[
    str, typer.Option("--quantity", help="Close only so much; default: all of it.")
]
LimitOption = Annotated[
    str, typer.Option("--limit", help="Close at this price or better; default: at the market.")
]
ModeArgument = Annotated[str, typer.Argument(help="cross or isolated.")]
DirectionArgument = Annotated[str, typer.Argument(help="in (to the position) or out.")]
AmountArgument = Annotated[str, typer.Argument(help="Amount of the quote asset, e.g. 500.")]
MoveIdOption = Annotated[
    str, typer.Option("--move-id", help="Your name of the move: it is made once. Default: a new.")
]
KindOption = Annotated[
    str, typer.Option("--kind", help="Only funding, takeover, deleveraging or settlement.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    position = typer.Typer(
        help="Positions in perpetuals: list and close them, choose leverage and margin.",
        no_args_is_help=True,
    )
    position.command("list")(list_positions)
    position.command("close")(close)
    position.command("leverage")(leverage)
    position.command("margin-mode")(margin_mode)
    position.command("move-margin")(move_margin)
    position.command("history")(history)
    app.add_typer(position, name="position")


def list_positions(
    symbol: SymbolOption = "",
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List open positions with their margin and liquidation price, and the cash behind them."""
    answer = call(load(data), account, as_json, lambda: _listed(symbol))
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    position_text.print_positions(answer)


def close(
    symbol: PerpetualArgument,
    quantity: QuantityOption = "",
    limit: LimitOption = "",
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a position, or a part of it, with an order that cannot open another one."""
    exchange = load(data)
    found = call(exchange, account, as_json, lambda: _listed(symbol))["positions"]
    held = next((one["quantity"] for one in found if one["quantity"] != "0"), "0")
    if held == "0":
        typer.echo(f"There is no position in {_name(symbol)}.", err=True)
        raise typer.Exit(EXIT_FAILED)
    whole = not quantity and not limit
    order = given(
        symbol=_name(symbol),
        side="buy" if held.startswith("-") else "sell",
        type="limit" if limit else "market",
        price=limit,
        quantity="" if whole else quantity or held.removeprefix("-"),
        reduce_only=not whole,
        close_position=whole,
    )

    def wanted() -> Call[Any]:
        from api.client import orders
        from api.schemas.orders import PlaceOrderIn

        return orders.place(PlaceOrderIn.model_validate(order))

    answer = call(exchange, account, as_json, wanted)
    typer.echo(json.dumps(answer, indent=1) if as_json else order_text.describe(answer))


def leverage(
    symbol: PerpetualArgument,
    times: Annotated[int, typer.Argument(help="1 or more; the market says how much at most.")],
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose a market's leverage: the initial margin there is at least 1 / leverage."""

    def chosen() -> Call[Any]:
        from api.client import positions

        return positions.set_leverage(_name(symbol), times)

    answer = call(load(data), account, as_json, chosen)
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    was = answer["previous_leverage"]
    typer.echo(f"{answer['symbol']}: leverage {answer['leverage']}, it was {was}.")


def margin_mode(
    symbol: PerpetualArgument,
    mode: ModeArgument,
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose what backs a market's position, while there is neither one nor an open order.

    cross: the account's cash, for all positions together. isolated: cash of its own.
    """
    wanted = mode.lower()
    if wanted not in ("cross", "isolated"):
        usage("The mode is cross or isolated.")

    def chosen() -> Call[Any]:
        from api.client import positions

        return positions.set_margin_mode(_name(symbol), cast("ModeText", wanted))

    answer = call(load(data), account, as_json, chosen)
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    back = f"; {answer['released']} went back to the account" if answer["released"] != "0" else ""
    typer.echo(f"{answer['symbol']}: {answer['mode']} margin{back}.")


def move_margin(
    direction: DirectionArgument,
    symbol: PerpetualArgument,
    amount: AmountArgument,
    move_id: MoveIdOption = "",
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move cash into an isolated position, or what it does not need out of it."""
    wanted = direction.lower()
    if wanted not in ("in", "out"):
        usage("The direction is in or out.")
    move = {
        "symbol": _name(symbol),
        "direction": wanted,
        "amount": amount,
        "move_id": move_id or f"cli-{uuid.uuid4().hex}",
        "created_at_us": time.time_ns() // 1_000,
    }

    def moved() -> Call[Any]:
        from api.client import positions
        from api.schemas.perpetuals import MarginMoveIn

        return positions.move_margin(MarginMoveIn.model_validate(move))

    answer = call(load(data), account, as_json, moved)
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
    elif answer["duplicate"]:
        typer.echo("This move was made before; nothing new happened.")
    else:
        typer.echo(f"{answer['symbol']}: the position's own cash is {answer['margin']} now.")


def history(
    symbol: SymbolOption = "",
    kind: KindOption = "",
    count: Annotated[int, typer.Option("--count", min=1, max=500, help="How many.")] = 20,
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List fundings, takeovers, deleveragings and settlements of your positions, newest first."""

    def asked() -> Call[Any]:
        from api.client import positions

        return positions.history(_name(symbol), cast("EventText", kind.lower()), limit=count)

    answer = call(load(data), account, as_json, asked)
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
    elif answer["events"]:
        position_text.print_history(answer["events"])
    else:
        typer.echo("Nothing has happened to your positions beside fills.")


def _listed(symbol: str) -> Call[Any]:
    from api.client import positions

    return positions.listed(_name(symbol))


def _name(symbol: str) -> str:
    return market_name(symbol.upper())
