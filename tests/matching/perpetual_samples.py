"""A perpetual's small life, for the golden bytes: every command, and every event, at least once."""

from __future__ import annotations

from dataclasses import replace

from domain import risk_commands as r
from domain.commands import CancelAll, Command, Credit, MarketRules, PlaceOrder
from domain.fees import flat_fees
from domain.order import OrderType, Side, TimeInForce
from domain.perpetual_terms import BracketRow, PerpetualTerms
from domain.risk_commands import MarginMode, Trigger

PERP, USDT = 7, 1
HOUR_US = 3_600_000_000
_RULES = MarketRules(PERP, 3, USDT, 1, 10, flat_fees(200, 500), 1_000, 100_000, 1_000, 10**6, 100)
_TERMS = PerpetualTerms(
    brackets=(BracketRow(0, 10_000, 20_000), BracketRow(50_000_000, 20_000, 40_000)),
    cap_units=10**10,
    impact_units=50_000,
    max_leverage=50,
    max_slices=1,
    slice_min_units=1_000,
    funding_interval_seconds=3_600,
    interest_ppm=333,
    index_max_age_us=HOUR_US,
)
_NO_FUND = PerpetualTerms(
    **{name: getattr(_TERMS, name) for name in PerpetualTerms.__slots__ if name != "fund_cap_ppm"},
    fund_cap_ppm=0,
)
PAUSES = {"perp index, fresh": 150_000_000, "perp index, an hour later": HOUR_US}
"""Microseconds of engine time that pass before a command of the session."""


def _index(*prices: int) -> r.SetIndex:
    said = (*prices, *(0,) * (8 - len(prices)))
    return r.SetIndex(PERP, said, tuple(2 * HOUR_US if price else 0 for price in said))


def _order(
    key: int, account: int, side: Side, price: int, lots: int, *, reduce_only: bool = False
) -> PlaceOrder:
    kind, tif = OrderType.LIMIT, TimeInForce.GTC
    return PlaceOrder(account, key, PERP, side, kind, tif, price, lots, reduce_only=reduce_only)


def perpetual_session(first: int) -> list[tuple[str, Command]]:
    """Return the market's day; its first command is the `first`-th of the whole session.

    Accounts 1 and 2 quote, 3 is liquidated, 4 is isolated.
    """
    day = _day()
    sequences = {name: first + place for place, (name, _) in enumerate(day)}
    return [
        (name, _after(command, sequences[_AFTER[name]]) if name in _AFTER else command)
        for name, command in day
    ]


def _after(command: Command, version: int) -> Command:
    """Return a step that expects its scope as it was after a command."""
    assert isinstance(command, r.Liquidate | r.TakeOver | r.Deleverage | r.Unfreeze)
    return replace(command, expected_scope_version=version)


def _day() -> list[tuple[str, Command]]:
    return [
        ("perp list", r.ListPerpetual(_RULES, _TERMS, key=200)),
        ("perp terms", r.SetRiskParameters(PERP, _TERMS, key=201)),
        ("perp without a mark", _order(201, 1, Side.SELL, 1_020, 50)),
        ("perp index", _index(1_000, 1_001, 999)),
        ("perp leverage", r.SetLeverage(1, PERP, 20)),
        ("perp leverage of 2", r.SetLeverage(2, PERP, 20)),
        ("perp ask", _order(202, 1, Side.SELL, 1_020, 50)),
        ("perp bid", _order(203, 2, Side.BUY, 980, 50)),
        ("perp index, fresh", _index(1_000, 1_001, 999, 700)),
        ("perp credit", Credit(202, 3, USDT, 50_000, 900)),
        ("perp leverage of 3", r.SetLeverage(3, PERP, 20)),
        ("perp offer", _order(204, 1, Side.SELL, 1_000, 90)),
        ("perp buy", _order(205, 3, Side.BUY, 1_000, 90)),
        ("perp buy too much", _order(206, 3, Side.BUY, 1_000, 90)),
        ("perp reduce", _order(207, 3, Side.SELL, 1_010, 99, reduce_only=True)),
        ("perp fund", r.TopUpFund(203, USDT, 10**6, 900)),
        ("perp credit 4", Credit(204, 4, USDT, 50_000, 900)),
        ("perp isolated", r.SetMarginMode(4, PERP, MarginMode.ISOLATED)),
        ("perp margin in", r.MoveMargin(205, 4, PERP, 40_000, 900)),
        ("perp isolated sale", _order(208, 4, Side.SELL, 980, 3)),
        ("perp index, an hour later", _index(1_000, 1_001, 999)),
        ("perp funding", r.SettleFunding(206, PERP, HOUR_US)),
        ("perp funding again", r.SettleFunding(206, PERP, HOUR_US)),
        ("perp dust", r.SweepDust(207, USDT, 900)),
        ("perp not below margin", r.Freeze(208, 2, 0)),
        *_liquidation(),
        ("perp shortfall", r.SetPerpetualState(PERP, Trigger.SHORTFALL, "risk", "a drill")),
        ("perp halt", r.SetPerpetualState(PERP, Trigger.HALT)),
        ("perp settle", r.SetPerpetualState(PERP, Trigger.SETTLE, "ada", "the end")),
        ("perp final", r.SettleMarket(230, PERP)),
        ("perp back to cross", r.SetMarginMode(4, PERP, MarginMode.CROSS)),
    ]


def _liquidation() -> list[tuple[str, Command]]:
    """Return a fall, and each step with account 3: book, fund, other side."""
    return [
        ("perp quotes away", CancelAll(2, PERP)),
        ("perp last bid", _order(210, 2, Side.BUY, 950, 60)),
        ("perp last sale", _order(211, 1, Side.SELL, 950, 5)),
        ("perp index falls", _index(950, 950, 950)),
        ("perp freeze", r.Freeze(210, 3, 0)),
        ("perp order of a frozen scope", _order(212, 3, Side.SELL, 950, 1, reduce_only=True)),
        ("perp stale version", r.Liquidate(211, 3, PERP, 20, 0, 1)),
        ("perp liquidate", r.Liquidate(212, 3, PERP, 20, 0, 0)),
        ("perp take over", r.TakeOver(213, 3, PERP, 10, 0)),
        ("perp fund can", r.Deleverage(214, 3, PERP, 1, 10, 0)),
        ("perp no fund", r.SetRiskParameters(PERP, _NO_FUND)),
        ("perp deleverage", r.Deleverage(215, 3, PERP, 1, 60, 0)),
        ("perp unfreeze", r.Unfreeze(216, 3, 0, 0)),
        ("perp unwind", r.Unwind(217, PERP, 4, 0)),
    ]


_AFTER = {
    "perp liquidate": "perp freeze",
    "perp take over": "perp liquidate",
    "perp fund can": "perp take over",
    "perp deleverage": "perp take over",
    "perp unfreeze": "perp deleverage",
}
"""After which command the scope is as a step expects it."""
