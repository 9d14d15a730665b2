"""All scopes and positions of one shard as arrays, and the scan that finds who is in need.

The scan is exact. Values and costs of positions are below 2**56 and a scope has at most 32 of
them (`domain.risk_bounds`, which the engine holds), so equity and margins fit an int64, and the
product notional x rate, which would not, is taken apart:

    ceil(notional x rate / 10**6) = q x rate + ceil(r x rate / 10**6),  notional = q x 10**6 + r

A market whose mark would carry its open interest beyond the bound is not judged, like one
without a fresh mark: the engine does not adopt such a mark either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from domain.brackets import Brackets
from domain.margin_call import CALL_DIVISOR, OVER_DIVISOR
from domain.money import PPM
from domain.position import Position
from domain.risk_bounds import MAX_CASH_UNITS, MAX_VALUE_UNITS
from domain.risk_picture import ScopeKey
from workers.risk_ranking import Standing, lights_of, likely_first

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_FIRST_ROOM = 1024


class ScopeNeed(NamedTuple):  # thousands at once, which a dataclass takes longer for
    """A scope that a scan names, with what it was judged by."""

    scope: ScopeKey
    equity_units: int
    maintenance_units: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What one scan found.

    `breached`: MM > 0 and equity < MM, not frozen yet; worst first, by equity / MM (as float64: an
    order of need judges nobody), then the larger MM, then the key. `called`: newly below the line
    of the margin call and not breached, in the same order. `unjudged` counts scopes with a position
    that has no mark to be valued at, `ruined` those worth less than nothing, frozen or not.
    """

    breached: tuple[ScopeNeed, ...]
    called: tuple[ScopeNeed, ...]
    unjudged: int
    ruined: int


class _Market:
    """One market's open positions, dense and unordered; a scope has at most one.

    Passes write into room that is kept: fresh arrays of this size cost more than the sums.
    """

    def __init__(self, units_per_tick_lot: int, brackets: Brackets) -> None:
        self.scope = np.zeros(_FIRST_ROOM, np.int64)
        self.lots = np.zeros(_FIRST_ROOM, np.int64)
        self.cost_units = np.zeros(_FIRST_ROOM, np.int64)
        self.count = 0
        self.open_lots = 0  # of both sides
        self._place: dict[int, int] = {}
        self._room = np.empty((5, _FIRST_ROOM), np.int64)
        self.set_terms(units_per_tick_lot, brackets)

    def set_terms(self, units_per_tick_lot: int, brackets: Brackets) -> None:
        """Take the listing's factor and brackets."""
        rows = brackets.rows
        self.units_per_tick_lot = units_per_tick_lot
        self._floors = [row.floor_units for row in rows[1:]]
        self._rates = np.array([row.mmr_ppm for row in rows], np.int64)
        self._amounts = np.array([row.amount_units for row in rows], np.int64)

    def set(self, scope: int, position: Position) -> None:
        """Set a scope's position; a flat one leaves its place to the last."""
        place = self._place.get(scope)
        if place is None:
            if not position.lots:
                return
            place = self._place[scope] = self.count
            self.count += 1
            if place == len(self.scope):
                self._grow()
            self.scope[place] = scope
            before = 0
        else:
            before = int(self.lots[place])
        self.open_lots += abs(position.lots) - abs(before)
        if position.lots:
            self.lots[place] = position.lots
            self.cost_units[place] = position.cost_units
        else:
            self._leave(scope, place)

    def _grow(self) -> None:
        self.scope, self.lots, self.cost_units = (
            _doubled(array) for array in (self.scope, self.lots, self.cost_units)
        )
        self._room = np.empty((5, len(self.scope)), np.int64)

    def _leave(self, scope: int, place: int) -> None:
        del self._place[scope]
        self.count -= 1
        if place != self.count:
            self._place[int(self.scope[self.count])] = place
            for array in (self.scope, self.lots, self.cost_units):
                array[place] = array[self.count]

    def position(self, scope: int) -> Position:
        """Return a scope's position."""
        place = self._place.get(scope)
        if place is None:
            return Position()
        return Position(int(self.lots[place]), int(self.cost_units[place]))

    def add_to(self, equity: Integers, maintenance: Integers, unit: int) -> None:
        """Add each position's unrealised profit and MM to its scope's; a lot is worth `unit`."""
        count, scope = self.count, self.scope[: self.count]
        notional, rest = self._room[:2, :count]
        np.multiply(self.lots[:count], unit, out=notional)
        equity[scope] += np.subtract(notional, self.cost_units[:count], out=rest)
        maintenance[scope] += self.margins(unit)

    def margins(self, unit: int) -> Integers:
        """Return each position's MM, in room that the next call writes over."""
        count = self.count
        notional, rest, millions, rates, margin = self._room[:, :count]
        np.multiply(self.lots[:count], unit, out=notional)
        np.absolute(notional, out=notional)
        np.floor_divide(notional, PPM, out=millions)
        np.subtract(notional, np.multiply(millions, PPM, out=rest), out=rest)
        row = np.zeros(count, np.uint8)
        for floor in self._floors:
            row += notional >= floor
        self._rates.take(row, out=rates, mode="clip")
        np.multiply(millions, rates, out=margin)
        np.multiply(rest, rates, out=rest)
        rest += PPM - 1
        margin += np.floor_divide(rest, PPM, out=rest)
        margin -= self._amounts.take(row, out=rates, mode="clip")
        return cast("Integers", margin)


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate((array, np.zeros_like(array)))


class RiskBook:
    """What a risk monitor knows of a shard: cash, positions and marks' terms, kept from events."""

    def __init__(self) -> None:
        self._index: dict[ScopeKey, int] = {}
        self._accounts = np.zeros(_FIRST_ROOM, np.int64)
        self._symbols = np.zeros(_FIRST_ROOM, np.int64)
        self._cash = np.zeros(_FIRST_ROOM, np.int64)
        self._frozen = np.zeros(_FIRST_ROOM, np.bool_)
        self._called = np.zeros(_FIRST_ROOM, np.bool_)
        self._markets: dict[int, _Market] = {}

    # ---- what events say ------------------------------------------------------------------------

    def set_market(self, symbol_id: int, units_per_tick_lot: int, brackets: Brackets) -> None:
        """Add a market, or give it other brackets."""
        market = self._markets.get(symbol_id)
        if market is None:
            self._markets[symbol_id] = _Market(units_per_tick_lot, brackets)
        else:
            market.set_terms(units_per_tick_lot, brackets)

    def set_cash(self, scope: ScopeKey, units: int) -> None:
        """Set a scope's cash."""
        if abs(units) > MAX_CASH_UNITS:
            raise ValueError(f"{scope}: cash of {units} is beyond what the engine counts")
        place = self._at(scope)  # first: it may make room, in other arrays
        self._cash[place] = units

    def set_position(self, scope: ScopeKey, symbol_id: int, position: Position) -> None:
        """Set a scope's position in a market that was added before."""
        self._markets[symbol_id].set(self._at(scope), position)

    def set_frozen(self, scope: ScopeKey, is_frozen: bool) -> None:
        """Say whether a liquidation has the scope: then a scan does not name it again."""
        place = self._at(scope)
        self._frozen[place] = is_frozen

    def set_called(self, scopes: Iterable[ScopeKey]) -> None:
        """Say who has been called already."""
        for scope in scopes:
            place = self._at(scope)
            self._called[place] = True

    def called(self) -> list[ScopeKey]:
        """Return who has been called and is not safe again."""
        places = np.flatnonzero(self._called[: len(self._index)])
        return list(map(ScopeKey, self._accounts[places].tolist(), self._symbols[places].tolist()))

    def cash_units(self, scope: ScopeKey) -> int:
        """Return a scope's cash; 0 of an unknown one."""
        place = self._index.get(scope)
        return 0 if place is None else int(self._cash[place])

    def position(self, scope: ScopeKey, symbol_id: int) -> Position:
        """Return a scope's position in a market; flat when there is none."""
        market, place = self._markets.get(symbol_id), self._index.get(scope)
        return Position() if market is None or place is None else market.position(place)

    @property
    def scopes(self) -> int:
        """Return how many scopes are known."""
        return len(self._index)

    @property
    def positions(self) -> int:
        """Return how many positions are open."""
        return sum(market.count for market in self._markets.values())

    def _at(self, scope: ScopeKey) -> int:
        place = self._index.get(scope)
        if place is None:
            place = self._index[scope] = len(self._index)
            if place == len(self._cash):
                self._accounts, self._symbols = _doubled(self._accounts), _doubled(self._symbols)
                self._cash, self._frozen = _doubled(self._cash), _doubled(self._frozen)
                self._called = _doubled(self._called)
            self._accounts[place], self._symbols[place] = scope
        return place

    # ---- the scan -------------------------------------------------------------------------------

    def scan(self, marks: Mapping[int, int]) -> Scan:
        """Judge every scope at these fresh marks ({symbol id: ticks}); each call is told once."""
        equity, maintenance, blind = self._valued(marks)
        count = len(equity)
        beyond = equity - maintenance
        judged = (maintenance > 0) & ~blind
        breached = judged & (beyond < 0)
        low = judged & (beyond < -(-maintenance // CALL_DIVISOR))
        called, free = self._called[:count], ~self._frozen[:count]
        new = low & ~called & ~breached
        called |= low
        called &= ~(beyond >= -(-maintenance // OVER_DIVISOR)) | blind
        return Scan(
            breached=self._needs(breached & free, equity, maintenance),
            called=self._needs(new & free, equity, maintenance),
            unjudged=int(np.count_nonzero(blind)),
            ruined=int(np.count_nonzero(judged & (equity < 0))),
        )

    def _valued(self, marks: Mapping[int, int]) -> tuple[Integers, Integers, Flags]:
        """Return every scope's equity and MM, and which have a position without a usable mark."""
        count = len(self._index)
        equity = self._cash[:count].copy()
        maintenance = np.zeros(count, np.int64)
        blind = np.zeros(count, np.bool_)
        for symbol_id, market in self._markets.items():
            if not market.count:
                continue
            unit = self._unit(symbol_id, marks)
            if unit:
                market.add_to(equity, maintenance, unit)
            else:
                blind[market.scope[: market.count]] = True
        return equity, maintenance, blind

    def _unit(self, symbol_id: int, marks: Mapping[int, int]) -> int:
        """Return what a lot is worth, 0 where there is no mark or one beyond what is counted."""
        market = self._markets[symbol_id]
        unit = marks.get(symbol_id, 0) * market.units_per_tick_lot
        return unit if unit > 0 and unit * market.open_lots <= MAX_VALUE_UNITS else 0

    def frozen(self, marks: Mapping[int, int]) -> tuple[ScopeNeed, ...]:
        """Return the frozen scopes, worst first; those without MM come last."""
        equity, maintenance, _ = self._valued(marks)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._needs(self._frozen[: len(equity)], equity, maintenance)

    # ---- auto-deleveraging ----------------------------------------------------------------------

    def counterparties(
        self, symbol_id: int, lots: int, most: int, marks: Mapping[int, int]
    ) -> tuple[list[int], bool]:
        """Return accounts that contain the first `most` to be closed against `lots`, in no order.

        And whether that is everybody who could be.
        """
        found = self._standing(symbol_id, marks)
        return likely_first(found.of((found.lots > 0) != (lots > 0)), most)

    def lights(self, symbol_id: int, marks: Mapping[int, int]) -> tuple[Integers, Integers]:
        """Return who has a position in a market, and how near each is to being deleveraged."""
        return lights_of(self._standing(symbol_id, marks))

    def _standing(self, symbol_id: int, marks: Mapping[int, int]) -> Standing:
        equity, maintenance, blind = self._valued(marks)
        market, unit = self._markets[symbol_id], self._unit(symbol_id, marks)
        count, scope = market.count, market.scope[: market.count]
        value = market.lots[:count] * unit
        margin = market.margins(unit) if unit else np.zeros(count, np.int64)
        return Standing(
            self._accounts[scope],
            market.lots[:count],
            value,
            market.cost_units[:count],
            equity[scope],
            margin,
            np.maximum(maintenance[scope], 1),
            ~blind[scope],
        )

    def _needs(
        self, chosen: Flags, equity: Integers, maintenance: Integers
    ) -> tuple[ScopeNeed, ...]:
        """Return the chosen scopes, worst first."""
        places = np.flatnonzero(chosen)
        equity, maintenance = equity[places], maintenance[places]
        accounts, symbols = self._accounts[places], self._symbols[places]
        order = np.lexsort((symbols, accounts, -maintenance, equity / maintenance))
        columns = [column[order].tolist() for column in (accounts, symbols, equity, maintenance)]
        keys = map(ScopeKey, *columns[:2])
        return tuple(map(ScopeNeed, keys, *columns[2:]))
