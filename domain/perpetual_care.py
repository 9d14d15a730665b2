"""What recurring work on perpetual markets is asked and answers: funding, unwinding, the end."""

from __future__ import annotations

from dataclasses import dataclass, replace

FUNDING_WORKFLOW = "FundingWorkflow"
UNWIND_WORKFLOW = "UnwindWorkflow"
FINAL_SETTLEMENT_WORKFLOW = "FinalSettlementWorkflow"
DUST_WORKFLOW = "DustSweepWorkflow"


@dataclass(frozen=True)
class MarketOfShard:
    """A perpetual market by its number."""

    shard: int
    symbol_id: int

    @property
    def name(self) -> str:
        """Return its name in ids."""
        return f"{self.shard}-{self.symbol_id}"


def funding_id(market: MarketOfShard) -> str:
    """Return the id of a market's funding schedule and its runs."""
    return f"funding-{market.name}"


def unwind_id(market: MarketOfShard) -> str:
    """Return the id of the workflow that sells the fund's position in a market."""
    return f"unwind-{market.name}"


def final_settlement_id(market: MarketOfShard) -> str:
    """Return the id of the workflow that ends a market."""
    return f"final-settlement-{market.name}"


def dust_id(shard: int) -> str:
    """Return the id of a shard's daily sweep."""
    return f"dust-sweep-{shard}"


@dataclass(frozen=True)
class FundingRequest:
    """The argument of `funding-...`; `funding_time_us` 0 means the instant of the schedule."""

    shard: int
    symbol_id: int
    interval_seconds: int
    funding_time_us: int = 0


@dataclass(frozen=True)
class FundingInstant:
    """One instant of one market."""

    shard: int
    symbol_id: int
    funding_time_us: int


def instant_of(time_us: int, interval_seconds: int) -> int:
    """Return the last whole interval since 1970 that is not after `time_us`."""
    interval_us = interval_seconds * 1_000_000
    return time_us // interval_us * interval_us


@dataclass(frozen=True)
class Funded:
    """What a funding did; `refusal` says why it did nothing."""

    sequence: int
    rate_ppm: int = 0
    premium_ppm: int = 0
    mark_ticks: int = 0
    entries: int = 0
    rounding_units: int = 0
    refusal: str = ""


@dataclass(frozen=True)
class Unwound:
    """Where the unwinding of a fund's position is; the workflow's argument and each slice's result.

    `began_sequence` tells this unwinding from earlier ones. `quote_units` is signed to the fund.
    `state` is "running", "waiting" or "ended", with `why`.
    """

    shard: int
    symbol_id: int
    began_sequence: int
    slices: int = 0
    closed_lots: int = 0
    quote_units: int = 0
    left_lots: int = 0
    state: str = "running"
    why: str = ""

    def ended(self, why: str) -> Unwound:
        """Return it at its end."""
        return replace(self, state="ended", left_lots=0, why=why)

    def waiting(self, left_lots: int, why: str) -> Unwound:
        """Return it while it may not trade."""
        return replace(self, state="waiting", left_lots=left_lots, why=why)

    def sliced(self, lots: int, quote_units: int, left_lots: int, why: str) -> Unwound:
        """Return it after one more slice."""
        return replace(
            self,
            slices=self.slices + 1,
            closed_lots=self.closed_lots + lots,
            quote_units=self.quote_units + quote_units,
            left_lots=left_lots,
            state="waiting" if why else "running",
            why=why,
        )


@dataclass(frozen=True)
class SettleRequest:
    """One attempt to end a market; the engine remembers what it refused under its key."""

    market: MarketOfShard
    attempt: int


@dataclass(frozen=True)
class SettledMarket:
    """How a market ended: the sequence, the final price in ticks, how many positions it closed."""

    sequence: int
    price_ticks: int
    entries: int


@dataclass(frozen=True)
class DustRequest:
    """A day's sweep of rounding dust; `day_us` 0 means the day of the schedule."""

    shard: int
    day_us: int = 0
