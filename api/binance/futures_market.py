"""What everybody may know of perpetuals beside books and trades: mark, funding, open interest."""

from __future__ import annotations

from typing import Any

from api.binance.call import Call
from api.binance.futures_history import chosen
from api.binance.names import markets, name_of, wanted
from api.binance.orders_found import LARGEST_COUNT, Place, as_many, past_rows
from api.binance.spot_account import rate_text
from api.engine_calls import ask
from api.errors import Problem
from api.perpetual_answers import funding
from api.schemas.perpetuals import FundingOut
from domain.instrument import Instrument
from domain.market import Market
from domain.perpetual_record import PastFunding

_USUAL_COUNT = 100
_HOUR_SECONDS = 3_600


async def premium_index(call: Call) -> Any:
    """Return mark, index and funding, of one market or of all.

    The rate is the one that was paid last. A market that ended would be settled near its index.
    """
    market = chosen(call)
    found = markets(call.services, perpetual=True) if market is None else [market]
    rows = [
        {
            "symbol": name_of(instrument),
            "markPrice": now.mark_price or "0",
            "indexPrice": now.index_price or "0",
            "estimatedSettlePrice": now.index_price or "0",
            "lastFundingRate": rate_text(now.last_rate_ppm),
            "interestRate": rate_text(instrument.terms.interest_ppm if instrument.terms else 0),
            "nextFundingTime": now.next_funding_us // 1_000,
            "time": call.services.now_ms(),
        }
        for instrument, now in await _now(call, found)
    ]
    return rows if market is None else rows[0]


async def open_interest(call: Call) -> dict[str, Any]:
    """Return how much all long positions of a market come to, in the base asset."""
    market = wanted(call.services, call.parameters, perpetual=True)
    ((instrument, now),) = await _now(call, [market])
    return {
        "symbol": name_of(instrument),
        "openInterest": now.open_interest,
        "time": call.services.now_ms(),
    }


async def _now(call: Call, found: list[Market]) -> list[tuple[Instrument, FundingOut]]:
    """Return markets with mark and funding; one that is being listed is left out, or refused."""
    now_us = call.services.now_ms() * 1_000
    told = []
    for shard in sorted({market.shard for market in found}):
        sequence, states = await ask(call.services.door(shard).perpetuals())
        by_id = {one.symbol_id: one for one in states}
        for market in found:
            state = by_id.get(market.instrument.symbol_id)
            if market.shard == shard and state is not None:
                row = funding(market.instrument, state, now_us, sequence)
                told.append((market.instrument, row))
    if len(found) == 1 and not told:
        raise Problem("market_data_unavailable", "The market is being listed; try again.")
    return told


async def funding_rates(call: Call) -> list[dict[str, Any]]:
    """Return the fundings that were paid, of one market or of all, oldest first."""
    market = chosen(call)
    found = markets(call.services, perpetual=True) if market is None else [market]
    limit = call.parameters.count("limit", _USUAL_COUNT, LARGEST_COUNT)
    rows = []
    for one in found:
        instrument = one.instrument
        rows += [_rate(instrument, past) for past in await _past(call, instrument, limit)]
    rows.sort(key=lambda row: row["fundingTime"])
    return as_many(call.parameters, rows, limit)


async def _past(call: Call, instrument: Instrument, limit: int) -> list[PastFunding]:
    async def page(before: Place | None) -> list[PastFunding]:
        return await call.services.funding.fundings(instrument.symbol_id, before, LARGEST_COUNT)

    def place(row: PastFunding) -> Place:
        return (row.funding_time_us,)

    return await past_rows(call.parameters, "", page, place, (), limit)


def _rate(instrument: Instrument, past: PastFunding) -> dict[str, Any]:
    return {
        "symbol": name_of(instrument),
        "fundingTime": past.funding_time_us // 1_000,
        "fundingRate": rate_text(past.rate_ppm),
        "markPrice": instrument.price_text(past.mark_ticks),
    }


async def funding_info(call: Call) -> list[dict[str, Any]]:
    """Return how often funding is paid, and how high its rate may be.

    The interval is in hours and rounded up; what is shorter than an hour is told as one.
    """
    found = []
    for market in markets(call.services, perpetual=True):
        terms = market.instrument.terms
        assert terms is not None, "the market is a perpetual"
        row = {
            "symbol": name_of(market.instrument),
            "adjustedFundingRateCap": rate_text(terms.funding_cap_ppm),
            "adjustedFundingRateFloor": rate_text(-terms.funding_cap_ppm),
            "fundingIntervalHours": -(-terms.funding_interval_seconds // _HOUR_SECONDS),
            "disclaimer": False,
        }
        found.append(row)
    return found
