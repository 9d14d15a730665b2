"""The numbers that the risk formulas of a perpetual market start from, each named once.

Brackets, leverage and position shares belong to a market's listing and have no default.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.circuit_breaker import BreakerRules
from domain.index_price import IndexRules
from domain.liquidation import SliceRules


@dataclass(frozen=True, slots=True)
class RiskParameters:
    """A market's risk parameters; rates in ppm, money in units of 10**-6 quote."""

    liquidation_fee_ppm: int = 5_000
    """The most that a liquidation fill pays to the insurance fund (dYdX's default)."""
    exit_buffer_ppm: int = 2_000
    """How much of the notional beyond MM ends a liquidation."""
    slices: SliceRules = field(default_factory=SliceRules)
    """How large a slice is."""
    max_slices: int = 5
    """How many slices before a takeover is considered."""
    slices_seconds: int = 30
    """How long slicing goes on (Hyperliquid's cooldown)."""
    takeover_ppm: int = 666_666
    """Below which share of MM the equity of a sliced scope is taken over (Hyperliquid's 2/3)."""
    fund_cap_ppm: int = 1_000_000
    """The most notional of the fund in a symbol, as a share of its balance (Binance)."""
    fund_stop_ppm: int = -300_000
    """At which drawdown from its highest of 8 hours the fund stops (Bybit)."""
    fund_resume_ppm: int = -250_000
    """Above which drawdown it takes over again (Bybit)."""
    funding_interval_seconds: int = 28_800
    """How often funding is paid."""
    interest_ppm: int = 100
    """The interest in a funding rate, an interval (BitMEX)."""
    damper_ppm: int = 500
    """How far a funding rate stays at the interest (BitMEX)."""
    funding_cap_factor_ppm: int = 750_000
    """The funding cap as a share of IM rate - MM rate (BitMEX)."""
    max_premium_ppm: int = 100_000
    """The largest premium sample in magnitude."""
    band_ppm: int = 50_000
    """How far from the mark an order may be aggressive (Paradex's example)."""
    transfer_floor_ppm: int = 100_000
    """Which share of the notional stays when money leaves."""
    index: IndexRules = field(default_factory=IndexRules)
    """Which sources an index takes."""
    breaker: BreakerRules = field(default_factory=BreakerRules)
    """What trips the circuit breaker."""
    basis_window_us: int = 150_000_000
    """Over how long the basis is averaged, and for how long a mark is stale after a start."""
