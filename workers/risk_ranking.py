"""Who is deleveraged first, over arrays: bounds that leave the exact ranking few to look at.

A score has products of 128 bits, which arrays cannot do. So each score is enclosed: profit and
share of equity as float64 are off by at most `_SLACK` of their last integer digit, and the score
rises with profit and with leverage, so both ends of an interval come from the ends of those two.
Whoever's upper end is below the lower end of the last one wanted cannot be among those wanted.
Neither can who stands in every number as so many others do whose account ids are smaller.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from domain.money import PPM

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_MAX_RATIO_PPM = float(1 << 40)
_SLACK = 2.0
_RELATIVE = 1e-12  # of a product or quotient of float64, generously
_FIFTHS = 5


class Standing(NamedTuple):
    """The positions of one market: whose, how many lots, their value, cost and share of equity.

    `equity` and `total` are the scope's equity and MM (at least 1), `margin` is the position's MM;
    `is_known` is False where a scope cannot be valued.
    """

    accounts: Integers
    lots: Integers
    value: Integers
    cost: Integers
    equity: Integers
    margin: Integers
    total: Integers
    is_known: Flags

    @property
    def share(self) -> Floats:
        """Return equity x margin / total as float64, not rounded."""
        return self.equity.astype(np.float64) * self.margin / self.total

    def of(self, chosen: Flags | Integers) -> Standing:
        """Return the chosen ones."""
        return Standing._make(column[chosen] for column in self)


def likely_first(found: Standing, most: int) -> tuple[list[int], bool]:
    """Return accounts that contain the first `most` of a ranked side, and whether that is all.

    `found` is one side. Left out are only those that certainly come later, or cannot be closed.
    """
    able = (found.cost != 0) & ((found.share > -_SLACK) | ~found.is_known)
    able_ones = found.of(able)
    if len(able_ones.accounts) <= most:
        return able_ones.accounts.tolist(), True
    lower, upper = _bounds(able_ones)
    worst_wanted = np.partition(lower, -most)[-most]
    chosen = _without_twins(able_ones.of(upper >= worst_wanted), most).accounts
    return chosen.tolist(), len(chosen) == len(able_ones.accounts)


def _without_twins(found: Standing, most: int) -> Standing:
    """Leave out who has exactly the numbers of `most` others whose account ids are smaller."""
    numbers = (found.total, found.margin, found.equity, found.cost, found.value)
    order = np.lexsort((found.accounts, *numbers))
    places = np.arange(len(order))
    begins = np.ones(len(order), np.bool_)
    begins[1:] = np.any([np.diff(column[order]) != 0 for column in numbers], axis=0)
    after = places - np.maximum.accumulate(np.where(begins, places, 0))
    kept = np.empty(len(order), np.bool_)
    kept[order] = after < most
    return found.of(kept | ~found.is_known)


def _bounds(found: Standing) -> tuple[Floats, Floats]:
    """Return between which two numbers each score lies."""
    cost = np.abs(found.cost).astype(np.float64)
    profit = (found.value - found.cost) * float(PPM) / cost
    worth = np.abs(found.value) * float(PPM)
    share = found.share
    is_sure = found.is_known & (share > 2 * _SLACK)
    share = np.where(is_sure, share, 1.0)
    ends = []
    for sign in (-1.0, 1.0):
        leverage = worth / (share - sign * _SLACK * is_sure) + sign * _SLACK
        leverage = np.clip(leverage, 1.0, _MAX_RATIO_PPM)
        end = np.clip(profit + sign * _SLACK, -_MAX_RATIO_PPM, _MAX_RATIO_PPM)
        score = np.where(end > 0, end * leverage / PPM, end * PPM / leverage)
        ends.append(score + sign * (_SLACK + np.abs(score) * _RELATIVE))
    return np.where(is_sure, ends[0], -np.inf), np.where(is_sure, ends[1], np.inf)


def lights_of(found: Standing) -> tuple[Integers, Integers]:
    """Return accounts and their lights, 1 to 5 (`domain.auto_deleveraging.adl_lights`).

    Longs and shorts are ranked apart. What a float64 cannot tell apart is ordered by notional and
    account: lights are for the eye, closing asks the exact ranking.
    """
    accounts, lights = [], []
    for is_long in (True, False):
        side = found.of(
            ((found.lots > 0) == is_long) & found.is_known & (found.share >= 1) & (found.cost != 0)
        )
        order = np.lexsort((side.accounts, -np.abs(side.value), -_scores(side)))
        reached = np.cumsum(np.abs(side.lots)[order])
        total = reached[-1] if len(reached) else 1
        accounts.append(side.accounts[order])
        lights.append(_FIFTHS + 1 + (-reached * _FIFTHS) // total)
    return np.concatenate(accounts), np.concatenate(lights)


def _scores(found: Standing) -> Floats:
    """Return `adl_score_ppm` of each, as near as float64 comes."""
    cost = np.abs(found.cost).astype(np.float64)
    profit = np.trunc((found.value - found.cost) * float(PPM) / cost)
    profit = np.clip(profit, -_MAX_RATIO_PPM, _MAX_RATIO_PPM)
    leverage = np.floor(np.abs(found.value) * float(PPM) / np.floor(found.share))
    leverage = np.clip(leverage, 1.0, _MAX_RATIO_PPM)
    return np.trunc(np.where(profit > 0, profit * leverage / PPM, profit * PPM / leverage))
