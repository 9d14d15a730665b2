"""Margin brackets of a perpetual: rates that rise with the notional, without a jump.

The maintenance margin of a notional N in bracket b is N x mmr_b - amount_b. The amounts follow
from the floors and the rates,

    amount_1 = 0,  amount_b = floor_b x (mmr_b - mmr_(b-1)) + amount_(b-1),

so that both formulas agree at each floor, and the sum equals each part of the notional times the
rate of its own bracket (Binance's brackets, Bybit's tier-by-tier sum). A table is checked once,
when it is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from domain.money import PPM
from domain.risk_bounds import MAX_VALUE_UNITS
from domain.rounding import ceil_div


@dataclass(frozen=True, slots=True)
class Bracket:
    """From which notional on these rates hold; rates in ppm, floor and amount in quote units."""

    floor_units: int
    mmr_ppm: int
    imr_ppm: int
    amount_units: int


@dataclass(frozen=True, slots=True)
class Brackets:
    """A market's brackets, lowest first; no position may grow beyond a notional of `cap_units`."""

    rows: tuple[Bracket, ...]
    cap_units: int

    def of(self, notional_units: int) -> Bracket:
        """Return the bracket that a notional lies in; a floor belongs to its own bracket."""
        found = self.rows[0]
        for row in self.rows[1:]:
            if row.floor_units > notional_units:
                break
            found = row
        return found


class BracketFault(StrEnum):
    """Why a table of brackets is refused."""

    EMPTY = "there is no bracket"
    FIRST_FLOOR = "the first bracket does not begin at 0 with the amount 0"
    FLOORS = "a floor is not above the one before"
    CAP = "the cap is not above the last floor, or beyond what the engine counts"
    RATES = "a rate is not above 0 and at most 100 %"
    MMR_FALLS = "a maintenance rate is not above the one before"
    IMR_FALLS = "an initial rate is below the one before"
    MMR_ABOVE_IMR = "a maintenance rate is not below its initial rate"
    AMOUNT = "a maintenance amount does not follow from floors and rates"


def next_amount_units(
    floor_units: int, mmr_ppm: int, previous_mmr_ppm: int, previous_amount_units: int
) -> int | None:
    """Return floor x (mmr - mmr before) + amount before; None where that is no whole unit.

    Exact: a floor whose amount would have to be rounded is refused rather than made to jump.
    """
    step, rest = divmod(floor_units * (mmr_ppm - previous_mmr_ppm), PPM)
    return None if rest else step + previous_amount_units


def bracket_fault(brackets: Brackets) -> BracketFault | None:
    """Return what is wrong with a table, or None; checked in the order of `BracketFault`."""
    rows = brackets.rows
    if not rows:
        return BracketFault.EMPTY
    if rows[0].floor_units or rows[0].amount_units:
        return BracketFault.FIRST_FLOOR
    if any(low.floor_units >= high.floor_units for low, high in pairwise(rows)):
        return BracketFault.FLOORS
    if not rows[-1].floor_units < brackets.cap_units <= MAX_VALUE_UNITS:
        return BracketFault.CAP
    if any(row.mmr_ppm <= 0 or row.imr_ppm > PPM for row in rows):
        return BracketFault.RATES
    if any(low.mmr_ppm >= high.mmr_ppm for low, high in pairwise(rows)):
        return BracketFault.MMR_FALLS
    if any(low.imr_ppm > high.imr_ppm for low, high in pairwise(rows)):
        return BracketFault.IMR_FALLS
    if any(row.mmr_ppm >= row.imr_ppm for row in rows):
        return BracketFault.MMR_ABOVE_IMR
    for low, high in pairwise(rows):
        amount = next_amount_units(high.floor_units, high.mmr_ppm, low.mmr_ppm, low.amount_units)
        if high.amount_units != amount:
            return BracketFault.AMOUNT
    return None


def bracket_table(rows: Sequence[tuple[int, int, int]], cap_units: int) -> Brackets:
    """Return a checked table of (floor_units, mmr_ppm, imr_ppm) with its amounts.

    `ValueError` says what is wrong with it.
    """
    made: list[Bracket] = []
    for floor_units, mmr_ppm, imr_ppm in rows:
        amount: int | None = 0
        if made:
            low = made[-1]
            amount = next_amount_units(floor_units, mmr_ppm, low.mmr_ppm, low.amount_units)
        if amount is None:
            raise ValueError(BracketFault.AMOUNT)
        made.append(Bracket(floor_units, mmr_ppm, imr_ppm, amount))
    brackets = Brackets(tuple(made), cap_units)
    fault = bracket_fault(brackets)
    if fault is not None:
        raise ValueError(fault)
    return brackets


def maintenance_units(notional_units: int, brackets: Brackets) -> int:
    """Return MM = ceil(notional x mmr_b / 10**6) - amount_b, in quote units.

    Rounded up, against the user; at least 1 for a position that has a notional. The amount is
    whole, so where it is subtracted makes no difference. 128 bits: notional x mmr.
    """
    row = brackets.of(notional_units)
    return ceil_div(notional_units * row.mmr_ppm, PPM) - row.amount_units
