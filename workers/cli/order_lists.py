"""`rialto order oco` and `rialto order bracket`: orders that are placed together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.market import market_name
from workers.cli import order_text
from workers.cli.context import DataOption, JsonOption, load
from workers.cli.order_options import (
    AccountOption,
    DryRunOption,
    MarketOption,
    QuantityArgument,
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

BetterOption = Annotated[
    str, typer.Option("--limit", help="The better price; with --take-profit its limit.")
]
StopLimitOption = Annotated[
    str, typer.Option("--stop-limit", help="Limit price of the stop; else at the market.")
]
EntryOption = Annotated[str, typer.Option("--limit", help="The entry's limit price.")]
ProfitOption = Annotated[
    str, typer.Option("--take-profit", help="Price at which to close with a profit.")
]
LossOption = Annotated[str, typer.Option("--stop", help="Price from which to close with a loss.")]


def oco(
    side: SideArgument,
    symbol: SymbolArgument,
    quantity: QuantityArgument,
    limit: BetterOption = "",
    take_profit: TakeProfitOption = "",
    stop: StopOption = "",
    trail: TrailOption = "",
    stop_limit: StopLimitOption = "",
    source: SourceOption = "",
    until: UntilOption = "",
    reduce_only: ReduceOption = False,
    self_trade: SelfTradeOption = "",
    dry_run: DryRunOption = False,
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Place two orders of which one ends the other: a better price and a stop.

    The first trade or trigger of one closes the other, and cancelling one cancels both. They hold
    what the larger of them needs.
    """
    if not limit and not take_profit:
        usage("Give --limit PRICE, --take-profit PRICE, or both.")
    if bool(stop) == bool(trail):
        usage("Give either --stop PRICE or --trail OFFSET.")
    if trail and stop_limit:
        usage("--stop-limit goes with --stop.")
    fields: dict[str, Any] = {
        "symbol": market_name(symbol.upper()),
        "side": side.lower(),
        "quantity": quantity,
        "take_profit": given(
            price=limit, trigger_price=take_profit, trigger_source=take_profit and source.lower()
        ),
        "stop_loss": _stop_loss(stop, trail, stop_limit, source),
        "time_in_force": "gtd" if until else "",
        "expires_at_us": microseconds(until) if until else 0,
        "reduce_only": reduce_only,
        "self_trade": self_trade.lower().replace("-", "_"),
    }
    _place(given(**fields), account, data, dry_run=dry_run, as_json=as_json)


def bracket(
    side: SideArgument,
    symbol: SymbolArgument,
    quantity: QuantityArgument,
    market: MarketOption = False,
    limit: EntryOption = "",
    take_profit: ProfitOption = "",
    stop: LossOption = "",
    trail: TrailOption = "",
    stop_limit: StopLimitOption = "",
    source: SourceOption = "",
    tif: TifOption = "",
    until: UntilOption = "",
    self_trade: SelfTradeOption = "",
    dry_run: DryRunOption = False,
    account: AccountOption = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Place an entry, and what closes it again with a profit or a loss.

    The two are pending, and hold nothing, until the entry ends; then they stand for what it has
    filled, and one ends the other. --tif and --until are the entry's.
    """
    if market == bool(limit):
        usage("Give either --market or --limit PRICE.")
    if not (take_profit or stop or trail):
        usage("Give --take-profit PRICE, --stop PRICE or --trail OFFSET.")
    if stop and trail:
        usage("Give either --stop PRICE or --trail OFFSET.")
    if stop_limit and not stop:
        usage("--stop-limit goes with --stop.")
    if source and not (stop or trail):
        usage("--trigger-source goes with --stop or --trail.")
    expires = {"expires_at_us": microseconds(until)} if until else {}
    entry = given(price=limit, time_in_force=tif.lower() or ("gtd" if until else ""), **expires)
    fields: dict[str, Any] = {
        "symbol": market_name(symbol.upper()),
        "side": side.lower(),
        "quantity": quantity,
        "take_profit": given(price=take_profit),
        "stop_loss": _stop_loss(stop, trail, stop_limit, source),
        "self_trade": self_trade.lower().replace("-", "_"),
    }
    body = {"kind": "bracket", "entry": entry, **given(**fields)}
    _place(body, account, data, dry_run=dry_run, as_json=as_json)


def _stop_loss(stop: str, trail: str, limit: str, source: str) -> dict[str, Any]:
    """Return what closes with a loss; without a stop and a trail the others are not given."""
    return given(
        trigger_price=stop, trailing_offset=trail, trigger_source=source.lower(), price=limit
    )


def _place(
    body: dict[str, Any], account: str, data: Path | None, *, dry_run: bool, as_json: bool
) -> None:
    def wanted() -> Call[Any]:
        from api.client import orders
        from api.schemas.order_lists import PlaceOrderListIn

        placed = PlaceOrderListIn.model_validate(body)
        return orders.dry_run_list(placed) if dry_run else orders.place_list(placed)

    answer = call(load(data), account, as_json, wanted)
    told = order_text.describe_dry_run if dry_run else order_text.describe_list
    typer.echo(json.dumps(answer, indent=1) if as_json else told(answer))
