"""Whether the book fills an order whole: a sweep that is played through before it is made.

Everything that ends a sweep early or passes over a maker is played: the limit, the sweep limit,
self-trade, icebergs, whom a fill would leave too little (`ruin.py`), and reduce-only orders that
are cancelled as their owner's position shrinks.
"""

from __future__ import annotations

from collections import deque

from domain.limits import MAX_MAKERS, SWEEP_ROOM, TRIGGER_ROOM
from domain.order import SelfTrade, Side
from domain.order_guards import RestingReduceOnly, closable_lots, reduce_only_trim
from matching.book import BUY, Market, Order
from matching.engine_state import EngineState
from matching.ruin import gained_units, spare_units

_EXPIRE_MAKER = int(SelfTrade.EXPIRE_MAKER)


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

    def __init__(self, state: EngineState, market: Market, taker: Order) -> None:
        self.state = state
        self.market = market
        self.taker = taker
        self.missing = taker.quantity_lots - taker.filled_lots
        self.met = 0
        self.stopped = False  # it may not go on
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
        return self.stopped or self.missing == 0

    def meet(self, maker: Order, shown_lots: int) -> bool:
        """Meet an order that shows so much; return whether it stands on (or has been filled)."""
        self.met += 1
        if self.met > MAX_MAKERS:
            self.stopped = True
            return False
        if maker.account_id == self.taker.account_id:
            self.stopped = self.taker.flags >> 9 & 7 != _EXPIRE_MAKER
            return False
        owner = self.parties.get(maker.account_id)
        if owner is None:
            owner = _Party(self.state, self.market, maker)
            self.parties[maker.account_id] = owner
            self.events += self._open_orders(maker.account_id)
        is_perpetual = self.market.perpetual is not None
        if is_perpetual and self.events + 2 * self.met > SWEEP_ROOM - TRIGGER_ROOM:
            self.stopped = True  # it could be too many events for one command
            return False
        lots = min(self.missing, shown_lots)
        taker = self.parties[self.taker.account_id]
        taken = self._left(taker, self.taker, maker, lots)
        given = self._left(owner, maker, maker, lots)
        if taken is not None and taken < 0:
            self.stopped = True
            return False
        if given is not None and given < 0:
            owner.reducing.pop(maker.order_id, None)
            return False
        taker.spare, owner.spare = taken, given
        self.missing -= lots
        if self.market.perpetual is not None:
            owner.fill(maker, lots)
            self.gone.update(owner.trim(self.market.perpetual.mark_ticks))
        return True

    def _left(self, party: _Party, order: Order, maker: Order, lots: int) -> int | None:
        """Return what a fill leaves that fills may still take; None: nothing is at stake."""
        if party.spare is None:
            return None
        return party.spare + gained_units(self.state, self.market, order, maker, lots)


def is_fillable(state: EngineState, market: Market, order: Order) -> bool:
    """Return whether the book fills the whole order now, within its limit and the sweep limit."""
    side = market.sides[1 - order.side]
    sweep = _Sweep(state, market, order)
    for level_rank in reversed(side.ranks):
        if level_rank < order.limit_ticks * side.sign:
            break
        hidden: deque[tuple[Order, int]] = deque()  # icebergs met, with what they hide
        for maker in side.levels[level_rank].values():
            if maker.order_id in sweep.gone:
                continue
            stands = sweep.meet(maker, maker.shown_lots)
            if sweep.is_over:
                return not sweep.stopped
            if stands and maker.hidden_lots:
                hidden.append((maker, maker.hidden_lots))
        while hidden:
            maker, lots = hidden.popleft()
            if maker.order_id in sweep.gone:
                continue
            stands = sweep.meet(maker, min(lots, maker.terms.display_lots))
            if sweep.is_over:
                return not sweep.stopped
            if stands and lots > maker.terms.display_lots:
                hidden.append((maker, lots - maker.terms.display_lots))
    return False
