"""Margin of linear perpetuals: value, equity, maintenance and initial margin, what may leave.

A scope is what one liquidation concerns: a whole account (cross margin) or one position with
cash of its own (isolated). All money is in engine units of the quote asset; margins are rounded
up, against the user. Sums are over exposures and so do not depend on their order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from domain.brackets import Brackets, maintenance_units
from domain.money import PPM, ceil_ppm
from domain.position import Position, PositionChange, after_fill
from domain.rounding import ceil_div


@dataclass(frozen=True, slots=True)
class Exposure:
    """A position with all that values it: the market's mark, conversion factor and brackets.

    `units_per_tick_lot` is what one tick times one lot is in quote units, a whole number by the
    listing rule; marks are whole ticks, so values and profits are exact.
    """

    symbol_id: int
    position: Position
    mark_ticks: int
    units_per_tick_lot: int
    brackets: Brackets

    @property
    def value_units(self) -> int:
        """Return lots x mark, signed; first mark x units a tick and lot, then x lots."""
        return self.mark_ticks * self.units_per_tick_lot * self.position.lots

    @property
    def notional_units(self) -> int:
        """Return |lots| x mark."""
        return abs(self.value_units)

    @property
    def unrealised_units(self) -> int:
        """Return lots x mark - cost basis, signed."""
        return self.value_units - self.position.cost_units

    @property
    def maintenance_units(self) -> int:
        """Return the maintenance margin, rounded up."""
        return maintenance_units(self.notional_units, self.brackets)


@dataclass(frozen=True, slots=True)
class Scope:
    """Cash (may be negative against unrealised profit) and open positions, one a symbol."""

    cash_units: int
    exposures: tuple[Exposure, ...] = ()

    def of(self, symbol_id: int) -> Exposure | None:
        """Return the exposure in a symbol."""
        return next((found for found in self.exposures if found.symbol_id == symbol_id), None)

    @property
    def equity_units(self) -> int:
        """Return cash + the sum of unrealised profits."""
        return self.cash_units + sum(one.unrealised_units for one in self.exposures)

    @property
    def maintenance_units(self) -> int:
        """Return the sum of the positions' maintenance margins, each rounded up."""
        return sum(one.maintenance_units for one in self.exposures)

    @property
    def notional_units(self) -> int:
        """Return the sum of the positions' notionals."""
        return sum(one.notional_units for one in self.exposures)


def is_liquidatable(scope: Scope) -> bool:
    """Return whether MM > 0 and equity < MM; at the margin exactly, a scope is safe (dYdX)."""
    maintenance = scope.maintenance_units
    return maintenance > 0 and scope.equity_units < maintenance


def margin_shortage_units(scope: Scope, buffer_ppm: int) -> int:
    """Return MM + ceil(notional x buffer) - equity; a liquidation ends where this is <= 0.

    The buffer keeps a scope that was just saved from being liquidated by the next tick.
    """
    buffer = ceil_ppm(scope.notional_units, buffer_ppm)
    return scope.maintenance_units + buffer - scope.equity_units


def fill_in(scope: Scope, symbol_id: int, lots: int, cost_units: int) -> Scope:
    """Return the scope after a fill in a symbol that it has a position in.

    Realised profit goes to cash; a position that is closed leaves the scope.
    """
    exposure = scope.of(symbol_id)
    if exposure is None:
        raise ValueError(f"the scope has no position in symbol {symbol_id}")
    change: PositionChange = after_fill(exposure.position, lots, cost_units)
    kept = tuple(
        replace(one, position=change.position) if one.symbol_id == symbol_id else one
        for one in scope.exposures
        if one.symbol_id != symbol_id or change.position.lots
    )
    return Scope(scope.cash_units + change.realised_units, kept)


@dataclass(frozen=True, slots=True)
class OpenInterest:
    """A market's open interest and the range over which it raises the initial rate, in units.

    `upper_units` 0 switches the scaling off.
    """

    notional_units: int = 0
    lower_units: int = 0
    upper_units: int = 0


@dataclass(frozen=True, slots=True)
class Commitment:
    """A position (maybe flat) with the open orders that could add to it.

    `buy_lots` and `sell_lots` are what is left of all open orders of a side; reduce-only orders
    do not count.
    """

    exposure: Exposure
    buy_lots: int = 0
    sell_lots: int = 0
    leverage: int = 1
    open_interest: OpenInterest = OpenInterest()


def scaled_imr_ppm(base_ppm: int, interest: OpenInterest) -> int:
    """Return the initial rate, raised while a market is crowded (dYdX; against the YFI case).

        imr = base + floor((1 - base) x (OI - lower) / (upper - lower)), within [base, 1]

    in ppm, rounded down. MM is never scaled. 128 bits: (10**6 - base) x (OI - lower).
    """
    above = interest.notional_units - interest.lower_units
    width = interest.upper_units - interest.lower_units
    if interest.upper_units == 0 or above <= 0:
        return base_ppm
    if above >= width:
        return PPM
    return base_ppm + (PPM - base_ppm) * above // width


def worst_notional_units(commitment: Commitment) -> int:
    """Return max(|lots + buys|, |lots - sells|) at mark: the worse side, if all of it fills."""
    exposure = commitment.exposure
    lots = exposure.position.lots
    worst = max(abs(lots + commitment.buy_lots), abs(lots - commitment.sell_lots))
    return exposure.mark_ticks * exposure.units_per_tick_lot * worst


def initial_rate_ppm(commitment: Commitment, worst_units: int) -> int:
    """Return max(ceil(10**6 / leverage), imr_b, open-interest scaled imr_b) in ppm.

    Bracket b is that of the worst notional.
    """
    base = commitment.exposure.brackets.of(worst_units).imr_ppm
    scaled = scaled_imr_ppm(base, commitment.open_interest)
    return max(ceil_div(PPM, commitment.leverage), base, scaled)


def initial_units(commitment: Commitment) -> int:
    """Return IM = ceil(worst notional x rate / 10**6). 128 bits: worst x rate."""
    worst = worst_notional_units(commitment)
    return ceil_ppm(worst, initial_rate_ppm(commitment, worst))


def withdrawable_units(scope: Scope, initial: int, transfer_floor_ppm: int) -> int:
    """Return what may leave a scope whose initial margin is `initial`, never below 0.

        max(0, min(cash, equity - max(IM, ceil(transfer floor x notional))))

    So unrealised profit never leaves, and nobody can withdraw into a liquidation. Whether anything
    may leave at all (liquidation, halt, stale mark) is `domain.perpetual_state`'s to say.
    """
    kept = max(initial, ceil_ppm(scope.notional_units, transfer_floor_ppm))
    return max(0, min(scope.cash_units, scope.equity_units - kept))
