"""Auto-deleveraging: who is closed first, who can see it coming, and what a pair settles for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.liquidation import (
    RiskRefusal,
    bankruptcy_quote_units,
    equity_share_units,
    is_closing,
)
from domain.margin import Scope, fill_in
from domain.money import PPM
from domain.rounding import ceil_div, clamp, truncate_div

_FIFTHS = 5
_MAX_RATIO_PPM = 1 << 40
"""Where profit and leverage end as ratios (a million times), so that a score is an int64."""


def adl_score_ppm(value_units: int, cost_units: int, share_units: int) -> int | None:
    """Return the score by which the profitable and leveraged are closed first, in ppm (BitMEX).

        profit   = (value - cost) / |cost|
        leverage = |value| / (value - bankruptcy value)
        score    = profit x leverage if profit > 0, else profit / leverage

    `value_units` and `cost_units` are signed with the side. `share_units` is the difference to
    the bankruptcy value: the position's share of equity (`equity_share_units` of all its lots).
    Each of the three divisions is in ppm and truncates toward zero, in this order; both ratios end
    at 2**40 ppm. None: at or beyond bankruptcy, or without cost, nobody can be closed.
    """
    if share_units <= 0 or cost_units == 0:
        return None
    profit = truncate_div((value_units - cost_units) * PPM, abs(cost_units))
    profit = clamp(profit, -_MAX_RATIO_PPM, _MAX_RATIO_PPM)
    leverage = clamp(abs(value_units) * PPM // share_units, 1, _MAX_RATIO_PPM)
    if profit > 0:
        return profit * leverage // PPM
    return truncate_div(profit * PPM, leverage)


def score_in(scope: Scope, symbol_id: int) -> int | None:
    """Return the score of a scope's position, or None when it has none that can be closed."""
    exposure = scope.of(symbol_id)
    if exposure is None:
        return None
    share = equity_share_units(scope, exposure, exposure.position.lots)
    return adl_score_ppm(exposure.value_units, exposure.position.cost_units, share)


@dataclass(frozen=True, slots=True)
class Ranked:
    """An account on the side that would be deleveraged; lots and notional are magnitudes."""

    account_id: int
    lots: int
    notional_units: int
    score_ppm: int


def rank(candidates: Sequence[Ranked]) -> list[Ranked]:
    """Return who is closed first: score falling, notional falling, account id rising."""
    return sorted(candidates, key=lambda one: (-one.score_ppm, -one.notional_units, one.account_id))


@dataclass(frozen=True, slots=True)
class Lights:
    """How near an account is to being deleveraged: 5 lights are the first fifth of a side."""

    account_id: int
    percentile: int
    lights: int


def adl_lights(ranked: Sequence[Ranked]) -> list[Lights]:
    """Return the lights of a ranked side (BitMEX's quintiles of cumulative quantity).

    percentile = quantity up to and with one's own as a share of the side, rounded up to 20 %;
    lights = 6 - percentile / 20.
    """
    total = sum(one.lots for one in ranked)
    shown, reached = [], 0
    for one in ranked:
        reached += one.lots
        fifth = ceil_div(reached * _FIFTHS, total)
        shown.append(Lights(one.account_id, fifth * 100 // _FIFTHS, _FIFTHS + 1 - fifth))
    return shown


def allocate(ranked: Sequence[Ranked], lots: int) -> tuple[list[tuple[int, int]], int]:
    """Return who closes how many of `lots`, in rank order, as (account id, lots), and the rest."""
    closed: list[tuple[int, int]] = []
    for one in ranked:
        if lots == 0:
            break
        part = min(lots, one.lots)
        closed.append((one.account_id, part))
        lots -= part
    return closed, lots


@dataclass(frozen=True, slots=True)
class Pair:
    """Both scopes after a pair has closed `lots` against each other.

    `quote_units` went from the counterparty to the liquidated; `haircut_units` is how much worse
    than at mark that was for the counterparty (negative: better).
    """

    liquidated: Scope
    counterparty: Scope
    lots: int
    quote_units: int
    haircut_units: int


def settle_pair(
    liquidated: Scope,
    counterparty: Scope,
    symbol_id: int,
    delta_lots: int,
    *,
    at_mark: bool = False,
) -> Pair | RiskRefusal:
    """Close `delta_lots` of the liquidated against a counterparty, or say why not.

    At the bankruptcy quote of the liquidated, without fees; `at_mark` is the final settlement of
    a market, for scopes that are solvent. Nobody is touched who has not the opposite position,
    and nobody ends with equity below 0. The cash of both together does not change.
    """
    exposure, opposite = liquidated.of(symbol_id), counterparty.of(symbol_id)
    if exposure is None or not is_closing(exposure, delta_lots):
        return RiskRefusal.INVALID_POSITION_DELTA
    if opposite is None or not is_closing(opposite, -delta_lots):
        return RiskRefusal.INVALID_POSITION_DELTA
    at_mark_units = -exposure.mark_ticks * exposure.units_per_tick_lot * delta_lots
    quote = at_mark_units
    if at_mark:
        if liquidated.equity_units < 0:
            return RiskRefusal.LIQUIDATED_INSOLVENT_AT_MARK
    else:
        found = bankruptcy_quote_units(liquidated, symbol_id, delta_lots)
        if isinstance(found, RiskRefusal):
            return found
        quote = found
    after = fill_in(counterparty, symbol_id, -delta_lots, quote)
    if after.equity_units < 0:
        return RiskRefusal.COUNTERPARTY_WOULD_BE_INSOLVENT
    closed = fill_in(liquidated, symbol_id, delta_lots, -quote)
    return Pair(closed, after, abs(delta_lots), quote, quote - at_mark_units)


@dataclass(frozen=True, slots=True)
class Deleveraging:
    """What a run through the ranked counterparties did.

    `pairs` are (account id, pair) in order; `skipped` are those that a pair was refused with;
    `unallocated_lots` is what nobody could take: with them a shortfall is left uncovered.
    `delta_lots` is what was asked for.
    """

    delta_lots: int
    liquidated: Scope
    pairs: tuple[tuple[int, Pair], ...]
    skipped: tuple[tuple[int, RiskRefusal], ...]
    unallocated_lots: int
    shortfall_units: int

    @property
    def haircut_units(self) -> int:
        """Return what all counterparties together lost against the mark."""
        return sum(pair.haircut_units for _, pair in self.pairs)

    def lots_by_account(self, account_id: int) -> dict[int, int]:
        """Return by how many lots each position changes; `account_id` is the liquidated."""
        direction = 1 if self.delta_lots > 0 else -1
        changes = {account_id: direction * sum(pair.lots for _, pair in self.pairs)}
        for counterparty_id, pair in self.pairs:
            changes[counterparty_id] = -direction * pair.lots
        return changes

    @property
    def is_within_bound(self) -> bool:
        """Return whether haircuts are at most the shortfall, and one unit a pair for rounding.

        It always is: each pair takes its share of what the pairs before left of the shortfall. An
        engine asserts it.
        """
        return self.haircut_units <= self.shortfall_units + len(self.pairs)


def deleverage(
    liquidated: Scope,
    symbol_id: int,
    delta_lots: int,
    candidates: Sequence[tuple[int, Scope]],
    *,
    at_mark: bool = False,
) -> Deleveraging:
    """Close `delta_lots` of the liquidated against (account id, scope) candidates in rank order.

    Each pair is as large as both sides allow and is priced anew on what the pair before left. Who
    cannot be a counterparty, or would end insolvent, is skipped; nothing is applied half.
    """
    shortfall = max(0, -liquidated.equity_units)
    direction = 1 if delta_lots > 0 else -1
    left, scope = abs(delta_lots), liquidated
    pairs: list[tuple[int, Pair]] = []
    skipped: list[tuple[int, RiskRefusal]] = []
    for account_id, candidate in candidates:
        if left == 0:
            break
        opposite = candidate.of(symbol_id)
        lots = min(left, abs(opposite.position.lots)) if opposite else left
        pair = settle_pair(scope, candidate, symbol_id, direction * lots, at_mark=at_mark)
        if isinstance(pair, RiskRefusal):
            skipped.append((account_id, pair))
            continue
        pairs.append((account_id, pair))
        scope = pair.liquidated
        left -= lots
    return Deleveraging(delta_lots, scope, tuple(pairs), tuple(skipped), left, shortfall)
