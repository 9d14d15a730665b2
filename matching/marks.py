"""Index, mark and state of perpetual markets, as the reference engine keeps them.

Everything here follows from journalled commands: sources' prices, ticks, and what the book is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.circuit_breaker import MarkSample, Trip, trip
from domain.errors import RejectReason
from domain.index_price import SourcePrice, index_ticks, used_sources
from domain.mark_price import basis_sample, mark_ticks
from domain.opcode import Opcode
from domain.order import TriggerSource
from domain.perpetual_state import PerpetualState, StateTrigger, next_state
from domain.risk_bounds import MAX_PRICE_TICKS, MAX_VALUE_UNITS
from matching.funding import take_sample
from matching.perpetual import Perpetual
from matching.risk_wire import INDEX_STRIPES
from matching.scopes import perpetual_of, perpetuals
from matching.wire import MAX_TIME_US, STRIPE

if TYPE_CHECKING:
    from matching.administration import Head
    from matching.book import Market
    from matching.engine_state import EngineState
    from matching.trading import Trading


def set_index(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Take what the sources say; compute index and mark, and let the market react."""
    symbol_id, state = head[6], engine.state
    words = INDEX_STRIPES.unpack_from(batch, offset + STRIPE)
    market = state.markets.get(symbol_id)
    reason = _refuse_index(market, words)
    if reason or market is None or market.perpetual is None:
        engine.events.rejected(Opcode.SET_INDEX, reason, 0, head[9], symbol_id)
        return
    perpetual = market.perpetual
    sources = [
        SourcePrice(place, price, words[place + 8])
        for place, price in enumerate(words[:8])
        if price
    ]
    rules = perpetual.terms.index_rules
    perpetual.sources = len(used_sources(sources, state.time_us, rules))
    index = index_ticks(sources, state.time_us, rules)
    beyond = index is not None and not _follow_index(state, market, perpetual, index)
    watch_book(state, market, perpetual)
    take_sample(state, market, perpetual)
    engine.events.index_set(market, perpetual)
    if beyond:
        move(engine, market, perpetual, StateTrigger.HALT)
    review(engine, market, perpetual)


def _refuse_index(market: Market | None, words: tuple[int, ...]) -> RejectReason:
    if not all(0 <= price <= MAX_PRICE_TICKS for price in words[:8]):
        return RejectReason.INVALID_PRICE
    if not all(0 <= time_us <= MAX_TIME_US for time_us in words[8:]):
        return RejectReason.MALFORMED_COMMAND
    found = perpetual_of(market)
    if isinstance(found, RejectReason):
        return found
    _, perpetual = found
    if perpetual.phase is PerpetualState.SETTLEMENT:
        return RejectReason.MARKET_SETTLING
    return RejectReason.NONE


def _follow_index(state: EngineState, market: Market, perpetual: Perpetual, index: int) -> bool:
    """Take an index and the mark that follows; return whether the mark is within the bounds.

    A mark that is not is not adopted.
    """
    now = state.time_us
    perpetual.index_ticks, perpetual.index_time_us = index, now
    _touch(state, market, TriggerSource.INDEX_PRICE)
    perpetual.begun_us = perpetual.begun_us or now
    bids, asks = market.sides[0].depth(1), market.sides[1].depth(1)
    if bids and asks:
        half_ticks = basis_sample(now, bids[0][0], asks[0][0], index).half_ticks
        perpetual.basis.append((now, half_ticks))
        perpetual.basis_half_ticks += half_ticks
    while perpetual.basis and now - perpetual.basis[0][0] >= perpetual.terms.basis_window_us:
        perpetual.basis_half_ticks -= perpetual.basis.popleft()[1]
    clock, last = perpetual.funding_clock(now), market.last_ticks or None
    mark = mark_ticks(index, clock, perpetual.mean_basis(), last)
    value = perpetual.open_lots * mark * perpetual.units_per_tick_lot
    if mark > MAX_PRICE_TICKS or value > MAX_VALUE_UNITS:
        return False
    perpetual.mark_ticks = mark
    _touch(state, market, TriggerSource.MARK_PRICE)
    perpetual.marks.append((now, mark))
    while now - perpetual.marks[0][0] > perpetual.terms.breaker_window_us:
        perpetual.marks.popleft()
    return True


def _touch(state: EngineState, market: Market, source: TriggerSource) -> None:
    """Remember a mark or an index while orders wait."""
    if market.waiting:
        market.reached[source].note(market.price_of(source))
        state.touched.add(market.rules.symbol_id)


def watch_book(state: EngineState, market: Market, perpetual: Perpetual) -> None:
    """Note since when a side of the book has been empty; 0 while neither is."""
    if all(side.ranks for side in market.sides):
        perpetual.empty_since_us = 0
    else:
        perpetual.empty_since_us = perpetual.empty_since_us or state.time_us


def tripped(state: EngineState, perpetual: Perpetual) -> Trip | None:
    """Return what trips the breaker now; an index that is too old has no sources."""
    rules = perpetual.terms.breaker_rules
    is_old = state.time_us - perpetual.index_time_us > perpetual.terms.index_max_age_us
    return trip(
        [MarkSample(*sample) for sample in perpetual.marks],
        state.time_us,
        sources=0 if is_old else perpetual.sources,
        empty_since_us=perpetual.empty_since_us or None,
        rules=rules,
    )


def review(engine: Trading, market: Market, perpetual: Perpetual) -> None:
    """Guard a market whose breaker trips, open one that is calm and has a fresh mark."""
    found = tripped(engine.state, perpetual)
    if found is not None:
        move(engine, market, perpetual, StateTrigger.TRIPPED, found)
    elif perpetual.is_fresh(engine.state.time_us):
        move(engine, market, perpetual, StateTrigger.CALM)


def move(
    engine: Trading,
    market: Market,
    perpetual: Perpetual,
    trigger: StateTrigger,
    cause: Trip | None = None,
) -> None:
    """Bring a market into the state that a trigger leads to, and say so when it changed."""
    before = perpetual.phase
    perpetual.phase = next_state(before, trigger)
    if perpetual.phase is not before:
        engine.events.perpetual_state_set(market, before, trigger, cause)


def pass_time(engine: Trading) -> None:
    """Look at every market after a tick."""
    for market, perpetual in perpetuals(engine.state):
        if perpetual.phase is not PerpetualState.SETTLEMENT:
            watch_book(engine.state, market, perpetual)
            take_sample(engine.state, market, perpetual)
            review(engine, market, perpetual)


def start(engine: Trading) -> None:
    """Make every mark stale: nothing is known of the time before the start."""
    for market, perpetual in perpetuals(engine.state):
        if perpetual.phase is PerpetualState.SETTLEMENT:
            continue
        perpetual.index_time_us = perpetual.begun_us = perpetual.sources = 0
        perpetual.empty_since_us = 0
        perpetual.basis.clear()
        perpetual.basis_half_ticks = 0
        perpetual.marks.clear()
        move(engine, market, perpetual, StateTrigger.STARTED)
