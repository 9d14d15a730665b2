"""What the verbs of `rialto order` share: their options, and how they ask the gateway."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from workers.cli import order_text
from workers.cli.context import EXIT_FAILED, EXIT_NOT_RUNNING, EXIT_USAGE, RunningExchange

if TYPE_CHECKING:
    from pydantic import ValidationError

    from api.client.call import Call

_PATIENCE_SECONDS = 1.0  # somebody waits at a terminal

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
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would come of it; place nothing.")
]
SourceOption = Annotated[
    str,
    typer.Option(
        "--trigger-source", help="Perpetual: which price sets it off: last, mark or index."
    ),
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
ReduceOption = Annotated[
    bool, typer.Option("--reduce-only", help="Perpetual: only close what there is.")
]
CloseOption = Annotated[
    bool, typer.Option("--close-position", help="Perpetual: close all there is; no quantity.")
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


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value}


def microseconds(text: str) -> int:
    """Return an ISO time as microseconds since 1970; without a zone it is UTC."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        usage(f"{text[:40]!r} is not a time; write it like 2030-01-31T12:00.")
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def usage(text: str) -> NoReturn:
    """Say what the options should have been, and end."""
    typer.echo(text, err=True)
    raise typer.Exit(EXIT_USAGE)


def call(
    exchange: RunningExchange, account: str, as_json: bool, make: Callable[[], Call[Any]]
) -> dict[str, Any]:
    """Return the answer to the call that `make` makes; a refusal is printed and ends the verb."""
    from pydantic import ValidationError

    from api.client.account import ApiAccount
    from api.client.errors import ClientError, Refused
    from api.client.http import Client

    chosen = exchange.account(account) if account else exchange.demo["accounts"][0]
    signer = ApiAccount(chosen["name"], chosen["api_key"], chosen["api_secret"])
    try:
        wanted = make()
        base_url, patience = exchange.demo["base_url"], _PATIENCE_SECONDS
        with Client(base_url, signer, patience_seconds=patience) as client:
            answer: dict[str, Any] = client.send(wanted).model_dump(mode="json")
            return answer
    except ValidationError as error:
        _refuse(_not_acceptable(error), as_json)
    except Refused as error:
        _refuse(error.problem, as_json)
    except ClientError as error:
        typer.echo(f"The gateway does not answer: {error}", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING) from error


def _refuse(problem: Mapping[str, Any], as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps(problem, indent=1))
    else:
        typer.echo(f"Refused: {order_text.describe_problem(problem)}", err=True)
    raise typer.Exit(EXIT_FAILED)


def _not_acceptable(error: ValidationError) -> dict[str, Any]:
    """Return the problem that the exchange would answer, found before anything is sent."""
    from api.errors import Problem

    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return Problem("invalid_field", f"{place}: {first['msg']}").document("")
