"""Positions in plain English and in tables, as `rialto position` prints them."""

from __future__ import annotations

from typing import Any

import typer

from workers.cli.order_text import clock

_LIGHTS = 5


def print_positions(answer: dict[str, Any]) -> None:
    """Print each open position, each choice for a market without one, and what backs them."""
    opened = [one for one in answer["positions"] if one["quantity"] != "0"]
    for one in opened:
        typer.echo(describe_position(one))
    if not opened:
        typer.echo("No open positions.")
    for one in answer["positions"]:
        if one["quantity"] == "0":
            typer.echo(f"{one['symbol']}: no position, {one['mode']} {one['leverage']}x")
    for backing in answer["cross"]:
        typer.echo(describe_backing(backing))


def describe_position(one: dict[str, Any]) -> str:
    """Return a position in two lines: what it is worth, and how safe it is."""
    side = "short" if one["quantity"].startswith("-") else "long"
    mark = f"{one['mark_price'] or '-'}{'' if one['mark_is_fresh'] else ' (stale)'}"
    realised = "" if one["realised_profit"] is None else f", realised {one['realised_profit']}"
    own = "" if one["margin"] is None else f" with {one['margin']} of its own"
    state = ", MARGIN CALL" if one["margin_call"] else ""
    state = ", in liquidation" if one["liquidating"] else state
    return (
        f"{one['symbol']}: {side} {one['quantity'].removeprefix('-')} at {one['entry_price']}, "
        f"mark {mark}, profit {one['unrealised_profit']}{realised}\n"
        f"  {one['mode']} {one['leverage']}x{own}, margin ratio "
        f"{ratio_text(one['margin_ratio_ppm'])}, liquidated at {one['liquidation_price'] or '-'}, "
        f"ADL {lights_text(one['adl_lights'])}{state}"
    )


def describe_backing(backing: dict[str, Any]) -> str:
    """Return what backs the cross positions of a shard."""
    asset = backing["asset"]
    state = " In liquidation." if backing["liquidating"] else ""
    if backing["margin_call"] and not backing["liquidating"]:
        state = " MARGIN CALL: add cash or close, or it will be liquidated."
    ratio = ratio_text(backing["margin_ratio_ppm"])
    return (
        f"Cross margin, shard {backing['shard']}: cash {backing['cash']} {asset}, "
        f"equity {backing['equity']}, available for orders {backing['available']}, "
        f"withdrawable {backing['withdrawable']}, "
        f"margin ratio {ratio}.{state}"
    )


def ratio_text(ppm: int | None) -> str:
    """Return maintenance margin / equity in percent, or - where there is no equity."""
    return "-" if ppm is None else f"{ppm / 10_000:.2f} %"


def lights_text(lit: int | None) -> str:
    """Return the lamps of auto-deleveraging, lit ones first."""
    return "-" if lit is None else "●" * lit + "○" * (_LIGHTS - lit)


def print_history(events: list[dict[str, Any]]) -> None:
    """Print one line an event."""
    for event in events:
        rate = event["funding_rate_ppm"]
        how = f" at {rate / 10_000:.4f} %" if rate is not None else ""
        role = f" ({event['role']})" if event["role"] else ""
        after = "on" if event["kind"] == "funding" else "position now"
        typer.echo(
            f"{clock(event['time_us'])}  {event['symbol']}  {event['kind']}{role}{how}: "
            f"{event['amount']} {event['asset']}, {after} {event['quantity']}"
        )
