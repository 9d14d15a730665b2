"""Orders in plain English and in tables, as `rialto order` prints them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def describe(order: dict[str, Any]) -> str:
    """Return what happened to a placed order."""
    base, quote = _pair(order["symbol"])
    at = f"at {order['price']} {quote}" if order["price"] else "at the market"
    size = f"{order['quantity']} {base}"
    if order["quote_amount"]:
        size = f"{size} for at most {order['quote_amount']} {quote}"
    lines = [f"{order['side'].capitalize()} {size} {at}{_terms(order)}: {_state(order)}"]
    if order["duplicate"]:
        lines[0] += " (this order was placed before; nothing new happened)"
    lines += _fills(order, base)
    lines.append(f"  order {order['order_id']}, sequence {order['sequence']}")
    return "\n".join(lines)


def describe_list(orders: dict[str, Any]) -> str:
    """Return what happened to a list of orders."""
    lines = [describe(order) for order in orders["orders"]]
    ends = "one ends the other"
    if orders["kind"] == "bracket":
        ends = "what follows stands for what the first one has filled, once it ends"
    return "\n".join([*lines, f"  {ends}: list {orders['order_list_id']}"])


def describe_dry_run(found: dict[str, Any]) -> str:
    """Return what an order would hold and, on a perpetual, do to the position and its margin."""
    base, quote = _pair(found["symbol"])
    first = f"Would be accepted: {found['side']} in {found['symbol']}"
    margin = found["margin"]
    if margin is None:
        holds = "" if found["hold"] == "0" else f", holding {found['hold']} {found['hold_asset']}"
        return f"{first}{holds}. Nothing was placed."
    before, after = margin["previous_liquidation_price"], margin["liquidation_price"]
    return (
        f"{first}. Nothing was placed.\n"
        f"  filled {margin['quantity']} {base} at {margin['price']}: position "
        f"{margin['previous_position']} -> {margin['position']} at {margin['leverage']}x, "
        f"fee at most {margin['fee']} {quote}\n"
        f"  initial margin {margin['initial_margin']}, maintenance "
        f"{margin['maintenance_margin']} {quote}, "
        f"liquidation price {before or 'none'} -> {after or 'none'}"
    )


def describe_amend(order: dict[str, Any]) -> str:
    """Return what an amend changed."""
    base, quote = _pair(order["symbol"])
    place = "kept its place" if order["kept_place"] else "went to the end of its queue"
    was = f"it was {order['previous_quantity']} at {order['previous_price'] or 'the market'}"
    size = f"{order['quantity']} {base} at " + (
        f"{order['price']} {quote}" if order["price"] else "the market"
    )
    if order["trigger_price"]:
        size += f" from {order['trigger_price']}"
    first = f"Order {order['order_id']} is {size} ({was}) and {place}: {_state(order)}"
    return "\n".join([first, *_fills(order, base)])


def describe_cancel(order: dict[str, Any]) -> str:
    """Return what a cancel took back."""
    others = order["also_cancelled"]
    plural = "s" if len(others) > 1 else ""
    return (
        f"Cancelled order {order['order_id']} in {order['symbol']}: "
        f"{order['filled_quantity']} filled, {order['remaining_quantity']} taken back."
        + (f" Order{plural} {', '.join(others)} of its list went with it." if others else "")
    )


def describe_halted(market: dict[str, Any]) -> str:
    """Return which orders a cancel could not reach."""
    reason = f" ({market['reason']})" if market["reason"] else ""
    return (
        f"Still open: {market['open_orders']} in {market['symbol']}, which is halted{reason} "
        "and takes no cancels. Cancel again when it trades."
    )


def describe_problem(problem: Mapping[str, Any]) -> str:
    """Return why a request was refused; a detail that begins with the title is all of it."""
    title, detail = str(problem.get("title", "")), str(problem.get("detail", ""))
    text = detail if detail.startswith(title) else f"{title}. {detail}"
    return text if text.endswith(".") else f"{text}."


def describe_switch(switch: dict[str, Any]) -> str:
    """Return until when the account may be silent."""
    if switch["deadline_us"] is None:
        return "The dead-man's switch is off."
    return f"All orders are cancelled at {clock(switch['deadline_us'])} unless you set it again."


def _pair(symbol: str) -> tuple[str, str]:
    """Return the codes of base and quote; a perpetual's name ends with a word more."""
    base, _, quote = symbol.partition("/")
    return base, quote.partition("-")[0]


def print_table(orders: list[dict[str, Any]]) -> None:
    """Print one line an order."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    longest = max(len(order["order_id"]) for order in orders)  # to be copied: never cut short
    table.add_column("order", min_width=longest)
    for title in ("market", "side"):
        table.add_column(title)
    for title in ("price", "quantity", "filled"):
        table.add_column(title, justify="right")
    table.add_column("terms")
    table.add_column("status", min_width=len("cancelled"))
    for order in orders:
        table.add_row(
            order["order_id"],
            order["symbol"],
            order["side"],
            order["price"] or "market",
            order["quantity"],
            order["filled_quantity"],
            _terms(order).removeprefix(", "),
            _status(order),
        )
    Console().print(table)


def _status(order: dict[str, Any]) -> str:
    """Return an order's status, with why it ended where that is not usual."""
    if order.get("pending") or order.get("waiting"):
        return "pending" if order.get("pending") else "waiting"
    reason = order["close_reason"]
    if reason in (None, "filled", "cancelled_by_user"):
        return str(order["status"])
    refusal = f": {order['refusal']}" if order.get("refusal") else ""
    return f"{order['status']} ({reason}{refusal})".replace("_", " ")


def _terms(order: dict[str, Any]) -> str:
    """Return what is not usual about an order, each part after a comma."""
    parts = []
    source = order.get("trigger_source")
    other = f"{source} " if source not in (None, "last") else ""
    if order["trigger_price"]:
        parts.append(f"{order['type'].replace('_', ' ')} at {other}{order['trigger_price']}")
    if order["trailing_offset"]:
        parts.append(f"trailing {other}by {order['trailing_offset']}")
    if order["time_in_force"] == "gtd":
        parts.append(f"until {clock(order['expires_at_us'])}")
    elif order["time_in_force"] != ("ioc" if order["type"] == "market" else "gtc"):
        parts.append(order["time_in_force"])
    if order.get("reduce_only"):
        parts.append("closes the position" if order.get("close_position") else "reduce-only")
    if order["post_only"]:
        parts.append("post-only")
    if order["display_quantity"]:
        parts.append(f"shows {order['display_quantity']}")
    if order["order_list_id"]:
        parts.append(f"of list {order['order_list_id']}")
    return "".join(f", {part}" for part in parts)


def _state(order: dict[str, Any]) -> str:
    filled = order["filled_quantity"]
    if order["status"] == "filled":
        return "filled."
    if order.get("pending"):
        return "pending."
    if order.get("waiting"):
        return "waiting."
    if order["status"] == "open":
        return "open." if filled == "0" else f"open, {filled} filled so far."
    return (
        f"{order['status']}." if filled == "0" else f"{filled} filled, the rest {order['status']}."
    )


def _fills(order: dict[str, Any], base: str) -> list[str]:
    return [
        f"  filled {fill['quantity']} {base} at {fill['price']}, "
        f"fee {fill['fee']} {fill['fee_asset']} (trade {fill['trade_id']})"
        for fill in order["fills"]
    ]


def clock(microseconds: int) -> str:
    """Return a time in UTC, to the second."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
