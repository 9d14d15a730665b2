"""The sections of a snapshot that perpetuals have; `matching/state_codec.py` has all others.

Markets by id: numbers, then terms as in LIST_PERPETUAL. Basis samples and marks, by market, oldest
first. Seats that are kept, by market and account. The fund: one line when there is collateral, and
its highest cash by hour. Frozen scopes by account and symbol. What seats count of orders follows
from the orders, the market's long lots from the seats.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from domain.perpetual_record import Holding
from domain.perpetual_state import PerpetualState
from domain.risk_commands import MarginMode
from matching.book import Market
from matching.engine_state import EngineState
from matching.fund import Frozen
from matching.perpetual import Perpetual, Seat
from matching.reach import is_touched
from matching.risk_codec import pack_terms, unpack_terms
from matching.views import PerpetualView

PERPETUAL = struct.Struct("<19q384s")
SEAT = struct.Struct("<qQqqqqq")
_SAMPLE = struct.Struct("<qqq")
_FUND = struct.Struct("<qq")
_HIGHEST = struct.Struct("<qq")
_FROZEN = struct.Struct("<Qqq16sqq")
_NUMBERS = (
    "index_ticks",
    "index_time_us",
    "begun_us",
    "sources",
    "mark_ticks",
    "empty_since_us",
    "rate_ppm",
    "funding_time_us",
    "premium_ppm",
    "premium_count",
    "premium_minute",
    "fund_stopped",
    "in_shortfall",
)
_REACHED = ("mark_low", "mark_high", "index_low", "index_high")  # what orders were not held against
Section = Callable[[struct.Struct], Iterator[tuple[Any, ...]]]


class SeatLine(NamedTuple):
    """A seat as it lies in a snapshot."""

    symbol_id: int
    account_id: int
    lots: int
    cost_units: int
    leverage: int
    is_isolated: int
    margin_units: int

    @classmethod
    def of(cls, symbol_id: int, seat: Seat) -> SeatLine:
        """Return the line of a seat."""
        return cls(
            symbol_id,
            seat.account_id,
            seat.lots,
            seat.cost_units,
            seat.leverage,
            int(seat.is_isolated),
            seat.margin_units,
        )


def market_line(market: Market, perpetual: Perpetual) -> bytes:
    """Return the line of a perpetual market."""
    numbers = [getattr(perpetual, name) for name in _NUMBERS]
    _, *by_source = market.reached
    reached = [ticks for one in by_source for ticks in (one.low_ticks, one.high_ticks)]
    about = (market.rules.symbol_id, perpetual.phase)
    return PERPETUAL.pack(*about, *numbers, *reached, pack_terms(perpetual.terms))


def perpetual_views(lines: bytes, now: Iterable[tuple[bool, int]]) -> list[PerpetualView]:
    """Return markets from their lines, and of each whether its mark is fresh, its long lots."""
    views = []
    for values, (is_fresh, open_lots) in zip(PERPETUAL.iter_unpack(lines), now, strict=True):
        symbol_id, phase, *numbers, terms = values
        named = dict(zip((*_NUMBERS, *_REACHED), numbers, strict=True))
        views.append(
            PerpetualView(
                symbol_id,
                unpack_terms(terms, 0),
                PerpetualState(phase),
                named["index_ticks"],
                named["index_time_us"],
                named["sources"],
                named["mark_ticks"],
                is_fresh,
                named["rate_ppm"],
                named["funding_time_us"],
                open_lots,
            )
        )
    return views


def position_views(lines: bytes, now: Iterable[tuple[int, int, int, int]]) -> list[Holding]:
    """Return seats from their lines, and of each what it is worth now, as `Holding` ends."""
    views = []
    for values, worth in zip(SEAT.iter_unpack(lines), now, strict=True):
        seat = SeatLine(*values)
        views.append(
            Holding(
                seat.symbol_id,
                seat.lots,
                seat.cost_units,
                seat.leverage,
                MarginMode(seat.is_isolated),
                seat.margin_units,
                *worth,
            )
        )
    return views


def sections(state: EngineState) -> Iterator[Iterable[bytes]]:
    """Yield the records of each section."""
    markets = [
        (symbol_id, market, market.perpetual)
        for symbol_id, market in sorted(state.markets.items())
        if market.perpetual is not None
    ]
    yield [market_line(market, found) for _, market, found in markets]
    yield [_SAMPLE.pack(symbol, *one) for symbol, _, found in markets for one in found.basis]
    yield [_SAMPLE.pack(symbol, *one) for symbol, _, found in markets for one in found.marks]
    yield [
        SEAT.pack(*SeatLine.of(symbol_id, seat))
        for symbol_id, _, found in markets
        for _, seat in sorted(found.seats.items())
        if seat.is_kept
    ]
    fund = state.fund
    line = _FUND.pack(state.collateral, fund.rounding_units)
    yield [line] if state.collateral else []
    yield [_HIGHEST.pack(*highest) for highest in fund.highest]
    yield [
        _FROZEN.pack(*scope, found.version, found.key, found.since_us, found.slices)
        for scope, found in sorted(state.frozen.items())
    ]


def read(state: EngineState, section: Section) -> None:
    """Read the sections into a state that has its markets and orders; `ValueError` when wrong."""
    orders = list(state.orders.values())
    for symbol_id, phase, *numbers, terms in section(PERPETUAL):
        market = state.markets[symbol_id]
        perpetual = Perpetual(market.rules, unpack_terms(terms, 0))
        perpetual.phase = PerpetualState(phase)
        *numbers, mark_low, mark_high, index_low, index_high = numbers
        for name, value in zip(_NUMBERS, numbers, strict=True):
            setattr(perpetual, name, value)
        _, mark, index = market.reached
        mark.low_ticks, mark.high_ticks = mark_low, mark_high
        index.low_ticks, index.high_ticks = index_low, index_high
        if is_touched(market):
            state.touched.add(symbol_id)
        market.perpetual = perpetual
        state.collateral = market.rules.quote_asset_id
    for order in orders:
        if state.markets[order.symbol_id].perpetual is not None:
            order.covered_units = 0  # it was linked when its market was not yet a perpetual
        if not order.is_outside:
            lots = order.quantity_lots - order.filled_lots
            state.markets[order.symbol_id].count(order, lots)
    for symbol_id, *sample in section(_SAMPLE):
        perpetual = _perpetual(state, symbol_id)
        perpetual.basis.append((sample[0], sample[1]))
        perpetual.basis_half_ticks += sample[1]
    for symbol_id, *sample in section(_SAMPLE):
        _perpetual(state, symbol_id).marks.append((sample[0], sample[1]))
    for values in section(SEAT):
        _sit(state, SeatLine(*values))
    for collateral, rounding in section(_FUND):
        if collateral != state.collateral:
            raise ValueError("a fund without its collateral")
        state.fund.rounding_units = rounding
    state.fund.highest.extend(section(_HIGHEST))
    for account_id, symbol_id, version, key, since_us, slices in section(_FROZEN):
        state.frozen[account_id, symbol_id] = Frozen(version, key, since_us, slices)


def _perpetual(state: EngineState, symbol_id: int) -> Perpetual:
    perpetual = state.markets[symbol_id].perpetual
    if perpetual is None:
        raise ValueError(f"market {symbol_id} is no perpetual")
    return perpetual


def _sit(state: EngineState, line: SeatLine) -> None:
    perpetual = _perpetual(state, line.symbol_id)
    seat = perpetual.seat(line.account_id)
    seat.lots, seat.cost_units, seat.leverage = line.lots, line.cost_units, line.leverage
    seat.is_isolated, seat.margin_units = bool(line.is_isolated), line.margin_units
    perpetual.open_lots += max(0, seat.lots)
