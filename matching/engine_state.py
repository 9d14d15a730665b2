"""Everything the engine knows: markets, balances, orders, windows, counters."""

from __future__ import annotations

from bisect import bisect_left, insort

from domain.order import ShardMode
from domain.trading_status import StatusReason
from matching.book import Market, Order
from matching.fund import Frozen, Fund
from matching.windows import KeyWindow, OrderWindow

ASSET_BITS = 16


class EngineState:
    """The state that a snapshot holds. Balances are [total, held] by account << 16 | asset.

    `issued` is credits less debits per asset and never exceeds an int64, so that no balance can:
    issued = all totals + `fees`, always; of the collateral also + isolated cash + rounding dust
    - all cost bases.
    """

    __slots__ = (
        "balances",
        "collateral",
        "epoch",
        "fees",
        "frozen",
        "fund",
        "issued",
        "keys",
        "markets",
        "mode",
        "next_order",
        "next_trade",
        "orders",
        "sequence",
        "shard",
        "status",
        "switches",
        "tiers",
        "time_us",
        "timed",
        "touched",
        "window",
    )

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.sequence = 0
        self.time_us = 0
        self.epoch = 0
        self.mode = int(ShardMode.NORMAL)
        self.status = StatusReason()
        self.next_order = 1
        self.next_trade = 1
        self.markets: dict[int, Market] = {}
        self.balances: dict[int, list[int]] = {}
        self.issued: dict[int, int] = {}
        self.fees: dict[int, int] = {}
        self.orders: dict[int, Order] = {}
        self.timed: list[tuple[int, int]] = []  # (expiry, order id) of open GTD orders, sorted
        self.touched: set[int] = set()  # markets with prices or ended brackets not yet seen to
        self.switches: dict[int, int] = {}  # account -> deadline of its dead-man's switch
        self.tiers: dict[int, int] = {}  # account -> fee tier, where it is not 0
        self.collateral = 0  # the quote asset of all perpetuals; 0: there are none
        self.fund = Fund()
        self.frozen: dict[tuple[int, int], Frozen] = {}  # scopes in liquidation
        self.window = OrderWindow()
        self.keys = KeyWindow()

    def balance(self, account_id: int, asset_id: int) -> list[int]:
        """Return the account's [total, held] of an asset, made when it is first asked for."""
        key = account_id << ASSET_BITS | asset_id
        pair = self.balances.get(key)
        if pair is None:
            pair = self.balances[key] = [0, 0]
        return pair

    def free_units(self, account_id: int, asset_id: int) -> int:
        """Return what the account may spend of an asset."""
        pair = self.balances.get(account_id << ASSET_BITS | asset_id)
        return pair[0] - pair[1] if pair else 0

    def total_units(self, account_id: int, asset_id: int) -> int:
        """Return what the account has of an asset, held or not."""
        pair = self.balances.get(account_id << ASSET_BITS | asset_id)
        return pair[0] if pair else 0

    def held_units(self, account_id: int, asset_id: int) -> int:
        """Return what the account's open orders hold of an asset."""
        pair = self.balances.get(account_id << ASSET_BITS | asset_id)
        return pair[1] if pair else 0

    def is_frozen(self, account_id: int, symbol_id: int) -> bool:
        """Return whether a scope is being liquidated; its symbol is 0 for cross margin."""
        return (account_id, symbol_id) in self.frozen

    def tier(self, account_id: int) -> int:
        """Return the account's fee tier."""
        return self.tiers.get(account_id, 0)

    def rest(self, market: Market, order: Order) -> None:
        """Let `order` stand in its book, or wait beside it."""
        market.rest(order)
        self.orders[order.order_id] = order
        if order.terms.expires_at_us:
            insort(self.timed, (order.terms.expires_at_us, order.order_id))

    def take_out(self, market: Market, order: Order) -> None:
        """Let `order` leave its book, or wait no more."""
        market.take_out(order)
        del self.orders[order.order_id]
        if order.terms.expires_at_us:
            del self.timed[bisect_left(self.timed, (order.terms.expires_at_us, order.order_id))]

    def due_switch(self) -> tuple[int, int] | None:
        """Return (deadline, account) of the dead-man's switch to fire first, or None."""
        first = min(((at, account) for account, at in self.switches.items()), default=None)
        return first if first is not None and first[0] <= self.time_us else None

    def anything_due(self) -> bool:
        """Return whether an order's or a switch's time has come."""
        if self.timed and self.timed[0][0] <= self.time_us:
            return True
        return bool(self.switches) and self.due_switch() is not None

    def orders_of(self, account_id: int, symbol_id: int = 0) -> list[Order]:
        """Return the account's open orders by id, of one market or (0) of all."""
        mine = [
            order
            for market in self.markets.values()
            if symbol_id in (0, market.rules.symbol_id)
            for order in market.open_by_account.get(account_id, {}).values()
        ]
        return sorted(mine, key=lambda order: order.order_id)

    def list_market(self, market: Market) -> None:
        """Add a market and make its assets known."""
        rules = market.rules
        self.markets[rules.symbol_id] = market
        for asset_id in (rules.base_asset_id, rules.quote_asset_id):
            self.issued.setdefault(asset_id, 0)
            self.fees.setdefault(asset_id, 0)
        if market.perpetual is not None:
            self.collateral = rules.quote_asset_id
