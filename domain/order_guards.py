"""What an order on a perpetual has to pass: band, free margin, position limit, reduce-only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.brackets import Brackets
from domain.money import PPM, floor_ppm
from domain.order import Side
from domain.risk_bounds import MAX_PRICE_TICKS
from domain.rounding import ceil_div


@dataclass(frozen=True, slots=True)
class PriceBand:
    """The lowest and the highest price at which an order may be aggressive, in ticks."""

    lowest_ticks: int
    highest_ticks: int


def price_band(mark_ticks: int, width_ppm: int) -> PriceBand:
    """Return mark x (1 -+ width), rounded inward: the lowest up, the highest down.

    A guarded market's width is halved, rounded down (`domain.perpetual_state`). The band follows
    the mark and so stands still while the mark is stale.
    """
    return PriceBand(
        max(1, ceil_div(mark_ticks * (PPM - width_ppm), PPM)),
        min(MAX_PRICE_TICKS, mark_ticks * (PPM + width_ppm) // PPM),
    )


def is_beyond_band(band: PriceBand, side: Side, price_ticks: int) -> bool:
    """Return whether a limit is more aggressive than the band: a buy above, a sell below it.

    Passive prices are free: a buy far below the mark only waits.
    """
    if side is Side.BUY:
        return price_ticks > band.highest_ticks
    return price_ticks < band.lowest_ticks


def market_limit_ticks(band: PriceBand, side: Side) -> int:
    """Return the price up to which a market order trades."""
    return band.highest_ticks if side is Side.BUY else band.lowest_ticks


def liquidation_limit_ticks(band: PriceBand, close_side: Side, limit_ticks: int) -> int:
    """Return a liquidation order's limit within the band: sell max(limit, low), buy min."""
    if close_side is Side.SELL:
        return max(limit_ticks, band.lowest_ticks)
    return min(limit_ticks, band.highest_ticks)


def closable_lots(position_lots: int, side: Side) -> int:
    """Return how many lots an order of a side can close: 0 when the position is not opposite."""
    return max(0, -position_lots if side is Side.BUY else position_lots)


def is_reducing(position_lots: int, side: Side, lots: int, resting_lots: int) -> bool:
    """Return whether an order can only reduce, even if all resting ones of its side fill first."""
    return resting_lots + lots <= closable_lots(position_lots, side)


def reduce_only_lots(position_lots: int, side: Side, lots: int) -> int:
    """Return what a reduce-only order may still trade, at the moment of the match."""
    return min(lots, closable_lots(position_lots, side))


@dataclass(frozen=True, slots=True)
class RestingReduceOnly:
    """A resting reduce-only order; order ids rise with time."""

    order_id: int
    price_ticks: int
    lots: int


def reduce_only_trim(
    orders: Sequence[RestingReduceOnly], closable: int, mark_ticks: int
) -> list[int]:
    """Return the ids to cancel, in order, until what rests on one side is within `closable` lots.

    Whole orders, farthest from the mark first; of equally far ones the youngest. What rests is so
    what is likeliest to trade.
    """
    resting = sum(order.lots for order in orders)
    cancelled = []
    for order in sorted(
        orders, key=lambda one: (-abs(one.price_ticks - mark_ticks), -one.order_id)
    ):
        if resting <= closable:
            break
        cancelled.append(order.order_id)
        resting -= order.lots
    return cancelled


def open_loss_units(
    side: Side, lots: int, price_ticks: int, mark_ticks: int, units_per_tick_lot: int
) -> int:
    """Return what an order loses against the mark the moment it fills, 0 for a better price."""
    worse = price_ticks - mark_ticks if side is Side.BUY else mark_ticks - price_ticks
    return max(0, worse) * units_per_tick_lot * lots


def has_margin(equity_units: int, initial_units: int, open_loss_units: int) -> bool:
    """Return whether an order that adds risk is covered: equity - its open loss >= IM with it.

    Orders that only reduce (`is_reducing`) are not asked.
    """
    return equity_units - open_loss_units >= initial_units


@dataclass(frozen=True, slots=True)
class PositionShare:
    """How large a part of a market one account may be; `ppm` 0 is no limit.

    Up to `free_units` it does not bind: else nobody could open the first position.
    """

    ppm: int = 0
    free_units: int = 0


def is_within_position_limit(
    side_units: int, brackets: Brackets, open_interest_units: int, share: PositionShare
) -> bool:
    """Return whether position + orders of one side, at mark, are within what one account may have.

        side <= cap of the last bracket, and <= max(free, floor(open interest x share))

    Orders that only reduce (`is_reducing`) are not asked.
    """
    if side_units > brackets.cap_units:
        return False
    allowed = max(share.free_units, floor_ppm(open_interest_units, share.ppm))
    return share.ppm == 0 or side_units <= allowed
