"""`rialto order`: the orders of the demo's first account, or another's, by the public API."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from workers.cli import order_text
from workers.cli.context import (
    EXIT_FAILED,
    EXIT_NOT_RUNNING,
    EXIT_USAGE,
    DataOption,
    JsonOption,
    RunningExchange,
    load,
)

if TYPE_CHECKING:
    from workers.api_client import ApiAccount, ApiClient

SideArgument = Annotated[str, typer.Argument(help="buy or sell.")]
SymbolArgument = Annotated[str, typer.Argument(help="Market, e.g. ETH/USDT.")]
QuantityArgument = Annotated[str, typer.Argument(help="Quantity of the base asset, e.g. 0.5.")]
MarketOption = Annotated[bool, typer.Option("--market", help="Trade at once at the best prices.")]
LimitOption = Annotated[str, typer.Option("--limit", help="Limit price, e.g. 2500.01.")]
StopOption = Annotated[
    str, typer.Option("--stop", help="Wait until the price has moved against you to this.")
]
TakeProfitOption = Annotated[
    str, typer.Option("--take-profit", help="Wait until the price has moved for you to this.")
]
TrailOption = Annotated[
    str, typer.Option("--trail", help="Wait until the price turns by this from its best.")
]
QuoteOption = Annotated[
    str, typer.Option("--quote", help="Market buy: spend this much instead of a quantity.")
]
TifOption = Annotated[str, typer.Option("--tif", help="gtc, gtd, ioc or fok.")]
UntilOption = Annotated[
    str, typer.Option("--until", help="Expire then (gtd): 2030-01-31T12:00, UTC without a zone.")
]
DisplayOption = Annotated[
    str, typer.Option("--display", help="Iceberg: show only this much at a time.")
]
PostOnlyOption = Annotated[bool, typer.Option("--post-only", help="Never take liquidity.")]
SelfTradeOption = Annotated[
    str,
    typer.Option(
        "--self-trade",
        help="When it meets your own order: expire_maker, expire_taker, expire_both, decrement.",
    ),
]
ClientIdOption = Annotated[str, typer.Option("--client-id", help="Your own id of the order.")]
AccountOption = Annotated[str, typer.Option("--account", help="Demo account; default: the first.")]
OrderIdArgument = Annotated[str, typer.Argument(help="The order's id, as `list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    order = typer.Typer(help="Place, amend, list and cancel orders.", no_args_is_help=True)
    order.command("buy")(_on_side("buy"))
    order.command("sell")(_on_side("sell"))
    order.command("place")(place)
    order.command("oco")(oco)
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
    quote: QuoteOption = "",
    tif: TifOption = "",
    until: UntilOption = "",
    display: DisplayOption = "",
    post_only: PostOnlyOption = False,
    self_trade: SelfTradeOption = "",
    client_id: ClientIdOption = "",
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Place an order at the market or at a limit, now or when the price is reached."""
    if market == bool(limit):
        _usage("Give either --market or --limit PRICE.")
    if sum(map(bool, (stop, take_profit, trail))) > 1:
        _usage("Give one of --stop, --take-profit and --trail.")
    if trail and limit:
        _usage("--trail goes with --market.")
    if bool(quantity) == bool(quote):
        _usage("Give either a quantity or --quote AMOUNT.")
    fields = {
        "symbol": symbol.upper().replace("-", "/"),
        "side": side.lower(),
        "type": _type(stop, take_profit, trail, limit),
        "quantity": quantity,
        "quote_amount": quote,
        "price": limit,
        "trigger_price": stop or take_profit,
        "trailing_offset": trail,
        "time_in_force": tif.lower() or ("gtd" if until else ""),
        "expires_at_us": _microseconds(until) if until else 0,
        "display_quantity": display,
        "post_only": post_only,
        "self_trade": self_trade.lower().replace("-", "_"),
        "client_order_id": client_id,
    }
    body = _given(**fields)
    answer = _call(load(data), account, as_json, lambda api, signer: api.place(signer, body))
    typer.echo(json.dumps(answer, indent=1) if as_json else order_text.describe(answer))


def oco(
    side: SideArgument,
    symbol: SymbolArgument,
    quantity: QuantityArgument,
    limit: Annotated[
        str, typer.Option("--limit", help="The better price; with --take-profit its limit.")
    ] = "",
    take_profit: TakeProfitOption = "",
    stop: StopOption = "",
    trail: TrailOption = "",
    stop_limit: Annotated[
        str, typer.Option("--stop-limit", help="Limit price of the stop; else at the market.")
    ] = "",
    until: UntilOption = "",
    self_trade: SelfTradeOption = "",
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Place two orders of which one ends the other: a better price and a stop.

    The first trade or trigger of one closes the other, and cancelling one cancels both. They hold
    what the larger of them needs.
    """
    if not limit and not take_profit:
        _usage("Give --limit PRICE, --take-profit PRICE, or both.")
    if bool(stop) == bool(trail):
        _usage("Give either --stop PRICE or --trail OFFSET.")
    if trail and stop_limit:
        _usage("--stop-limit goes with --stop.")
    fields: dict[str, Any] = {
        "symbol": symbol.upper().replace("-", "/"),
        "side": side.lower(),
        "quantity": quantity,
        "take_profit": _given(price=limit, trigger_price=take_profit),
        "stop_loss": _given(trigger_price=stop, trailing_offset=trail, price=stop_limit),
        "time_in_force": "gtd" if until else "",
        "expires_at_us": _microseconds(until) if until else 0,
        "self_trade": self_trade.lower().replace("-", "_"),
    }
    body = _given(**fields)
    answer = _call(load(data), account, as_json, lambda api, signer: api.place_list(signer, body))
    typer.echo(json.dumps(answer, indent=1) if as_json else order_text.describe_list(answer))


def _given(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value}


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
        _usage("Give --limit PRICE, --quantity QUANTITY or --trigger PRICE.")
    answer = _call(
        load(data), account, as_json, lambda api, signer: api.amend(signer, order_id, terms)
    )
    typer.echo(json.dumps(answer, indent=1) if as_json else order_text.describe_amend(answer))


def list_orders(
    symbol: Annotated[str, typer.Option("--symbol", help="Only this market.")] = "",
    all_orders: Annotated[bool, typer.Option("--all", help="Closed orders too.")] = False,
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List open orders, newest first."""
    state = "all" if all_orders else "open"
    answer = _call(
        load(data), account, as_json, lambda api, signer: api.orders(signer, state, symbol.upper())
    )
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
        _usage("Give either an order id or --all.")
    if order_id and (symbol or side):
        _usage("--symbol and --side go with --all.")

    async def send(api: ApiClient, signer: ApiAccount) -> Any:
        if all_orders:
            return await api.cancel_all(signer, symbol.upper(), side.lower())
        return await api.cancel(signer, order_id)

    answer = _call(load(data), account, as_json, send)
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
    answer = _call(
        load(data), account, as_json, lambda api, signer: api.dead_mans_switch(signer, seconds)
    )
    typer.echo(json.dumps(answer, indent=1) if as_json else order_text.describe_switch(answer))


def _microseconds(text: str) -> int:
    """Return an ISO time as microseconds since 1970; without a zone it is UTC."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        _usage(f"{text[:40]!r} is not a time; write it like 2030-01-31T12:00.")
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _usage(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(EXIT_USAGE)


def _call(
    exchange: RunningExchange,
    account: str,
    as_json: bool,
    send: Callable[[ApiClient, ApiAccount], Awaitable[Any]],
) -> Any:
    """Return the answer to one request; a refusal is printed and ends the verb."""
    import httpx

    from workers.api_client import ApiAccount, ApiClient, ApiError

    chosen = exchange.account(account) if account else exchange.demo["accounts"][0]
    signer = ApiAccount(chosen["name"], chosen["api_key"], chosen["api_secret"])

    async def answer() -> Any:
        api = ApiClient(exchange.demo["base_url"])
        try:
            return await send(api, signer)
        finally:
            await api.close()

    try:
        return asyncio.run(answer())
    except httpx.HTTPError as error:
        typer.echo(f"The gateway does not answer: {error}", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING) from error
    except ApiError as error:
        problem = error.problem
        if as_json:
            typer.echo(json.dumps(problem, indent=1))
        else:
            typer.echo(f"Refused: {order_text.describe_problem(problem)}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
