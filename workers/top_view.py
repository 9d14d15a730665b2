"""What `rialto top` shows: one frame of the running exchange, drawn from plain values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from workers.officer_desk import OpenWork
from workers.top_perpetual import perpetual, positions

_BAR_CELLS = 12
_HEALTH_STYLE = {"ok": "green", "attention": "yellow"}
_SIDE_STYLE = {"buy": "green", "sell": "red"}


@dataclass(frozen=True, slots=True)
class TopState:
    """All that one frame needs; what could not be read is empty, and `trouble` says why.

    `system` is what `rialto status --json` prints; markets (by symbol), book, trades, orders,
    balances and positions are the public API's answers. Of a perpetual `funding` is how its mark
    and funding stand, `liquidations` are the newest, and `fund` is its shard's.
    """

    symbol: str
    markets: Mapping[str, Mapping[str, Any]]
    account: str
    system: Mapping[str, Any]
    book: Mapping[str, Any] = field(default_factory=dict)
    trades: Sequence[Mapping[str, Any]] = ()
    orders: Sequence[Mapping[str, Any]] = ()
    balances: Sequence[Mapping[str, Any]] = ()
    positions: Sequence[Mapping[str, Any]] = ()
    funding: Mapping[str, Any] = field(default_factory=dict)
    liquidations: Sequence[Mapping[str, Any]] = ()
    fund: Mapping[str, Any] = field(default_factory=dict)
    work: Sequence[OpenWork] = ()
    trouble: Sequence[str] = ()

    def price(self, text: str) -> str:
        """Return a price of the shown market with as many decimals as its tick has."""
        return _on_grid(text, self.markets.get(self.symbol, {}).get("tick_size", "1"))

    def quantity(self, text: str) -> str:
        """Return a quantity of the shown market with as many decimals as its lot has."""
        return _on_grid(text, self.markets.get(self.symbol, {}).get("lot_size", "1"))


def frame(state: TopState, height: int) -> Layout:
    """Return the whole screen for a terminal of `height` lines."""
    rows = max(3, (height - 6) // 4)  # book levels a side: half of the screen holds both sides
    layout = Layout()
    layout.split_column(
        Layout(_header(state), size=2),
        Layout(name="market", ratio=1, minimum_size=9),
        Layout(name="house", ratio=1, minimum_size=9),
        Layout(_footer(state), size=1),
    )
    layout["market"].split_row(
        Layout(_panel(f"Book {state.symbol}", _book(state, rows)), ratio=4),
        Layout(_panel("Trades", _tape(state, 2 * rows)), ratio=4),
        Layout(_panel(f"Account {state.account}", _account(state)), ratio=5),
    )
    house = [
        Layout(_panel("Components", _components(state)), ratio=6),
        Layout(_panel("Workflows that wait", _work(state)), ratio=7),
    ]
    if state.funding:
        title = f"{state.symbol}, {state.funding['state'].replace('_', '-')}"
        house.insert(0, Layout(_panel(title, perpetual(state, rows)), ratio=7))
    layout["house"].split_row(*house)
    return layout


def _panel(title: str, inside: RenderableType) -> Panel:
    return Panel(inside, title=title, title_align="left", border_style="dim", padding=(0, 1))


def _header(state: TopState) -> Text:
    system = state.system
    healthy = bool(system.get("healthy"))
    word = ("healthy", "bold green") if healthy else ("not healthy", "bold red")
    line = Text.assemble("Rialto ", word, f"   {system.get('page', '')}", no_wrap=True)
    for url in system.get("gateways", ())[1:]:
        line.append(f" {url}")
    for shard in system.get("shards", ()):
        mode = shard.get("mode") or "unknown"
        style = "green" if mode == "normal" else "bold yellow"
        line.append(f"   shard {shard['shard']} ")
        line.append(mode, style)
        line.append(f" at {shard.get('sequence', '?')}")
        if (lag := shard.get("settlement_lag")) is not None:
            line.append(f", settlement {lag} behind")
    reasons = [*state.trouble, *system.get("attention", ())]
    line.append("\n" + "; ".join(reasons), "yellow")
    return line


def _footer(state: TopState) -> Text:
    markets = "  ".join(f"[{name}]" if name == state.symbol else name for name in state.markets)
    return Text(f"q quit   n next market   {markets}", style="dim", no_wrap=True)


def _book(state: TopState, rows: int) -> RenderableType:
    """Draw asks above bids, each level with a bar as long as its share of the deepest shown."""
    asks, bids = list(state.book.get("asks", ()))[:rows], list(state.book.get("bids", ()))[:rows]
    if not asks and not bids:
        return Text("empty: nobody quotes", style="dim")
    deepest = max(Decimal(quantity) for _, quantity in (*asks, *bids))
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for side, levels in (("sell", reversed(asks)), ("buy", bids)):
        if side == "buy":
            table.add_row(Text(_spread(asks, bids), style="dim"), "", "")
        for price, quantity in levels:
            cells = int(Decimal(quantity) / deepest * _BAR_CELLS)
            style = _SIDE_STYLE[side]
            bar = Text("█" * cells, style=style)
            table.add_row(Text(state.price(price), style=style), state.quantity(quantity), bar)
    return table


def _spread(asks: Sequence[Sequence[str]], bids: Sequence[Sequence[str]]) -> str:
    if not asks or not bids:
        return "one side"
    return f"± {Decimal(asks[0][0]) - Decimal(bids[0][0])}"


def _tape(state: TopState, rows: int) -> RenderableType:
    if not state.trades:
        return Text("no trade yet", style="dim")
    table = Table.grid(padding=(0, 1), expand=True)
    for justify in ("left", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    for trade in list(state.trades)[:rows]:
        at = dt.datetime.fromtimestamp(trade["time_us"] / 1e6, dt.UTC)
        price = Text(state.price(trade["price"]), style=_SIDE_STYLE[trade["side"]])
        lots = state.quantity(trade["quantity"])
        table.add_row(Text(f"{at:%H:%M:%S}", style="dim"), price, lots)
    return table


def _account(state: TopState) -> RenderableType:
    money: RenderableType = _money(state)
    if state.positions:
        money = Group(money, Text("\npositions", style="dim"), positions(state))
    if not state.orders:
        return Group(money, Text("\nno open orders", style="dim"))
    return Group(money, Text("\nopen orders", style="dim"), _orders(state))


def _money(state: TopState) -> Table:
    money = Table.grid(padding=(0, 1), expand=True)
    words = ("asset", "total", "available", "withdrawable")
    for word in words:
        money.add_column(justify="left" if word == "asset" else "right", no_wrap=True)
    money.add_row(*(Text(word, style="dim") for word in words))
    for balance in state.balances:
        money.add_row(*(balance[word] for word in words))
    return money


def _orders(state: TopState) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    for word in ("side", "type", "price", "open", "market"):
        table.add_column(justify="right" if word in ("price", "open") else "left", no_wrap=True)
    for order in state.orders:
        left = Decimal(order["quantity"]) - Decimal(order["filled_quantity"])
        price = order.get("price") or order.get("trigger_price") or ""
        side = Text(order["side"], style=_SIDE_STYLE[order["side"]])
        table.add_row(side, order["type"], price, f"{left:f}", order["symbol"])
    return table


def _components(state: TopState) -> RenderableType:
    table = Table.grid(padding=(0, 1), expand=True)
    for word in ("component", "health", "sequence", "lag"):
        table.add_column(justify="right" if word in ("sequence", "lag") else "left", no_wrap=True)
    table.add_row(*(Text(word, style="dim") for word in ("component", "health", "sequence", "lag")))
    for part in state.system.get("components", ()):
        style = _HEALTH_STYLE.get(part["health"], "bold red")
        numbers = (_text(part["sequence"]), _text(part["lag"]))
        table.add_row(part["name"], Text(part["health"], style=style), *numbers)
    for process in state.system.get("processes", ()):
        if process["restarts"] or process["state"] != "running":
            name, now = (Text(process[key], style="yellow") for key in ("name", "state"))
            table.add_row(name, now, f"{process['restarts']} restarts", "")
    return table


def _work(state: TopState) -> RenderableType:
    if not state.work:
        return Text("nothing waits", style="dim")
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, ratio=1)  # the id gives way: stage and amount are read first
    for work in state.work:
        style = "bold red" if work.stage.startswith("failed:") else "yellow"
        stage = Text(work.stage + (" (paused)" if work.paused else ""), style=style)
        table.add_row(stage, f"{work.amount} {work.asset}", Text(work.workflow_id, style="dim"))
    return table


def _on_grid(text: str, step: str) -> str:
    """Return a decimal text padded to the decimals of its step; more decimals stay."""
    decimals = len(step.partition(".")[2])
    missing = decimals - len(text.partition(".")[2])
    if missing <= 0:
        return text
    return text + ("" if "." in text else ".") + "0" * missing


def _text(value: object) -> str:
    return "" if value is None else str(value)
