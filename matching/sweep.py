"""What the book would do to an order: a sweep that is played through before it is made.

Whether it fills the order whole (fill-or-kill), and what the order would lose against the mark.
Everything that ends a sweep early or passes over a maker is played: the limit, the sweep limit,
self-trade, icebergs, whom a fill would leave too little (`ruin.py`), and reduce-only orders that
are cancelled as their owner's position shrinks.
"""

from __future__ import annotations

from collections import deque

from domain.limits import MAX_MAKERS, MAX_PLAYED, SWEEP_ROOM, TRIGGER_ROOM
from domain.order import SelfTrade, Side
from domain.order_guards import (
    RestingReduceOnly,
    closable_lots,
    open_loss_units,
    reduce_only_trim,
)
from matching.book import BUY, Market, Order
from matching.engine_state import EngineState
from matching.ruin import gained_units, spare_units
from matching.scopes import Prospect
from matching.wire import may_rest

_EXPIRE_MAKER, _DECREMENT = int(SelfTrade.EXPIRE_MAKER), int(SelfTrade.DECREMENT)


class _Party:
    """An account in a sweep: what fills may still take from it, and its reduce-only orders."""

    def __init__(self, state: EngineState, market: Market, order: Order) -> None:
        self.spare = spare_units(state, market, order)
        self.side = order.side
        self.lots = market.perpetual.look(order.account_id).lots if market.perpetual else 0
        self.reducing: dict[int, RestingReduceOnly] = {}
        for one in market.reduce_only_orders(order.account_id, order.side):
            self.reducing[one.order_id] = one

    def fill(self, order: Order, lots: int) -> None:
        """Let a fill change the position and what is left of a reduce-only order."""
        self.lots += lots if self.side == BUY else -lots
        one = self.reducing.get(order.order_id)
        if one is not None and one.lots == lots:
            del self.reducing[order.order_id]
        elif one is not None:
            left = RestingReduceOnly(one.order_id, one.price_ticks, one.lots - lots)
            self.reducing[order.order_id] = left

    def trim(self, mark_ticks: int) -> list[int]:
        """Return the reduce-only orders that are cancelled now, which are beyond the position."""
        closable = closable_lots(self.lots, Side(self.side))
        gone = reduce_only_trim(list(self.reducing.values()), closable, mark_ticks)
        for order_id in gone:
            del self.reducing[order_id]
        return gone


class _Sweep:
    """An order that meets the book, in a world of its own."""

    def __init__(
        self, state: EngineState, market: Market, taker: Order, most: int = MAX_MAKERS
    ) -> None:
        self.state = state
        self.market = market
        self.taker = taker
        self.most = most  # meetings
        self.missing = taker.quantity_lots - taker.filled_lots
        self.taken = 0  # lots that trade
        self.loss_units = 0  # of those at prices worse than the mark
        self.met = 0
        self.ended = False  # it may not go on
        self.is_cut = False  # it might go on, but is not played any further
        self.shrank = False  # some of it went against an order of its own
        self.gone: set[int] = set()  # orders that are cancelled on the way
        self.parties = {taker.account_id: _Party(state, market, taker)}
        self.events = 10 + self._open_orders(taker.account_id)  # at most, beside two a meeting

    def _open_orders(self, account_id: int) -> int:
        """Return how many orders of an account could end in this sweep."""
        markets = self.state.markets.values()
        return sum(len(market.open_by_account.get(account_id, ())) for market in markets)

    @property
    def is_over(self) -> bool:
        """Return whether nothing more is to be met."""
        return self.ended or self.is_cut or self.missing == 0

    @property
    def is_whole(self) -> bool:
        """Return whether all of the order trades."""
        return self.missing == 0 and not self.shrank

    def play(self) -> None:
        """Meet what there is within the order's limit, until it is over."""
        side = self.market.sides[1 - self.taker.side]
        for level_rank in reversed(side.ranks):
            if self.is_over or level_rank < self.taker.limit_ticks * side.sign:
                return
            self._play_level(list(side.levels[level_rank].values()))

    def _play_level(self, makers: list[Order]) -> None:
        """Meet the orders of a level, then what icebergs among them show next, in turn."""
        turns = deque((maker, maker.shown_lots, maker.hidden_lots) for maker in makers)
        while turns and not self.is_over:
            maker, shown, hidden = turns.popleft()
            if maker.order_id in self.gone:
                continue
            stands = self.meet(maker, shown)
            if stands and hidden and not self.is_over:
                more = min(hidden, maker.terms.display_lots)
                turns.append((maker, more, hidden - more))

    def meet(self, maker: Order, shown_lots: int) -> bool:
        """Meet an order that shows so much; return whether it stands on (or has been filled)."""
        self.met += 1
        if self.met > self.most:
            self.is_cut = True
            return False
        if maker.account_id == self.taker.account_id:
            return self._meet_own(shown_lots)
        owner = self.parties.get(maker.account_id)
        if owner is None:
            owner = _Party(self.state, self.market, maker)
            self.parties[maker.account_id] = owner
            self.events += self._open_orders(maker.account_id)
        perpetual = self.market.perpetual
        if perpetual is not None and self.events + 2 * self.met > SWEEP_ROOM - TRIGGER_ROOM:
            self.is_cut = True  # it could be too many events for one command
            return False
        lots = min(self.missing, shown_lots)
        taker = self.parties[self.taker.account_id]
        taken = self._left(taker, self.taker, maker, lots)
        given = self._left(owner, maker, maker, lots)
        if taken is not None and taken < 0:
            self.is_cut = True  # and so too little for what is left at the order's limit
            return False
        if given is not None and given < 0:
            owner.reducing.pop(maker.order_id, None)
            return False
        taker.spare, owner.spare = taken, given
        self.missing -= lots
        self.taken += lots
        if perpetual is not None:
            side, mark = Side(self.taker.side), perpetual.mark_ticks
            units = perpetual.units_per_tick_lot
            self.loss_units += open_loss_units(side, lots, maker.price_ticks, mark, units)
            owner.fill(maker, lots)
            self.gone.update(owner.trim(mark))
        return True

    def _meet_own(self, shown_lots: int) -> bool:
        """Meet an order of the same account, as its mode against self-trade says."""
        mode = self.taker.flags >> 9 & 7
        if mode == _DECREMENT:
            self.shrank = True
            self.missing -= min(self.missing, shown_lots)
            return True
        self.ended = mode != _EXPIRE_MAKER
        return False

    def _left(self, party: _Party, order: Order, maker: Order, lots: int) -> int | None:
        """Return what a fill leaves that fills may still take; None: nothing is at stake."""
        if party.spare is None:
            return None
        return party.spare + gained_units(self.state, self.market, order, maker, lots)


def is_fillable(state: EngineState, market: Market, order: Order) -> bool:
    """Return whether the book fills the whole order now, within its limit and the sweep limit."""
    sweep = _Sweep(state, market, order)
    sweep.play()
    return sweep.is_whole


def prospect(state: EngineState, market: Market, order: Order) -> Prospect:
    """Return what an order on a perpetual would come to now.

    After `MAX_PLAYED` meetings all that is left counts at the order's limit, whatever its kind.
    """
    side = market.sides[1 - order.side]
    rests = may_rest(order.flags) and not order.is_market
    if side.first(order.limit_ticks * side.sign) is None:
        return Prospect(0, 0, order.quantity_lots - order.filled_lots if rests else 0)
    sweep = _Sweep(state, market, order, MAX_PLAYED)
    sweep.play()
    goes_on = sweep.is_cut or (rests and not sweep.ended)
    return Prospect(sweep.taken, sweep.loss_units, sweep.missing if goes_on else 0)
