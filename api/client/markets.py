"""Calls that need no key: the exchange's clock and components, markets, books, trades, funding."""

from __future__ import annotations

from api.client.call import Call, get, market_part
from api.schemas.markets import (
    AssetsOut,
    BookOut,
    CandlesOut,
    MarketsOut,
    PublicTradesOut,
    SystemOut,
    TimeOut,
)
from api.schemas.perpetuals import (
    FundHistoryOut,
    FundingHistoryOut,
    InsuranceOut,
    LiquidationsOut,
)


def clock() -> Call[TimeOut]:
    """Ask for the exchange's clock."""
    return get(TimeOut, "/v1/time", is_public=True)


def system() -> Call[SystemOut]:
    """Ask how the nine components are."""
    return get(SystemOut, "/v1/system", is_public=True)


def assets() -> Call[AssetsOut]:
    """List the assets."""
    return get(AssetsOut, "/v1/assets", is_public=True)


def listed() -> Call[MarketsOut]:
    """List the markets."""
    return get(MarketsOut, "/v1/markets", is_public=True)


def book(symbol: str, depth: int | None = None) -> Call[BookOut]:
    """Ask for a market's book."""
    path = f"/v1/markets/{market_part(symbol)}/book"
    return get(BookOut, path, is_public=True, depth=depth)


def trades(symbol: str, limit: int | None = None) -> Call[PublicTradesOut]:
    """List a market's newest trades."""
    path = f"/v1/markets/{market_part(symbol)}/trades"
    return get(PublicTradesOut, path, is_public=True, limit=limit)


def candles(symbol: str, interval: str = "", limit: int | None = None) -> Call[CandlesOut]:
    """List a market's candles."""
    path = f"/v1/markets/{market_part(symbol)}/candles"
    return get(CandlesOut, path, is_public=True, interval=interval, limit=limit)


def funding(symbol: str, limit: int | None = None) -> Call[FundingHistoryOut]:
    """Ask for a perpetual's mark, its funding, and the fundings that were paid."""
    return get(FundingHistoryOut, "/v1/funding", is_public=True, symbol=symbol, limit=limit)


def insurance() -> Call[InsuranceOut]:
    """List the insurance funds."""
    return get(InsuranceOut, "/v1/insurance", is_public=True)


def insurance_history(shard: int = 0, limit: int | None = None) -> Call[FundHistoryOut]:
    """List what was booked for and against a fund."""
    path = "/v1/insurance/history"
    return get(FundHistoryOut, path, is_public=True, shard=shard, limit=limit)


def liquidations(symbol: str, limit: int | None = None) -> Call[LiquidationsOut]:
    """List the newest steps of liquidations."""
    path = "/v1/liquidations"
    return get(LiquidationsOut, path, is_public=True, symbol=symbol, limit=limit)
