"""The insurance fund: whether it may pay, how much of a position it takes over, when it stops."""

from __future__ import annotations

from enum import StrEnum

from domain.liquidation import RiskRefusal, equity_share_units
from domain.margin import Scope
from domain.money import PPM, floor_ppm


def may_pay(balance_units: int, delta_units: int) -> bool:
    """Return whether the fund can take a delta: a credit always, a debit down to exactly 0."""
    return delta_units >= 0 or balance_units + delta_units >= 0


def is_taken_over(
    equity_units: int, maintenance_units: int, *, slices_left: int, threshold_ppm: int
) -> bool:
    """Return whether a scope in liquidation goes to the fund instead of to the book.

    At once with equity below 0; with its slices used up, when equity < threshold x MM. Compared
    without division: equity x 10**6 < threshold x MM, 128 bits.
    """
    if equity_units < 0:
        return True
    return slices_left == 0 and equity_units * PPM < threshold_ppm * maintenance_units


def takeover_lots(
    scope: Scope, symbol_id: int, *, balance_units: int, fund_lots: int, cap_ppm: int
) -> int | RiskRefusal:
    """Return how many lots of a liquidated position the fund takes over, 0 to all of them.

    The most whole lots, taken at the bankruptcy quote, with

        loss at mark = bankruptcy quote + delta x mark = -equity share <= balance, and
        notional that the fund then has in the symbol <= floor(cap x balance)

    `fund_lots` is what the fund has already, signed; lots against it always fit. What it does not
    take goes to ADL. The loss never falls with more lots, so the answer is found by halving: about
    40 steps. A fund that has stopped (`drawdown_stop`) takes nothing: do not ask.
    """
    exposure = scope.of(symbol_id)
    if exposure is None:
        return RiskRefusal.INVALID_POSITION_DELTA
    cash = max(0, balance_units)
    direction = 1 if exposure.position.lots > 0 else -1
    lot_units = exposure.mark_ticks * exposure.units_per_tick_lot
    room = floor_ppm(cash, cap_ppm) // lot_units - direction * fund_lots
    fits, beyond = 0, max(0, min(abs(exposure.position.lots), room)) + 1
    while beyond - fits > 1:
        lots = (fits + beyond) // 2
        if -equity_share_units(scope, exposure, lots) <= cash:
            fits = lots
        else:
            beyond = lots
    return fits


class AdlReason(StrEnum):
    """Why the fund takes over nothing, so that auto-deleveraging begins."""

    POOL_EMPTY = "pool_empty"
    DRAWDOWN = "drawdown"


def drawdown_ppm(balance_units: int, highest_units: int) -> int:
    """Return (balance - highest) / highest of the last 8 hours in ppm: 0 or negative.

    Rounded down, so a stop is never missed by rounding; 0 for a fund that never had anything.
    """
    if highest_units <= 0:
        return 0
    return (balance_units - highest_units) * PPM // highest_units


def drawdown_stop(
    balance_units: int, pnl_ppm: int, *, threshold_units: int, stop_ppm: int
) -> AdlReason | None:
    """Return why the fund stops, or None (Bybit's rule).

    Empty at a balance <= 0. Above the threshold it stops at a drawdown of `stop_ppm` (negative)
    or worse, equality included.
    """
    if balance_units <= 0:
        return AdlReason.POOL_EMPTY
    if balance_units > threshold_units and pnl_ppm <= stop_ppm:
        return AdlReason.DRAWDOWN
    return None


def has_resumed(balance_units: int, pnl_ppm: int, *, resume_ppm: int) -> bool:
    """Return whether a fund that stopped takes over again: its drawdown is back within resume."""
    return balance_units > 0 and pnl_ppm > resume_ppm
