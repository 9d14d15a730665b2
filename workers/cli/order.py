"""`rialto order`: place, list and cancel orders of the demo's first account, by the public API."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from workers.cli.context import (
    EXIT_FAILED,
    EXIT_NOT_RUNNING,
    EXIT_USAGE,
    DataOption,
    JsonOption,
    RunningExchange,
    load,
)

SymbolArgument = Annotated[str, typer.Argument(help="Market, e.g. ETH/USDT.")]
QuantityArgument = Annotated[str, typer.Argument(help="Quantity of the base asset, e.g. 0.5.")]
MarketOption = Annotated[bool, typer.Option("--market", help="Trade at once at the best prices.")]
LimitOption = Annotated[str, typer.Option("--limit", help="Limit price, e.g. 2500.01.")]
TifOption = Annotated[str, typer.Option("--tif", help="gtc, ioc or fok.")]
PostOnlyOption = Annotated[bool, typer.Option("--post-only", help="Never take liquidity.")]
ClientIdOption = Annotated[str, typer.Option("--client-id", help="Your own id of the order.")]
AccountOption = Annotated[str, typer.Option("--account", help="Demo account; default: the first.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    order = typer.Typer(help="Place, list and cancel orders.", no_args_is_help=True)
    order.command("buy")(buy)
    order.command("sell")(sell)
    order.command("list")(list_orders)
    order.command("cancel")(cancel)
    app.add_typer(order, name="order")


def buy(
    symbol: SymbolArgument,
    quantity: QuantityArgument,
    market: MarketOption = False,
    limit: LimitOption = "",
    tif: TifOption = "",
    post_only: PostOnlyOption = False,
    client_id: ClientIdOption = "",
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Buy at the market or at a limit."""
    body = _order("buy", symbol, quantity, market, limit, tif, post_only, client_id)
    _place(load(data), account, body, as_json)


def sell(
    symbol: SymbolArgument,
    quantity: QuantityArgument,
    market: MarketOption = False,
    limit: LimitOption = "",
    tif: TifOption = "",
    post_only: PostOnlyOption = False,
    client_id: ClientIdOption = "",
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sell at the market or at a limit."""
    body = _order("sell", symbol, quantity, market, limit, tif, post_only, client_id)
    _place(load(data), account, body, as_json)


def _order(
    side: str,
    symbol: str,
    quantity: str,
    market: bool,
    limit: str,
    tif: str,
    post_only: bool,
    client_id: str,
) -> dict[str, Any]:
    if market == bool(limit):
        typer.echo("Give either --market or --limit PRICE.", err=True)
        raise typer.Exit(EXIT_USAGE)
    body: dict[str, Any] = {
        "symbol": symbol.upper().replace("-", "/"),
        "side": side,
        "type": "market" if market else "limit",
        "quantity": quantity,
    }
    if limit:
        body["price"] = limit
    if tif:
        body["time_in_force"] = tif.lower()
    if post_only:
        body["post_only"] = True
    if client_id:
        body["client_order_id"] = client_id
    return body


def _place(exchange: RunningExchange, account: str, body: dict[str, Any], as_json: bool) -> None:
    answer = _request(exchange, account, "POST", "/v1/orders", body, as_json)
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    typer.echo(describe(answer))


def describe(order: dict[str, Any]) -> str:
    """Return what happened to a placed order, in plain English."""
    base, quote = order["symbol"].split("/")
    at = f"at {order['price']} {quote}" if order["price"] else "at the market"
    lines = [
        f"{order['side'].capitalize()} {order['quantity']} {base} {at}: {_state(order)}",
    ]
    if order["duplicate"]:
        lines[0] += " (this order was placed before; nothing new happened)"
    lines += [
        f"  filled {fill['quantity']} {base} at {fill['price']}, "
        f"fee {fill['fee']} {fill['fee_asset']} (trade {fill['trade_id']})"
        for fill in order["fills"]
    ]
    lines.append(f"  order {order['order_id']}, sequence {order['sequence']}")
    return "\n".join(lines)


def _state(order: dict[str, Any]) -> str:
    filled = order["filled_quantity"]
    if order["status"] == "filled":
        return "filled."
    if order["status"] == "open":
        return "open." if filled == "0" else f"open, {filled} filled so far."
    return (
        f"{order['status']}." if filled == "0" else f"{filled} filled, the rest {order['status']}."
    )


def list_orders(
    symbol: Annotated[str, typer.Option("--symbol", help="Only this market.")] = "",
    all_orders: Annotated[bool, typer.Option("--all", help="Closed orders too.")] = False,
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List open orders, newest first."""
    query = f"state={'all' if all_orders else 'open'}&limit=100"
    if symbol:
        query += f"&symbol={symbol.upper().replace('/', '-')}"
    answer = _request(load(data), account, "GET", f"/v1/orders?{query}", None, as_json)
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    if not answer["orders"]:
        typer.echo("No open orders." if not all_orders else "No orders.")
        return
    _print_table(answer["orders"])


def _print_table(orders: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("order", "market", "side", "price", "quantity", "filled", "status"):
        table.add_column(
            title, justify="right" if title in ("price", "quantity", "filled") else "left"
        )
    for order in orders:
        table.add_row(
            order["order_id"],
            order["symbol"],
            order["side"],
            order["price"] or "market",
            order["quantity"],
            order["filled_quantity"],
            order["status"],
        )
    Console().print(table)


def cancel(
    order_id: Annotated[str, typer.Argument(help="Order to cancel.")] = "",
    all_orders: Annotated[bool, typer.Option("--all", help="Every open order.")] = False,
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel one open order, or all of them."""
    if all_orders == bool(order_id):
        typer.echo("Give either an order id or --all.", err=True)
        raise typer.Exit(EXIT_USAGE)
    target = "/v1/orders" if all_orders else f"/v1/orders/{order_id}"
    answer = _request(load(data), account, "DELETE", target, None, as_json)
    if as_json:
        typer.echo(json.dumps(answer, indent=1))
        return
    cancelled = answer["cancelled"] if all_orders else [answer]
    if not cancelled:
        typer.echo("Nothing was open.")
    for order in cancelled:
        typer.echo(
            f"Cancelled order {order['order_id']} in {order['symbol']}: "
            f"{order['filled_quantity']} filled, {order['remaining_quantity']} taken back."
        )


def _request(
    exchange: RunningExchange,
    account: str,
    method: str,
    target: str,
    body: dict[str, Any] | None,
    as_json: bool,
) -> Any:
    """Send one signed request; a refusal is printed and ends the verb."""
    import httpx

    from workers.api_client import ApiAccount

    chosen = exchange.account(account) if account else exchange.demo["accounts"][0]
    signer = ApiAccount(chosen["name"], chosen["api_key"], chosen["api_secret"])
    text = "" if body is None else json.dumps(body)
    try:
        answer = httpx.request(
            method,
            exchange.demo["base_url"] + target,
            content=text,
            headers=signer.headers(method, target, text),
            timeout=10,
        )
    except httpx.HTTPError as error:
        typer.echo(f"The gateway does not answer: {error}", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING) from error
    if answer.is_success:
        return answer.json()
    problem = answer.json()
    if as_json:
        typer.echo(json.dumps(problem, indent=1))
    else:
        typer.echo(f"Refused: {problem['title']}. {_detail(problem)}", err=True)
    raise typer.Exit(EXIT_FAILED)


def _detail(problem: dict[str, Any]) -> str:
    return "" if problem["detail"] == problem["title"] else str(problem["detail"])
