"""How an account stands as events of the dialect: what changed from one look to the next; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from api.binance.names import name_of
from api.binance.own_orders import MarketOf

Words = dict[str, Any]
_NONE = "0"
# Why a native event changes balances or positions, as the dialect says it; anything else is ORDER.
REASONS = {
    "credited": "DEPOSIT",
    "debited": "WITHDRAW",
    "funding": "FUNDING_FEE",
    "margin_moved": "MARGIN_TRANSFER",
    "margin_mode_set": "MARGIN_TYPE_CHANGE",
    "takeover": "INSURANCE_CLEAR",
    "settlement": "ADJUSTMENT",
}


class Standing:
    """What was told of an account's balances and positions, over all shards."""

    def __init__(self, market_of: MarketOf) -> None:
        self._market_of = market_of
        self._spot: dict[str, Words] = {}
        self._wallet: dict[str, Words] = {}
        self._positions: dict[str, Words] = {}

    def spot_changes(self, states: Iterable[Mapping[str, Any]]) -> list[Words]:
        """Return the balances that differ from those told before, as `outboundAccountPosition`."""
        now = {
            asset: {"a": asset, "f": _sum(lines, "available"), "l": _sum(lines, "in_orders")}
            for asset, lines in _by_asset(states).items()
        }
        return _changed(self._spot, now)

    def futures_changes(
        self, states: Iterable[Mapping[str, Any]]
    ) -> tuple[list[Words], list[Words]]:
        """Return (balances, positions) that differ, as in `ACCOUNT_UPDATE`.

        A position's unrealised profit moves with the mark, and does not count as a change.
        """
        found = list(states)
        wallet = {}
        for asset, lines in _by_asset(found).items():
            isolated = Decimal(_sum(lines, "isolated_margin"))
            total = Decimal(_sum(lines, "total"))
            cross = _text(total - isolated)
            wallet[asset] = {"a": asset, "wb": _text(total), "cw": cross, "bc": _NONE}
        listed = [one for state in found for one in state["positions"]]
        positions = {one["symbol"]: self._position(one) for one in listed}
        for symbol in self._positions.keys() - positions.keys():
            positions[symbol] = {**self._positions[symbol], "pa": _NONE, "ep": _NONE, "up": _NONE}
        balances = _changed(self._wallet, wallet)
        return balances, _changed(self._positions, positions, apart=("up",))

    def _position(self, position: Mapping[str, Any]) -> Words:
        market = self._market_of(position["symbol"])
        assert market is not None, "a position's market is listed"
        entry = position["entry_price"] or _NONE
        is_cross = position["mode"] == "cross"
        return {
            "s": name_of(market),
            "pa": position["quantity"],
            "ep": entry,
            "bep": entry,
            "up": position["unrealised_profit"],
            "mt": "cross" if is_cross else "isolated",
            "iw": position["margin"] or _NONE,
            "ps": "BOTH",
        }


def margin_call(
    call: Mapping[str, Any], positions: Iterable[Mapping[str, Any]], market_of: MarketOf
) -> Words:
    """Return the body of a `MARGIN_CALL`; `call` and `positions` are in the native words."""
    concerned = []
    for one in positions:
        market = market_of(one["symbol"])
        is_meant = call["symbol"] in (None, one["symbol"])
        if market is None or not is_meant or one["quantity"] == _NONE:
            continue
        is_cross = one["mode"] == "cross"
        concerned.append(
            {
                "s": name_of(market),
                "ps": "BOTH",
                "pa": one["quantity"],
                "mt": "CROSSED" if is_cross else "ISOLATED",
                "iw": one["margin"] or _NONE,
                "mp": one["mark_price"] or _NONE,
                "up": one["unrealised_profit"],
                "mm": one["maintenance_margin"],
            }
        )
    return {"cw": call["equity"], "p": concerned}


def _by_asset(states: Iterable[Mapping[str, Any]]) -> dict[str, list[Words]]:
    found: dict[str, list[Words]] = {}
    for state in states:
        for line in state["balances"]:
            found.setdefault(line["asset"], []).append(line)
    return found


def _changed(
    before: dict[str, Words], now: dict[str, Words], apart: tuple[str, ...] = ()
) -> list[Words]:
    """Return what of `now` differs, the members `apart` aside; it becomes what was told."""

    def content(words: Words | None) -> Words | None:
        return words and {name: text for name, text in words.items() if name not in apart}

    changed = [words for name, words in now.items() if content(words) != content(before.get(name))]
    before.update(now)
    return changed


def _sum(lines: list[Words], member: str) -> str:
    return _text(sum((Decimal(line[member]) for line in lines), Decimal(0)))


def _text(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
