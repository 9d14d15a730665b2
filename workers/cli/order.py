"""`rialto order`: the orders of the demo's first account, or another's, by the public API."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from domain.market import market_name
from workers.cli import order_lists, order_text
from workers.cli.context import EXIT_FAILED, DataOption, JsonOption, load
from workers.cli.order_options import (
    AccountOption,
    ClientIdOption,
    CloseOption,
    DisplayOption,
    DryRunOption,
    LimitOption,
    MarketOption,
    OrderIdArgument,
    PostOnlyOption,
    QuantityArgument,
    QuoteOption,
    ReduceOption,
    SelfTradeOption,
    SideArgument,
    SourceOption,
    StopOption,
    SymbolArgument,
    TakeProfitOption,
    TifOption,
    TrailOption,
    UntilOption,
    call,
    given,
    microseconds,
    usage,
)

if TYPE_CHECKING:
    from api.client.call import Call
    from api.schemas.orders import SideText


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    order = typer.Typer(help="Place, amend, list and cancel orders.", no_args_is_help=True)
    order.command("buy")(_on_side("buy"))
    order.command("sell")(_on_side("sell"))
    order.command("place")(place)
    order.command("oco")(order_lists.oco)
    order.command("bracket")(order_lists.bracket)
    order.command("amend")(amend)
    order.command("list")(list_orders)
    order.command("cancel")(cancel)
    order.command("dead-mans-switch")(dead_mans_switch)
    app.add_typer(order, name="order")


def place(
    side: SideArgument,
    symbol: SymbolArgument,
    quantity: QuantityArgument = "",
    market: MarketOption = False,
    limit: LimitOption = "",
    stop: StopOption = "",
    take_profit: TakeProfitOption = "",
    trail: TrailOption = "",
    source: SourceOption = "",
    quote: QuoteOption = "",
    tif: TifOption = "",
    until: UntilOption = "",
    display: DisplayOption = "",
    post_only: PostOnlyOption = False,
    reduce_only: ReduceOption = False,
    close_position: CloseOption = False,
    self_trade: SelfTradeOption = "",
    client_id: ClientIdOption = "",
    dry_run: DryRunOption = False,
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Place an order at the market or at a limit, now or when the price is reached."""
    if market == bool(limit):
        usage("Give either --market or --limit PRICE.")
    if sum(map(bool, (stop, take_profit, trail))) > 1:
        usage("Give one of --stop, --take-profit and --trail.")
    if trail and limit:
        usage("--trail goes with --market.")
    if sum(map(bool, (quantity, quote, close_position))) != 1:
        usage("Give either a quantity or --quote AMOUNT; --close-position has neither.")
    fields = {
        "symbol": market_name(symbol.upper()),
        "side": side.lower(),
        "type": _type(stop, take_profit, trail, limit),
        "quantity": quantity,
        "quote_amount": quote,
        "price": limit,
        "trigger_price": stop or take_profit,
        "trailing_offset": trail,
        "trigger_source": source.lower(),
        "time_in_force": tif.lower() or ("gtd" if until else ""),
        "expires_at_us": microseconds(until) if until else 0,
        "display_quantity": display,
        "post_only": post_only,
        "reduce_only": reduce_only,
        "close_position": close_position,
        "self_trade": self_trade.lower().replace("-", "_"),
        "client_order_id": client_id,
    }
    body = given(**fields)

    def wanted() -> Call[Any]:
        from api.client import orders
        from api.schemas.orders import PlaceOrderIn

        placed = PlaceOrderIn.model_validate(body)
        return orders.dry_run(placed) if dry_run else orders.place(placed)

    answer = call(load(data), account, as_json, wanted)
    told = order_text.describe_dry_run if dry_run else order_text.describe
    typer.echo(json.dumps(answer, indent=1) if as_json else told(answer))


def _type(stop: str, take_profit: str, trail: str, limit: str) -> str:
    """Return the API's word for what the options ask."""
    if trail:
        return "trailing_stop"
    waits = "stop" if stop else "take_profit" if take_profit else ""
    if not waits:
        return "limit" if limit else "market"
    return f"{waits}_limit" if limit else waits


def _on_side(side: str) -> Callable[..., None]:
    """Return `place` with its side given: `buy` and `sell` have the same options."""

    def verb(**options: Any) -> None:
        place(side, **options)

    signature = inspect.signature(place, eval_str=True)
    parameters = {name: p for name, p in signature.parameters.items() if name != "side"}
    verb.__doc__ = f"{side.capitalize()} at the market or at a limit."
    verb.__annotations__ = {name: p.annotation for name, p in parameters.items()}
    verb.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=list(parameters.values())
    )
    return verb


def amend(
    order_id: OrderIdArgument,
    limit: Annotated[str, typer.Option("--limit", help="The new price.")] = "",
    quantity: Annotated[
        str, typer.Option("--quantity", help="The new quantity, what is filled included.")
    ] = "",
    trigger: Annotated[str, typer.Option("--trigger", help="The new trigger price.")] = "",
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change price, quantity or trigger price of an open order.

    It keeps its place in the queue only when the price stays and the quantity does not grow.
    """
    fields = {"price": limit, "quantity": quantity, "trigger_price": trigger}
    terms = {name: text for name, text in fields.items() if text}
    if not terms:
        usage("Give --limit PRICE, --quantity QUANTITY or --trigger PRICE.")

    def wanted() -> Call[Any]:
        from api.client import orders
        from api.schemas.orders import AmendOrderIn

        return orders.amend(order_id, AmendOrderIn.model_validate(terms))

    answer = call(load(data), account, as_json, wanted)
    typer.echo(json.dumps(answer, indent=1) if as_json else order_text.describe_amend(answer))


def list_orders(
    symbol: Annotated[str, typer.Option("--symbol", help="Only this market.")] = "",
    all_orders: Annotated[bool, typer.Option("--all", help="Closed orders too.")] = False,
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List open orders, newest first."""

    def wanted() -> Call[Any]:
        from api.client import orders

        return orders.listed("all" if all_orders else "open", symbol.upper(), limit=100)

    answer = call(load(data), account, as_json, wanted)
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
    elif answer["orders"]:
        order_text.print_table(answer["orders"])
    else:
        typer.echo("No orders." if all_orders else "No open orders.")


def cancel(
    order_id: Annotated[str, typer.Argument(help="Order to cancel.")] = "",
    all_orders: Annotated[bool, typer.Option("--all", help="Every open order.")] = False,
    symbol: Annotated[str, typer.Option("--symbol", help="With --all: only this market.")] = "",
    side: Annotated[str, typer.Option("--side", help="With --all: only buy or sell.")] = "",
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel one open order, or all of them."""
    if all_orders == bool(order_id):
        usage("Give either an order id or --all.")
    if order_id and (symbol or side):
        usage("--symbol and --side go with --all.")

    def wanted() -> Call[Any]:
        from api.client import orders

        if all_orders:
            return orders.cancel_all(symbol.upper(), cast("SideText", side.lower()))
        return orders.cancel(order_id)

    answer = call(load(data), account, as_json, wanted)
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    cancelled = answer["cancelled"] if all_orders else [answer]
    for order in cancelled:
        typer.echo(order_text.describe_cancel(order))
    halted = answer.get("halted", []) if all_orders else []
    for market in halted:
        typer.echo(order_text.describe_halted(market), err=True)
    if halted:
        raise typer.Exit(EXIT_FAILED)
    if not cancelled:
        typer.echo("Nothing was open.")


def dead_mans_switch(
    seconds: Annotated[int, typer.Argument(help="How long you may be silent; 0 turns it off.")],
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel all orders of the account in so many seconds, unless this is run again before."""

    def wanted() -> Call[Any]:
        from api.client import orders

        return orders.dead_mans_switch(seconds)

    answer = call(load(data), account, as_json, wanted)
    typer.echo(json.dumps(answer, indent=1) if as_json else order_text.describe_switch(answer))
