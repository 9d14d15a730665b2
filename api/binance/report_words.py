"""Reports about orders as events of the dialect: `executionReport`, `ORDER_TRADE_UPDATE`; pure."""

from __future__ import annotations

from typing import Any

from api.binance.names import name_of
from api.binance.order_words import (
    FUTURES_TYPES,
    NOT_KNOWN,
    SPOT_TYPES,
    WORKING_TYPES,
    status_word,
)
from api.binance.own_orders import OwnOrder, Report

_NONE = "0"
_NO_TRADE = -1
_ALGO_STATUSES = {"NEW": "NEW", "REPLACED": "NEW", "TRIGGERED": "TRIGGERED"}
Words = dict[str, Any]


def spot_report(report: Report, now_ms: int, time_us: int) -> Words:
    """Return an `executionReport`."""
    own, words, fill = report.order, report.order.words, report.fill or {}
    quote = own.market.quote.engine_text
    is_limit_maker = words["post_only"] and words["type"] == "limit"
    placed_ms = words["time_us"] // 1_000
    return {
        "e": "executionReport",
        "E": now_ms,
        "s": name_of(own.market),
        "c": words["client_order_id"],
        "S": words["side"].upper(),
        "o": "LIMIT_MAKER" if is_limit_maker else SPOT_TYPES[words["type"]],
        "f": words["time_in_force"].upper(),
        "q": own.quantity,
        "p": words["price"] or _NONE,
        "P": words.get("trigger_price") or _NONE,
        "F": words.get("display_quantity") or _NONE,
        "g": int(words.get("order_list_id") or -1),
        "C": words["client_order_id"] if report.what == "CANCELED" else "",
        "x": "NEW" if report.what == "TRIGGERED" else _how_ended(report),
        "X": _status(report),
        "r": "NONE",
        "i": int(own.order_id),
        "l": fill.get("quantity", _NONE),
        "z": own.market.quantity_text(own.filled_lots),
        "L": fill.get("price", _NONE),
        "n": fill.get("fee", _NONE),
        "N": fill.get("fee_asset"),
        "T": time_us // 1_000,
        "t": int(fill.get("trade_id", _NO_TRADE)),
        "I": int(own.order_id),
        "w": report.status == "open" and not words.get("waiting") and not words.get("pending"),
        "m": fill.get("role") == "maker",
        "M": bool(fill),
        "O": placed_ms,
        "Z": NOT_KNOWN if own.quote_units is None else quote(own.quote_units),
        "Y": quote(_value(own, fill)) if fill else _NONE,
        "Q": words.get("quote_amount") or _NONE,
        "W": placed_ms,
        "V": words["self_trade"].upper(),
    }


def futures_reports(report: Report, now_ms: int, time_us: int) -> list[Words]:
    """Return `ORDER_TRADE_UPDATE`; of an order that waits, or did until now, `ALGO_UPDATE`."""
    head = {"T": time_us // 1_000, "E": now_ms}
    words = report.order.words
    waits = words.get("waiting") and report.what in _ALGO_STATUSES
    found = []
    if waits or report.what == "TRIGGERED" or report.order.never_acted:
        found.append({"e": "ALGO_UPDATE", **head, "o": _algo(report)})
    if not waits and not report.order.never_acted:
        found.append({"e": "ORDER_TRADE_UPDATE", **head, "o": _futures_order(report, time_us)})
    return found


def _futures_order(report: Report, time_us: int) -> Words:
    own, words, fill = report.order, report.order.words, report.fill or {}
    is_conditional = words.get("trigger_price") is not None
    kind = FUTURES_TYPES[words["type"]]
    acting = ("LIMIT" if words["price"] else "MARKET") if is_conditional else kind
    what = {"TRIGGERED": "NEW", "REPLACED": "AMENDMENT"}.get(report.what, report.what)
    commission = {"N": fill["fee_asset"], "n": fill["fee"]} if fill else {}
    return {
        "s": name_of(own.market),
        "c": words["client_order_id"],
        "S": words["side"].upper(),
        "o": acting,
        "f": "GTX" if words["post_only"] else words["time_in_force"].upper(),
        "q": own.quantity,
        "p": words["price"] or _NONE,
        "ap": _average(own),
        "sp": words.get("trigger_price") or _NONE,
        "x": what,
        "X": _status(report),
        "i": int(own.order_id),
        "l": fill.get("quantity", _NONE),
        "z": own.market.quantity_text(own.filled_lots),
        "L": fill.get("price", _NONE),
        **commission,
        "T": time_us // 1_000,
        "t": int(fill.get("trade_id", 0)),
        "b": _NONE,
        "a": _NONE,
        "m": fill.get("role") == "maker",
        "R": bool(words.get("reduce_only")),
        "wt": _source(words),
        "ot": kind,
        "ps": "BOTH",
        "cp": bool(words.get("close_position")),
        "rp": fill.get("realised_profit", _NONE),
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": words["self_trade"].upper(),
        "pm": "NONE",
        "gtd": (words.get("expires_at_us") or 0) // 1_000,
    }


def _algo(report: Report) -> Words:
    own, words = report.order, report.order.words
    is_triggered = report.what == "TRIGGERED"
    return {
        "caid": words["client_order_id"],
        "aid": int(own.order_id),
        "at": "CONDITIONAL",
        "o": FUTURES_TYPES[words["type"]],
        "s": name_of(own.market),
        "S": words["side"].upper(),
        "ps": "BOTH",
        "f": words["time_in_force"].upper(),
        "q": own.quantity,
        "X": _ALGO_STATUSES.get(report.what, report.what),
        "ai": own.order_id if is_triggered else "",
        "tp": words.get("trigger_price") or _NONE,
        "p": words["price"] or _NONE,
        "V": words["self_trade"].upper(),
        "wt": _source(words),
        "pm": "NONE",
        "cp": bool(words.get("close_position")),
        "pP": False,
        "R": bool(words.get("reduce_only")),
        "tt": 0,
        "gtd": (words.get("expires_at_us") or 0) // 1_000,
    }


def _source(words: Words) -> str:
    return WORKING_TYPES[words.get("trigger_source") or "last"]


def _how_ended(report: Report) -> str:
    if report.close_reason == "self_trade":
        return "TRADE_PREVENTION"
    return report.what


def _status(report: Report) -> str:
    own = report.order
    filled = own.market.quantity_text(own.filled_lots)
    pending = bool(own.words.get("pending"))
    return status_word(report.status, filled, report.close_reason, pending=pending)


def _value(own: OwnOrder, fill: Words) -> int:
    """Return price x quantity of a fill, in engine units of the quote asset; exact."""
    market = own.market
    lots = market.quantity_lots(fill["quantity"])
    return market.quote_units(market.price_ticks(fill["price"]), lots)


def _average(own: OwnOrder) -> str:
    """Return the average price of the fills, rounded down to the quote asset's unit."""
    if not own.filled_lots or own.quote_units is None:
        return _NONE
    market = own.market
    whole = 10**market.base.engine_decimals
    base_units = market.base_units(own.filled_lots)
    return market.quote.engine_text(own.quote_units * whole // base_units)
