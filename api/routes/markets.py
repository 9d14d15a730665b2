"""Public market data and the exchange's clock."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.edge import EdgeRoute, ServicesDep, access
from api.errors import Problem
from api.market_answers import candle_members, trade_members
from api.perpetual_answers import terms
from api.ports import EngineAway
from api.schemas.markets import (
    AssetOut,
    AssetsOut,
    BookOut,
    CandleOut,
    CandlesOut,
    FeeTierOut,
    MarketOut,
    MarketsOut,
    PublicTradeOut,
    PublicTradesOut,
    TimeOut,
)
from api.services import Services
from api.trading_state import market_state, trading_statuses
from domain.candles import INTERVALS, MINUTE_SECONDS
from domain.market import Market
from domain.market_data import checksum, level_texts
from domain.trading_status import TradingStatus

_LONGEST_SECONDS = 60 * 86_400  # so many minutes are read for one answer

router = APIRouter(prefix="/v1", tags=["markets"], route_class=EdgeRoute)


@router.get("/time", response_model=TimeOut)
@access(None)
async def server_time(services: ServicesDep) -> TimeOut:
    """Return the exchange's clock, to compare with yours before signing."""
    return TimeOut(time_ms=services.now_ms())


@router.get("/assets", response_model=AssetsOut)
@access(None)
async def list_assets(services: ServicesDep) -> AssetsOut:
    """List the assets with the terms of their deposits and withdrawals."""
    return AssetsOut(
        assets=[
            AssetOut(
                asset=listing.asset.code,
                chain=listing.chain,
                contract=listing.contract,
                decimals=listing.asset.chain_decimals,
                trading_decimals=listing.asset.engine_decimals,
                confirmations=listing.confirmations,
                deposit_minimum=listing.asset.chain_text(listing.deposit_minimum),
                withdrawal_minimum=listing.asset.chain_text(listing.withdrawal_minimum),
                withdrawal_fee=listing.asset.chain_text(listing.withdrawal_fee),
            )
            for listing in services.listings.assets
        ]
    )


@router.get("/markets", response_model=MarketsOut)
@access(None)
async def list_markets(services: ServicesDep) -> MarketsOut:
    """List the markets with their rules and whether they take orders."""
    markets = services.listings.markets
    statuses = await trading_statuses(services, {market.shard for market in markets})
    return MarketsOut(markets=[_market(market, statuses[market.shard]) for market in markets])


@router.get("/markets/{symbol}/book", response_model=BookOut)
@access(None, weight=2)
async def book(
    symbol: str, services: ServicesDep, depth: Annotated[int, Query(ge=1, le=1000)] = 50
) -> BookOut:
    """Return the order book's best levels; in a path the symbol is written ETH-USDT."""
    market = services.market(symbol)
    feed = services.hub.feed(market.instrument.symbol)
    if feed.is_stale:
        sequence, bids, asks = await _engine_book(services, market, depth)
    else:
        sequence, (bids, asks) = feed.sequence, feed.book(depth)
    return BookOut(
        symbol=market.instrument.symbol,
        seq=sequence,
        bids=bids,
        asks=asks,
        checksum=checksum(bids, asks),
    )


@router.get("/markets/{symbol}/trades", response_model=PublicTradesOut)
@access(None, weight=2)
async def trades(
    symbol: str, services: ServicesDep, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> PublicTradesOut:
    """Return the newest trades, newest first."""
    instrument = services.market(symbol).instrument
    recent = list(services.hub.feed(instrument.symbol).trades)[-limit:][::-1]
    if not recent:
        stored = await services.market_data.trades(instrument.symbol_id, limit)
        recent = [trade_members(trade, instrument) for trade in stored]
    return PublicTradesOut(
        symbol=instrument.symbol, trades=[PublicTradeOut(**trade) for trade in recent]
    )


@router.get("/markets/{symbol}/candles", response_model=CandlesOut)
@access(None, weight=2)
async def candles(
    symbol: str,
    services: ServicesDep,
    interval: Literal["1s", "1m", "5m", "15m", "1h", "4h", "1d"] = "1m",
    limit: Annotated[int, Query(ge=1, le=1000)] = 120,
) -> CandlesOut:
    """Return the newest candles, oldest first; one without trades carries the last close.

    They begin at whole multiples of the interval in UTC and reach back 60 days at most, those of
    a second one day.
    """
    instrument = services.market(symbol).instrument
    seconds = INTERVALS[interval]
    if seconds == MINUTE_SECONDS:
        stored = await services.market_data.candles(instrument.symbol_id, seconds, limit)
    else:
        most = min(limit, _LONGEST_SECONDS // seconds)
        now_us = services.now_ms() * 1_000
        newest_us = now_us - now_us % (seconds * 1_000_000)
        since_us = newest_us - (most - 1) * seconds * 1_000_000
        stored = await services.market_data.combined_candles(
            instrument.symbol_id, seconds, since_us, now_us
        )
    return CandlesOut(
        symbol=instrument.symbol,
        interval=interval,
        candles=[CandleOut(**candle_members(candle, instrument)) for candle in stored],
    )


def _market(market: Market, status: TradingStatus | None) -> MarketOut:
    instrument = market.instrument
    state, reason = market_state(status, instrument.symbol_id)
    return MarketOut(
        symbol=instrument.symbol,
        kind="spot" if instrument.terms is None else "perpetual",
        symbol_id=instrument.symbol_id,
        base=instrument.base.code,
        quote=instrument.quote.code,
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        maker_fee_ppm=instrument.fees[0].maker_ppm,
        taker_fee_ppm=instrument.fees[0].taker_ppm,
        fee_tiers=[
            FeeTierOut(tier=tier, maker_fee_ppm=rates.maker_ppm, taker_fee_ppm=rates.taker_ppm)
            for tier, rates in enumerate(instrument.fees)
        ],
        max_taker_fee_ppm=instrument.max_taker_fee_ppm,
        band_ppm=instrument.band_ppm,
        listing_price=instrument.price_text(instrument.listing_price_ticks),
        max_order=instrument.quantity_text(instrument.max_order_lots),
        max_open_orders=instrument.max_open_orders,
        max_position=instrument.quantity_text(instrument.max_position_lots),
        shard=market.shard,
        state=state,
        state_reason=reason.reason,
        perpetual=None if instrument.terms is None else terms(instrument, instrument.terms),
    )


async def _engine_book(
    services: Services, market: Market, depth: int
) -> tuple[int, list[tuple[str, str]], list[tuple[str, str]]]:
    """Ask the engine while the feed is not in sync (start-up, Redis away)."""
    instrument = market.instrument
    try:
        door = services.door(market.shard)
        sequence, bids, asks = await door.book(instrument.symbol_id, depth)
    except EngineAway as error:
        raise Problem("market_data_unavailable") from error
    return sequence, level_texts(instrument, bids), level_texts(instrument, asks)
