"""The demo's perpetual markets, listed by two signatures, and who trades them.

Both have a basis window of ten seconds and funding every minute, so that a newcomer need not wait.
The second takes next to nothing from the insurance fund: there a bankrupt position ends in
auto-deleveraging.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from workers.demo_listings import DemoCustomer

_BASIS_WINDOW_US = 10_000_000
_FUNDING_SECONDS = 60
_RULES: Mapping[str, Any] = {
    "fees": [[200, 500]],
    "max_taker_fee_ppm": 500,
    "band_ppm": 50_000,
    "max_open_orders": 200,
    "max_position": "0",
}


@dataclass(frozen=True, slots=True)
class PerpetualListing:
    """A perpetual to list: its symbol, and the terms as `rialto market add` takes them."""

    symbol: str
    terms: Mapping[str, Any]


MAIN = PerpetualListing(
    "ETH/USDT-PERP",
    {
        **_RULES,
        "tick_size": "0.01",
        "lot_size": "0.001",
        "listing_price": "2500",
        "max_order": "1000",
        "perpetual": {
            "brackets": [
                {"floor": "0", "maintenance_ppm": 5_000, "initial_ppm": 10_000},
                {"floor": "250000", "maintenance_ppm": 10_000, "initial_ppm": 20_000},
                {"floor": "1000000", "maintenance_ppm": 25_000, "initial_ppm": 50_000},
            ],
            "cap": "20000000",
            "impact": "10000",
            "max_leverage": 100,
            "interest_ppm": 10,
            "liquidation_fee_ppm": 2_000,
            "funding_interval_seconds": _FUNDING_SECONDS,
            "basis_window_us": _BASIS_WINDOW_US,
        },
    },
)
SMALL = PerpetualListing(
    "BTC/USDT-PERP",
    {
        **_RULES,
        "tick_size": "0.1",
        "lot_size": "0.0001",
        "listing_price": "60000",
        "max_order": "50",
        "perpetual": {
            "brackets": [{"floor": "0", "maintenance_ppm": 10_000, "initial_ppm": 20_000}],
            "cap": "5000000",
            "impact": "5000",
            "max_leverage": 50,
            "interest_ppm": 10,
            "fund_cap_ppm": 50_000,
            "funding_interval_seconds": _FUNDING_SECONDS,
            "basis_window_us": _BASIS_WINDOW_US,
        },
    },
)
PERPETUALS = (MAIN, SMALL)


class Role(StrEnum):
    """What a bot does in a perpetual market."""

    MAKER = "maker"
    TAKER = "taker"
    GAMBLER = "gambler"


@dataclass(frozen=True, slots=True)
class Weather:
    """How prices go against a gambler: by `ppm` within `ramp_us`, for `hold_us`, and back."""

    ppm: int
    ramp_us: int
    hold_us: int

    @property
    def seconds(self) -> float:
        """Return how long it lasts."""
        return (2 * self.ramp_us + self.hold_us) / 1_000_000


@dataclass(frozen=True, slots=True)
class PerpetualBot:
    """A customer that trades one perpetual. `stake` is what a gambler deposits each time, USDT."""

    customer: DemoCustomer
    symbol: str
    role: Role
    leverage: int
    stake: str = ""
    weather: Weather | None = None


def _bot(
    name: str,
    listing: PerpetualListing,
    role: Role,
    usdt: str,
    leverage: int,
    weather: Weather | None = None,
) -> PerpetualBot:
    stake = usdt if role is Role.GAMBLER else ""
    customer = DemoCustomer(name, "bot", {"USDT": usdt})
    return PerpetualBot(customer, listing.symbol, role, leverage, stake, weather)


# A slide that the book can follow: the gambler's position is sold in slices. And a gap that leaves
# less than nothing of it: takeover, then auto-deleveraging. Two gaps in opposite directions within
# a minute stay below the circuit breaker's 10 %.
_SLIDE = Weather(ppm=12_000, ramp_us=4_000_000, hold_us=10_000_000)
_GAP = Weather(ppm=42_000, ramp_us=0, hold_us=30_000_000)

PERPETUAL_BOTS = (
    _bot("perp-maker-1", MAIN, Role.MAKER, "5000000", 10),
    _bot("perp-taker-1", MAIN, Role.TAKER, "500000", 10),
    _bot("gambler-1", MAIN, Role.GAMBLER, "500", 100, _SLIDE),
    _bot("perp-maker-2", SMALL, Role.MAKER, "5000000", 10),
    _bot("perp-taker-2", SMALL, Role.TAKER, "500000", 10),
    _bot("gambler-2", SMALL, Role.GAMBLER, "500", 50, _GAP),
)
