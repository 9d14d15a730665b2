"""Steps of funding, of unwinding the fund's positions, of a market's end, and of dust."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.risk_ports import RiskDoor, RiskNews, ask
from domain.errors import RejectReason
from domain.events import DustSwept, FundingSettled, MarketSettled, PerpetualTrade
from domain.liquidation import slice_lots
from domain.liquidation_plan import command_key
from domain.order import Side
from domain.perpetual_care import (
    DustRequest,
    Funded,
    FundingInstant,
    SettledMarket,
    SettleRequest,
    Unwound,
)
from domain.perpetual_state import Liquidations, liquidations_in
from domain.risk_commands import FUND_ACCOUNT, SettleFunding, SettleMarket, SweepDust, Unwind

Doors = Callable[[int], tuple[RiskDoor, RiskNews]]
_DAY_US = 86_400 * 1_000_000
_FUNDING_ATTEMPTS = 5


class PerpetualCareActivities:
    """The activities of `funding-...`, `unwind-...`, `final-settlement-...` and `dust-...`."""

    def __init__(self, doors: Doors, admins: Doors, pause_seconds: float = 0.5) -> None:
        self._doors = doors
        self._admins = admins
        self._pause_seconds = pause_seconds

    @activity.defn(name="settle_funding")
    async def fund(self, request: FundingInstant) -> Funded:
        """Pay the funding of one instant, once; an instant that is not due is no error.

        An engine whose clock is a little behind refuses, and remembers that under the key: so a few
        attempts, each with its own. It pays an instant once, whatever the key.
        """
        door, news = self._doors(request.shard)
        place = (request.shard, request.symbol_id, request.funding_time_us)
        for attempt in range(_FUNDING_ATTEMPTS):
            key = command_key("fund", *place, attempt)
            outcome = await ask(
                door, news, SettleFunding(key, request.symbol_id, request.funding_time_us)
            )
            if outcome.refusal is not RejectReason.FUNDING_NOT_DUE:
                break
            if news.picture.markets[request.symbol_id].funding_time_us < request.funding_time_us:
                await asyncio.sleep(self._pause_seconds)
        if outcome.refusal:
            return Funded(outcome.sequence, refusal=outcome.refusal_name)
        header = outcome.events[0]
        assert isinstance(header, FundingSettled)
        return Funded(
            outcome.sequence,
            header.rate_ppm,
            header.premium_ppm,
            header.mark_ticks,
            header.entries,
            header.rounding_units,
        )

    @activity.defn(name="unwind_fund")
    async def unwind(self, request: Unwound) -> Unwound:
        """Sell or buy back one slice of the fund's position in a market, within the band.

        Keyed by the market, the sequence at which this unwinding began, and the slice's number: a
        repeat is the same slice.
        """
        door, news = self._doors(request.shard)
        market = news.picture.markets[request.symbol_id]
        position = news.picture.position(FUND_ACCOUNT, request.symbol_id)
        if not position.lots:
            return Unwound.ended(request, "flat")
        allowed = liquidations_in(market.state, mark_is_fresh=market.is_fresh(news.now_us()))
        if allowed is Liquidations.FINAL:
            return Unwound.ended(request, "the market is being settled")
        if allowed is not Liquidations.RUN:
            return Unwound.waiting(request, position.lots, f"held: {allowed}")
        exposure = market.exposure(position)
        lots = slice_lots(exposure, abs(position.lots), market.terms.slices)
        band = market.band()
        limit = band.lowest_ticks if position.lots > 0 else band.highest_ticks
        key = command_key(
            "unwind", request.shard, request.symbol_id, request.began_sequence, request.slices + 1
        )
        outcome = await ask(door, news, Unwind(key, request.symbol_id, lots, limit))
        fills = [event for event in outcome.events if isinstance(event, PerpetualTrade)]
        sold = sum(event.quantity_lots for event in fills)
        quote = sum(
            event.quote_units if event.taker_side is Side.SELL else -event.quote_units
            for event in fills
        )
        left = news.picture.fund_lots(request.symbol_id)
        why = outcome.refusal_name or ("" if sold else "the book has nothing within the band")
        return Unwound.sliced(request, sold, quote, left, why)

    @activity.defn(name="settle_market")
    async def settle(self, request: SettleRequest) -> SettledMarket:
        """Close every position of a market that ends, once.

        The engine does it in one command: insolvent scopes first, the others at the final index.
        """
        shard, symbol_id = request.market.shard, request.market.symbol_id
        door, news = self._admins(shard)
        key = command_key("settle", shard, symbol_id, request.attempt)
        outcome = await ask(door, news, SettleMarket(key, symbol_id))
        header = outcome.events[0]
        if outcome.refusal or not isinstance(header, MarketSettled):
            raise ApplicationError(
                f"the engine refuses to settle market {symbol_id}: {outcome.refusal_name}",
                type="PublicEngineRefused",
                non_retryable=True,
            )
        return SettledMarket(outcome.sequence, header.price_ticks, header.entries)

    @activity.defn(name="sweep_dust")
    async def sweep(self, request: DustRequest) -> int:
        """Move the rounding dust of a day into the fund; return its units."""
        door, news = self._doors(request.shard)
        asset_id = news.picture.collateral
        if not asset_id:
            return 0
        key = command_key("dust", request.shard, asset_id, request.day_us // _DAY_US)
        outcome = await ask(door, news, SweepDust(key, asset_id, request.day_us))
        if outcome.refusal is RejectReason.NO_DUST:
            return 0
        if outcome.refusal:
            raise ApplicationError(
                f"the engine refuses to sweep dust: {outcome.refusal_name}",
                type="PublicEngineRefused",
                non_retryable=True,
            )
        header = outcome.events[0]
        assert isinstance(header, DustSwept)
        return header.amount_units
