"""What a customer pays, and why."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Output


class TierOut(Output):
    """A fee tier, and the volume from which on accounts have it."""

    tier: int
    from_volume: str


class MarketFeeOut(Output):
    """What you pay in a market now, in parts per million of quote; negative: a rebate."""

    symbol: str
    tier: int
    maker_fee_ppm: int
    taker_fee_ppm: int


class FeesOut(Output):
    """Your volume and what it gives you.

    `volume` is what you traded in the `window_days` whole UTC days before 00:00 of `as_of`, as
    maker and taker, in `volume_asset`; it is assessed once a day. `tier` is what that gives;
    `markets` shows the rates that are in force.
    """

    volume: str
    volume_asset: str
    window_days: int
    as_of: str | None = Field(description="A date; null before the first assessment.")
    tier: int
    tiers: list[TierOut]
    markets: list[MarketFeeOut]
