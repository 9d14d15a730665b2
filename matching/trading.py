"""What orders do to the book: match, rest, close, as the reference engine acts."""

from __future__ import annotations

from domain.fees import fee_units
from domain.limits import MAX_EXPIRIES, MAX_MAKERS, SWEEP_ROOM
from domain.order import CloseReason, SelfTrade, TriggerSource
from domain.risk_commands import FUND_ACCOUNT
from matching.admission import limit_rank
from matching.book import BUY, ENDED, OPEN, Market, Order, whole_lists
from matching.engine_state import EngineState
from matching.event_writer import EventWriter
from matching.fund_capacity import note_fund
from matching.perpetual_trading import fill_perpetual
from matching.questions import Questions
from matching.ruin import ruined_by
from matching.wire import may_rest

_EXPIRE_TAKER, _EXPIRE_BOTH = int(SelfTrade.EXPIRE_TAKER), int(SelfTrade.EXPIRE_BOTH)
_DECREMENT = int(SelfTrade.DECREMENT)
_STATUS = {reason: reason.status for reason in CloseReason}


class Trading(Questions):
    """A state that orders act upon, and where they say what they did."""

    def __init__(self, state: EngineState, events: EventWriter) -> None:
        self.state = state
        self.events = events

    def trade(self, market: Market, taker: Order) -> CloseReason | None:
        """Trade `taker` against the book; return why it must stop, or None."""
        side = market.sides[1 - taker.side]
        rank = limit_rank(market, taker)
        for _ in range(MAX_MAKERS):
            maker = side.first(rank)
            if maker is None:
                return None
            if maker.account_id == taker.account_id:
                mode = taker.flags >> 9 & 7
                if mode == _DECREMENT:
                    if self.decrement(market, maker, taker):
                        return CloseReason.SELF_TRADE
                    continue
                if mode != _EXPIRE_TAKER:
                    self.close_resting(market, maker, CloseReason.SELF_TRADE)
                if mode in (_EXPIRE_TAKER, _EXPIRE_BOTH):
                    return CloseReason.SELF_TRADE
                continue
            if market.perpetual is not None and self.events.index > SWEEP_ROOM:
                return CloseReason.SWEEP_LIMIT
            missing = taker.quantity_lots - taker.filled_lots
            lots = min(missing, maker.shown_lots)
            ruined = ruined_by(self.state, market, maker, taker, lots)
            if ruined is taker:
                return CloseReason.INSUFFICIENT_MARGIN
            if ruined is maker:
                self.close_resting(market, maker, CloseReason.INSUFFICIENT_MARGIN)
                continue
            self.fill(market, maker, taker, lots)
            if missing == lots:
                return None
        return CloseReason.SWEEP_LIMIT if side.first(rank) is not None else None

    def spend(self, market: Market, taker: Order) -> CloseReason:
        """Trade a market buy until its quote budget is spent; return why it ends."""
        side = market.sides[1 - taker.side]
        rank = limit_rank(market, taker)
        left = taker.terms.quote_budget_units
        rules = market.rules
        taker_ppm = rules.fees[self.state.tier(taker.account_id)].taker_ppm
        for _ in range(MAX_MAKERS):
            maker = side.first(rank)
            if maker is None:
                return CloseReason.BAND_REACHED if side.ranks else CloseReason.IOC_REMAINDER
            if maker.account_id == taker.account_id:
                mode = taker.flags >> 9 & 7
                if mode != _EXPIRE_TAKER:
                    self.close_resting(market, maker, CloseReason.SELF_TRADE)
                if mode in (_EXPIRE_TAKER, _EXPIRE_BOTH):
                    return CloseReason.SELF_TRADE
                continue
            affordable = market.affordable_lots(maker.price_ticks, left, taker_ppm)
            lots = min(affordable, maker.shown_lots)
            if lots == 0:
                return CloseReason.FILLED if taker.filled_lots else CloseReason.IOC_REMAINDER
            ruined = ruined_by(self.state, market, maker, taker, lots)
            if ruined is taker:
                return CloseReason.INSUFFICIENT_MARGIN
            if ruined is maker:
                self.close_resting(market, maker, CloseReason.INSUFFICIENT_MARGIN)
                continue
            quote = maker.price_ticks * lots * rules.quote_units_per_tick_lot
            left -= quote + fee_units(quote, taker_ppm)
            taker.quantity_lots += lots
            self.fill(market, maker, taker, lots)
        return CloseReason.SWEEP_LIMIT

    def expire_due(self) -> int:
        """Do what falls due, and return how many events that made.

        GTD orders close by time and id, then switches fire by deadline and account. A list goes as
        a whole, which may be one event more than the limit.
        """
        state, count = self.state, 0
        while count < MAX_EXPIRIES and state.timed and state.timed[0][0] <= state.time_us:
            order = state.orders[state.timed[0][1]]
            market = state.markets[order.symbol_id]
            count += self.close_resting(market, order, CloseReason.TIME_EXPIRED)
        while count < MAX_EXPIRIES - 1 and (switch := state.due_switch()):
            deadline_us, account_id = switch
            mine = state.orders_of(account_id)
            going = whole_lists(mine, MAX_EXPIRIES - count - 1)
            self.events.switch_fired(account_id, deadline_us, len(going))
            self.close_all(going, CloseReason.DEAD_MANS_SWITCH)
            count += 1 + len(going)
            if len(mine) > len(going):
                break
            del state.switches[account_id]
        return count

    def decrement(self, market: Market, maker: Order, taker: Order) -> bool:
        """Shrink both by the smaller remainder; return whether nothing of the taker is left."""
        missing = taker.quantity_lots - taker.filled_lots
        lots = min(missing, maker.shown_lots)
        self.hold(market, maker, -self.released(market, maker, lots))
        market.count(maker, -lots)
        maker.quantity_lots -= lots
        taker.quantity_lots -= lots
        self.events.prevented(maker, taker, lots)
        self.end_list(market, maker)
        if maker.shown_lots == 0:
            self.used_up(market, maker, CloseReason.SELF_TRADE)
        return lots == missing

    def released(self, market: Market, maker: Order, lots: int) -> int:
        """Return what `maker` no longer holds when `lots` of it are gone."""
        remaining = maker.quantity_lots - maker.filled_lots
        return market.hold_units(maker, remaining) - market.hold_units(maker, remaining - lots)

    def fill(self, market: Market, maker: Order, taker: Order, lots: int) -> None:
        """Trade `lots` at the maker's price and move the money; the taker holds nothing yet."""
        if market.perpetual is not None:
            fill_perpetual(self, market, maker, taker, lots)
            return
        state, rules = self.state, market.rules
        base_id, quote_id = rules.base_asset_id, rules.quote_asset_id
        base = lots * rules.base_units_per_lot
        quote = maker.price_ticks * lots * rules.quote_units_per_tick_lot
        maker_fee = fee_units(quote, rules.fees[state.tier(maker.account_id)].maker_ppm)
        taker_fee = fee_units(quote, rules.fees[state.tier(taker.account_id)].taker_ppm)
        released = self.released(market, maker, lots)
        maker_base = state.balance(maker.account_id, base_id)
        maker_quote = state.balance(maker.account_id, quote_id)
        taker_base = state.balance(taker.account_id, base_id)
        taker_quote = state.balance(taker.account_id, quote_id)
        if taker.side == BUY:
            maker_base[0] -= base
            maker_base[1] -= released
            maker_quote[0] += quote - maker_fee
            taker_base[0] += base
            taker_quote[0] -= quote + taker_fee
        else:
            maker_base[0] += base
            maker_quote[0] -= quote + maker_fee
            maker_quote[1] -= released
            taker_base[0] -= base
            taker_quote[0] += quote - taker_fee
        state.fees[quote_id] += maker_fee + taker_fee
        trade_id = self.traded(market, maker, taker, lots)
        self.events.trade(trade_id, maker, taker, lots, (base, quote, maker_fee, taker_fee))
        self.end_list(market, maker)
        if maker.shown_lots == 0:
            self.used_up(market, maker, CloseReason.FILLED)

    def traded(self, market: Market, maker: Order, taker: Order, lots: int) -> int:
        """Note on both orders and their market that `lots` were traded; return the trade's id."""
        state = self.state
        maker.filled_lots += lots
        taker.filled_lots += lots
        market.last_ticks = maker.price_ticks
        if market.waiting:
            market.reached[TriggerSource.LAST_PRICE].note(maker.price_ticks)
            state.touched.add(market.rules.symbol_id)
        trade_id = state.shard << 48 | state.next_trade
        state.next_trade += 1
        return trade_id

    def used_up(self, market: Market, maker: Order, reason: CloseReason) -> None:
        """Close a maker that shows nothing any more, or let an iceberg show its next lots."""
        if maker.hidden_lots == 0:
            self.close_resting(market, maker, reason)
            return
        market.sides[maker.side].remove(maker)
        maker.show_next()
        market.sides[maker.side].add(maker)
        self.events.refilled(maker)

    def finish(self, market: Market, order: Order, stopped: CloseReason | None) -> None:
        """Let the rest of a taker stand in the book with its hold, or close it."""
        state = self.state
        remaining = order.quantity_lots - order.filled_lots
        if stopped is not None:
            reason = stopped
        elif remaining == 0:
            reason = CloseReason.FILLED
        elif may_rest(order.flags) and not order.is_market:
            self.hold(market, order, market.hold_units(order, remaining))
            order.show_next()
            state.rest(market, order)
            self.events.rested(order)
            return
        elif order.is_market and market.sides[1 - order.side].ranks:
            reason = CloseReason.BAND_REACHED
        else:
            reason = CloseReason.IOC_REMAINDER
        state.window.close(order, state.time_us, _STATUS[reason])
        self.events.closed(order, reason, resting=False)
        self.entry_ended(market, order)

    def accept(self, order: Order) -> None:
        """Give an order its number and remember it by its key."""
        state = self.state
        order.order_id = state.shard << 48 | state.next_order
        state.next_order += 1
        order.accepted_sequence = state.sequence
        order.accepted_time_us = state.time_us
        state.window.orders[order.identity] = order

    def note_cash(self, account_id: int, asset_id: int) -> None:
        """Note that an account's own cash of an asset changed: it may back a liquidation."""
        if asset_id == self.state.collateral:
            self.note_scope(account_id, 0)

    def note_scope(self, account_id: int, symbol_id: int) -> None:
        """Note that a scope changed: a liquidation counts its versions, the fund its cash."""
        state = self.state
        frozen = state.frozen.get((account_id, symbol_id))
        if frozen is not None:
            frozen.version = state.sequence
        if account_id == FUND_ACCOUNT:
            note_fund(state)
        elif symbol_id == 0:
            self.end_uncovered(account_id)

    def end_uncovered(self, account_id: int) -> None:
        """Cancel spot orders that hold collateral which a position has lost, the youngest first."""
        state = self.state
        pair = state.balance(account_id, state.collateral)
        if pair[1] <= max(0, pair[0]):
            return
        for order in reversed(state.orders_of(account_id)):
            market = state.markets[order.symbol_id]
            if order.status != OPEN or market.held_asset(order) != state.collateral:
                continue
            if pair[1] > max(0, pair[0]) and market.held_units(order):
                self.close_resting(market, order, CloseReason.INSUFFICIENT_MARGIN)

    def hold(self, market: Market, order: Order, units: int) -> None:
        """Hold `units` more (or less) of what the order spends."""
        self.state.balance(order.account_id, market.held_asset(order))[1] += units

    def close_resting(self, market: Market, order: Order, reason: CloseReason) -> int:
        """Close an open order, and the other one of its OCO; return how many that were.

        Who cancels one cancels both; any other end of one leaves the other without a purpose.
        """
        sibling = self.unlink(order)
        self._close(market, order, reason)
        if sibling is None:
            return 1
        self._close(market, sibling, reason if reason.is_cancel else CloseReason.ORDER_LIST_DONE)
        return 2

    def close_all(self, orders: list[Order], reason: CloseReason) -> None:
        """Close open orders, the lists among them as a whole."""
        for order in orders:
            if order.status == OPEN:
                self.close_resting(self.state.markets[order.symbol_id], order, reason)

    def end_list(self, market: Market, order: Order) -> None:
        """Close the other one of the list of an order that traded or was set off."""
        sibling = self.unlink(order)
        if sibling is not None:
            self._close(market, sibling, CloseReason.ORDER_LIST_DONE)

    def unlink(self, order: Order) -> Order | None:
        """Let an order and the other one of its list, which is returned, no longer end each other.

        What one covers of the other's hold stays as it is until that one goes.
        """
        sibling = order.sibling
        if sibling is not None:
            order.sibling = sibling.sibling = None
        return sibling

    def _close(self, market: Market, order: Order, reason: CloseReason) -> None:
        """Take an open order out of the book or its wait, and release what it still holds."""
        state = self.state
        if order.quantity_lots != order.filled_lots:
            self.hold(market, order, -market.held_units(order))
        order.covered_units = 0
        state.take_out(market, order)
        state.window.close(order, state.time_us, _STATUS[reason])
        self.events.closed(order, reason, resting=not order.is_outside)
        order.pending = 0
        self.entry_ended(market, order)

    def entry_ended(self, market: Market, order: Order) -> None:
        """Tell the children of a bracket what their entry has filled, now that it is closed.

        They are seen to once the command has acted.
        """
        for child in market.children(order):
            child.pending, child.entry_lots = ENDED, order.filled_lots
            market.ended.add(order.order_id)
            self.state.touched.add(order.symbol_id)
