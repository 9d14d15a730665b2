"""Decimal text of risk vectors, as the integers that `domain/` counts in.

Every conversion is exact: what is finer than its unit makes the case unreadable, it is never
rounded. A case gets the coarsest grid of powers of ten that its prices and sizes lie on, so that
ticks and lots are really counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from domain.brackets import Bracket, Brackets
from domain.margin import Exposure, Scope
from domain.money import PPM
from domain.position import Position
from domain.risk_bounds import MAX_VALUE_UNITS

MONEY_DECIMALS = 6
Inputs = Mapping[str, Any]

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?")


class VectorError(ValueError):
    """A case or a file that cannot be read."""


def is_number(value: object) -> bool:
    """Return whether a JSON value is a whole number or plain decimal text."""
    if isinstance(value, str):
        return _DECIMAL.fullmatch(value) is not None
    return isinstance(value, int) and not isinstance(value, bool)


def number(value: object) -> Fraction:
    """Return a number of a case, exact; binary fractions and exponents are refused."""
    if not is_number(value):
        raise VectorError(f"{value!r} is not a plain decimal number")
    return Fraction(str(value))


def whole(value: Fraction, what: str) -> int:
    """Return a number that has to be a whole count of its unit."""
    if value.denominator != 1:
        raise VectorError(f"{what} is not a whole number of units")
    return value.numerator


def units(value: object, decimals: int = MONEY_DECIMALS) -> int:
    """Return an amount in 10**-`decimals`."""
    return whole(number(value) * 10**decimals, f"the amount {value}")


def ppm(value: object) -> int:
    """Return a rate in parts per million."""
    return whole(number(value) * PPM, f"the rate {value} in ppm")


def amount(count: int, decimals: int = MONEY_DECIMALS) -> Fraction:
    """Return units as a number."""
    return Fraction(count, 10**decimals)


def rate(count_ppm: int) -> Fraction:
    """Return ppm as a number."""
    return Fraction(count_ppm, PPM)


def step_of(values: Iterable[Fraction]) -> Fraction:
    """Return the greatest power of ten that all values are multiples of; 1 if all are 0."""
    found: Fraction | None = None
    for value in values:
        if value:
            step = Fraction(10) ** 30
            while (value / step).denominator != 1:
                step /= 10
            found = step if found is None else min(found, step)
    return found or Fraction(1)


@dataclass(frozen=True, slots=True)
class Grid:
    """The tick and lot of a case's market, and the decimals of its money."""

    tick: Fraction
    lot: Fraction
    decimals: int = MONEY_DECIMALS

    @staticmethod
    def of(prices: Iterable[object], sizes: Iterable[object], finest: int = 0) -> Grid:
        """Return the grid of all prices and sizes; ticks are at most 10**-`finest`."""
        tick = step_of(map(number, prices))
        if finest:
            tick = min(tick, Fraction(1, 10**finest))
        return Grid(tick, step_of(map(number, sizes)))

    @property
    def units_per_tick_lot(self) -> int:
        """Return the conversion factor, which the listing rule wants whole."""
        return whole(self.tick * self.lot * 10**self.decimals, "one tick times one lot")

    def ticks(self, value: object) -> int:
        """Return a price in ticks."""
        return whole(number(value) / self.tick, f"the price {value}")

    def lots(self, value: object) -> int:
        """Return a size in lots."""
        return whole(number(value) / self.lot, f"the size {value}")

    def price(self, ticks: int) -> Fraction:
        """Return ticks as a number."""
        return ticks * self.tick

    def size(self, lots: int) -> Fraction:
        """Return lots as a number."""
        return lots * self.lot


def flat_brackets(mmr_ppm: int, amount_units: int = 0, imr_ppm: int = PPM) -> Brackets:
    """Return one bracket for all notionals, unchecked: some cases have MM rates of 100 %."""
    return Brackets((Bracket(0, mmr_ppm, imr_ppm, amount_units),), MAX_VALUE_UNITS)


class Markets:
    """The markets of a case, found in its accounts, each with its grid."""

    def __init__(self, accounts: Iterable[Inputs], sizes: Mapping[str, list[Any]]) -> None:
        marks: dict[str, list[Any]] = {}
        lots: dict[str, list[Any]] = {symbol: list(found) for symbol, found in sizes.items()}
        for account in accounts:
            for position in account["positions"]:
                marks.setdefault(position["symbol"], []).append(position["mark"])
                lots.setdefault(position["symbol"], []).append(position["size"])
        self._grids = {symbol: Grid.of(marks[symbol], lots[symbol]) for symbol in marks}
        self._ids = {symbol: number for number, symbol in enumerate(self._grids, 1)}

    def grid(self, symbol: str) -> Grid:
        """Return the grid of a symbol; a symbol without any position is unreadable."""
        if symbol not in self._grids:
            raise VectorError(f"nobody has a position in {symbol}")
        return self._grids[symbol]

    def symbol_id(self, symbol: str) -> int:
        """Return the number of a symbol."""
        return self._ids[symbol]

    def scope(self, account: Inputs) -> Scope:
        """Return an account, whose quote balance is cash less what its positions have cost."""
        return Scope(
            units(account["quote_balance"]), tuple(map(self._exposure, account["positions"]))
        )

    def _exposure(self, position: Inputs) -> Exposure:
        grid = self.grid(position["symbol"])
        return Exposure(
            symbol_id=self.symbol_id(position["symbol"]),
            position=Position(grid.lots(position["size"]), 0),
            mark_ticks=grid.ticks(position["mark"]),
            units_per_tick_lot=grid.units_per_tick_lot,
            brackets=flat_brackets(ppm(position["mmr"])),
        )


def quote_balance(scope: Scope) -> Fraction:
    """Return cash less cost, as the published cases count it."""
    return amount(scope.cash_units - sum(one.position.cost_units for one in scope.exposures))
