"""What a reader knows who sees events only: balances, holds and the L3 book."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from domain.commands import ListSymbol
from domain.events import (
    AccountTierSet,
    Credited,
    Debited,
    Event,
    OrderAccepted,
    OrderAmended,
    OrderArmed,
    OrderClosed,
    OrderRefilled,
    OrderRested,
    OrderTriggered,
    ParametersSet,
    SelfTradePrevented,
    SymbolListed,
    Trade,
)
from domain.fee_book import FeeBook
from domain.money import INT64_MAX, PPM, ceil_ppm
from domain.order import Side

Book = dict[int, list[tuple[int, int, int]]]


class Mirror:
    """Rebuild the engine's balances and books from its events; what fills cost is checked."""

    def __init__(self) -> None:
        self.rules: dict[int, SymbolListed | ListSymbol] = {}
        self.totals: dict[tuple[int, int], int] = defaultdict(int)
        self.fees: dict[int, int] = defaultdict(int)
        self.rates = FeeBook()
        self.accepted: dict[int, OrderAccepted] = {}
        self.shrunk: dict[int, int] = defaultdict(int)  # order id -> lots lost without a trade
        self.waiting: dict[int, int] = {}  # order id -> what it holds
        self.pending: set[int] = set()  # ids of the children of brackets whose entry is open
        # order id -> [price, shown lots, hidden lots], in order of arrival
        self.resting: dict[int, list[int]] = {}

    def read(self, events: Iterable[Event]) -> None:
        """Take in events in order."""
        for event in events:
            match event:
                case SymbolListed():
                    self.rules[event.symbol_id] = event
                    self.rates.apply(event)
                case ParametersSet() | AccountTierSet():
                    self.rates.apply(event)
                case Credited():
                    self.totals[event.account_id, event.asset_id] += event.amount_units
                case Debited():
                    self.totals[event.account_id, event.asset_id] -= event.amount_units
                case OrderAccepted():
                    self.accepted[event.order_id] = event
                    if event.entry_order_id:
                        self.pending.add(event.order_id)
                    elif event.order_type.is_triggered:
                        self.waiting[event.order_id] = event.hold_units
                case OrderArmed():
                    self.pending.remove(event.order_id)
                    lost = event.previous_quantity_lots - event.quantity_lots
                    self.shrunk[event.order_id] += lost
                    if self.accepted[event.order_id].order_type.is_triggered:
                        self.waiting[event.order_id] = event.hold_units
                case OrderTriggered():
                    del self.waiting[event.order_id]
                case OrderRested():
                    self._stand(event)
                case OrderRefilled():
                    price, shown, hidden = self.resting.pop(event.order_id)
                    assert (price, shown, hidden) == (event.price_ticks, 0, event.remaining_lots)
                    self._stand(event)
                case Trade():
                    self._trade(event)
                case SelfTradePrevented():
                    self.resting[event.maker_order_id][1] -= event.lots
                    self.shrunk[event.maker_order_id] += event.lots
                    self.shrunk[event.taker_order_id] += event.lots
                case OrderAmended():
                    self._amend(event)
                case OrderClosed():
                    self._close(event)
                case _:
                    pass

    def _stand(self, event: OrderRested | OrderRefilled) -> None:
        shown = event.remaining_lots - event.hidden_lots
        self.resting[event.order_id] = [event.price_ticks, shown, event.hidden_lots]

    def _trade(self, trade: Trade) -> None:
        rules = self.rules[trade.symbol_id]
        buys = trade.taker_side is Side.BUY
        buyer, buyer_fee, seller, seller_fee = (
            trade.taker_account_id if buys else trade.maker_account_id,
            trade.taker_fee_units if buys else trade.maker_fee_units,
            trade.maker_account_id if buys else trade.taker_account_id,
            trade.maker_fee_units if buys else trade.taker_fee_units,
        )
        base, quote = rules.base_asset_id, rules.quote_asset_id
        value = trade.price_ticks * trade.quantity_lots * rules.quote_units_per_tick_lot
        assert trade.quote_units == value
        assert trade.base_units == trade.quantity_lots * rules.base_units_per_lot
        assert (trade.maker_fee_units, trade.taker_fee_units) == self.rates.of(trade)
        self.totals[buyer, quote] -= trade.quote_units + buyer_fee
        self.totals[buyer, base] += trade.base_units
        self.totals[seller, base] -= trade.base_units
        self.totals[seller, quote] += trade.quote_units - seller_fee
        self.fees[quote] += buyer_fee + seller_fee
        maker = self.resting[trade.maker_order_id]
        assert maker[0] == trade.price_ticks
        maker[1] -= trade.quantity_lots

    def _amend(self, amended: OrderAmended) -> None:
        if amended.is_waiting:
            self.shrunk[amended.order_id] += amended.previous_quantity_lots - amended.quantity_lots
            self.waiting[amended.order_id] = self._waiting_hold(amended)
            return
        place = self.resting[amended.order_id]
        before, hidden = amended.previous_quantity_lots, amended.previous_hidden_lots
        shown = before - amended.filled_lots - hidden
        assert place == [amended.previous_price_ticks, shown, hidden]
        self.shrunk[amended.order_id] += before - amended.quantity_lots
        if amended.kept_place:
            place[1] = amended.quantity_lots - amended.filled_lots - amended.hidden_lots
            place[2] = amended.hidden_lots
        else:
            del self.resting[amended.order_id]

    def _waiting_hold(self, amended: OrderAmended) -> int:
        rules = self.rules[amended.symbol_id]
        if amended.side is Side.SELL:
            return amended.quantity_lots * rules.base_units_per_lot
        edge = amended.trigger_price_ticks * (PPM + rules.band_ppm) // PPM
        limit = amended.price_ticks or min(edge, INT64_MAX)
        quote = limit * amended.quantity_lots * rules.quote_units_per_tick_lot
        return quote + ceil_ppm(quote, rules.max_taker_fee_ppm)

    def _close(self, close: OrderClosed) -> None:
        if close.resting:
            _, shown, hidden = self.resting.pop(close.order_id)
            assert (shown + hidden, hidden) == (close.remaining_lots, close.hidden_lots)
        else:
            self.waiting.pop(close.order_id, None)
            self.pending.discard(close.order_id)
        order = self.accepted[close.order_id]
        lots = order.quantity_lots - self.shrunk[close.order_id]
        if order.quote_budget_units:
            lots = close.filled_lots
        assert close.filled_lots + close.remaining_lots == lots

    def held(self) -> dict[tuple[int, int], int]:
        """Return what the open orders hold: price and fee of a buy, base of a sell."""
        held: dict[tuple[int, int], int] = defaultdict(int)
        for order_id, units in self.waiting.items():
            order = self.accepted[order_id]
            rules = self.rules[order.symbol_id]
            is_buy = order.side is Side.BUY
            asset_id = rules.quote_asset_id if is_buy else rules.base_asset_id
            held[order.account_id, asset_id] += units
        for order_id, (price, shown, hidden) in self.resting.items():
            lots = shown + hidden
            order = self.accepted[order_id]
            rules = self.rules[order.symbol_id]
            if order.side is Side.SELL:
                units = lots * rules.base_units_per_lot
                held[order.account_id, rules.base_asset_id] += units
            else:
                quote = price * lots * rules.quote_units_per_tick_lot
                units = quote + ceil_ppm(quote, rules.max_taker_fee_ppm)
                held[order.account_id, rules.quote_asset_id] += units
        return held

    def balances(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Return {(account, asset): (total, held)} without all-zero ones."""
        held = self.held()
        return {place: (units, held[place]) for place, units in self.totals.items() if units}

    def depth(self, symbol_id: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return (price, lots) of bids and asks, best first."""
        sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for order_id, (price, lots, _) in self.resting.items():
            order = self.accepted[order_id]
            if order.symbol_id == symbol_id:
                levels = sides[order.side]
                levels[price] = levels.get(price, 0) + lots
        return sorted(sides[0].items(), reverse=True), sorted(sides[1].items())

    def queue(self, symbol_id: int, side: Side) -> list[int]:
        """Return the order ids of a side in priority: price, then arrival."""
        sign = -1 if side is Side.BUY else 1
        mine = [
            (sign * price, place, order_id)
            for place, (order_id, (price, *_)) in enumerate(self.resting.items())
            if self.accepted[order_id].symbol_id == symbol_id
            and self.accepted[order_id].side is side
        ]
        return [order_id for _, _, order_id in sorted(mine)]
