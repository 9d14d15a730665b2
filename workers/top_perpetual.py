"""What `rialto top` shows of perpetuals: positions, mark and funding, the fund, liquidations."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from workers.cli.position_text import lights_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.top_view import TopState

_CALLED = "bold red"


def positions(state: TopState) -> Table:
    """Draw the account's open positions, with what says how safe each is."""
    table = Table.grid(padding=(0, 1), expand=True)
    words = ("market", "position", "profit", "liquidation", "ADL")
    for word in words:
        table.add_column(justify="left" if word == "market" else "right", no_wrap=True)
    table.add_row(*(Text(word, style="dim") for word in words))
    for one in state.positions:
        is_endangered = one["liquidating"] or one["margin_call"]
        profit = Text(
            one["unrealised_profit"],
            style="red" if one["unrealised_profit"].startswith("-") else "green",
        )
        ends = "in liquidation" if one["liquidating"] else one["liquidation_price"] or "-"
        table.add_row(
            one["symbol"],
            one["quantity"],
            profit,
            Text(ends, style=_CALLED if is_endangered else ""),
            lights_text(one["adl_lights"]),
        )
    return table


def perpetual(state: TopState, rows: int) -> RenderableType:
    """Draw the shown market's mark, funding with its countdown, fund and newest liquidations."""
    now = state.funding
    facts = Table.grid(padding=(0, 1), expand=True)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(justify="right", no_wrap=True)
    fresh = "" if now["mark_is_fresh"] else " (stale)"
    facts.add_row("mark", _price(state, now["mark_price"]) + fresh)
    facts.add_row("index", _price(state, now["index_price"]))
    rate = f"{now['last_rate_ppm'] / 10_000:.4f} %" if now["last_funding_us"] else "none yet"
    facts.add_row("last funding", rate)
    facts.add_row("next in", countdown(now["seconds_left"]))
    facts.add_row("open interest", now["open_interest"])
    if state.fund:
        facts.add_row("fund", f"{state.fund['cash']} {state.fund['asset']}")
    if not state.liquidations:
        return Group(facts, Text("\nno liquidations", style="dim"))
    table = Table.grid(padding=(0, 1), expand=True)
    for justify in ("left", "left", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    for one in list(state.liquidations)[:rows]:
        table.add_row(*_liquidation(state, one))
    return Group(facts, Text("\nliquidations", style="dim"), table)


def countdown(seconds: int) -> str:
    """Return how long it is until the next funding."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _liquidation(state: TopState, one: Mapping[str, Any]) -> tuple[Text | str, ...]:
    at = dt.datetime.fromtimestamp(one["time_us"] / 1e6, dt.UTC)
    style = "red" if one["side"] == "long" else "green"
    what = Text(f"{one['side']} {one['how']}", style=style)
    clock = Text(f"{at:%H:%M:%S}", style="dim")
    return clock, what, state.quantity(one["quantity"]), state.price(one["price"])


def _price(state: TopState, text: str | None) -> str:
    return "-" if text is None else state.price(text)
