"""Trading fees: rates by tier, what a fill costs, and which rates a market may have.

Every account has a tier, 0 unless an administrator set another, and a market one pair of rates for
each tier. A fill charges both sides by the tiers they have at that moment, on its quote amount. A
negative maker rate is a rebate: it is paid out of the fee of the taker it traded with.

Three roundings keep the books on the safe side. A fee is rounded down, so that what a buy order
holds, rounded up (`domain.money.ceil_ppm`) at a rate that no rate exceeds, covers its fills however
they are cut. A rebate is rounded down too, toward zero. As no rebate rate exceeds any taker rate,
no fill pays out more than it takes in.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.errors import RejectReason
from domain.limits import MAX_FEE_TIERS
from domain.money import PPM, floor_ppm


@dataclass(frozen=True, slots=True)
class FeeRates:
    """What one tier pays of a fill's quote amount, in parts per million."""

    maker_ppm: int
    taker_ppm: int


FeeTable = tuple[FeeRates, ...]
"""The rates of a market by tier: always `MAX_FEE_TIERS` pairs."""


def fee_table(*rates: FeeRates) -> FeeTable:
    """Return a whole table; tiers beyond those named pay what the last named one pays."""
    if not 0 < len(rates) <= MAX_FEE_TIERS:
        raise ValueError(f"a market has 1 to {MAX_FEE_TIERS} fee tiers, not {len(rates)}")
    return (*rates, *(rates[-1:] * (MAX_FEE_TIERS - len(rates))))


def flat_fees(maker_ppm: int, taker_ppm: int) -> FeeTable:
    """Return a table with the same rates for every tier."""
    return fee_table(FeeRates(maker_ppm, taker_ppm))


def fee_units(quote_units: int, rate_ppm: int) -> int:
    """Return a fill's fee, rounded down in magnitude; negative for a rebate."""
    if rate_ppm >= 0:
        return floor_ppm(quote_units, rate_ppm)
    return -floor_ppm(quote_units, -rate_ppm)


FEE_RULES = {
    RejectReason.INVALID_FEES: "a taker rate is negative, or the highest taker fee is not below 1",
    RejectReason.FEE_ABOVE_MAXIMUM: "a rate exceeds the highest taker fee, at which orders hold",
    RejectReason.REBATE_ABOVE_TAKER_FEE: "a maker's rebate exceeds the lowest taker fee",
}
"""Each refusal of rates, in words."""


def refuse_fees(fees: FeeTable, max_taker_fee_ppm: int) -> RejectReason:
    """Return why a market may not have these rates, or NONE.

    Orders hold at `max_taker_fee_ppm`, so no rate may exceed it; no rebate may exceed the lowest
    taker rate, whoever the two are that trade.
    """
    takers = [rates.taker_ppm for rates in fees]
    if not 0 <= max_taker_fee_ppm < PPM or min(takers) < 0:
        return RejectReason.INVALID_FEES
    if max(*takers, *(rates.maker_ppm for rates in fees)) > max_taker_fee_ppm:
        return RejectReason.FEE_ABOVE_MAXIMUM
    if max(-rates.maker_ppm for rates in fees) > min(takers):
        return RejectReason.REBATE_ABOVE_TAKER_FEE
    return RejectReason.NONE
