"""Markets, assets and public market data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.common import Output
from api.schemas.perpetuals import PerpetualTermsOut

MarketStateText = Literal["open", "cancel_only", "halted", "delisted", "engine_away"]


class TimeOut(Output):
    """The exchange's clock."""

    time_ms: int


class AssetOut(Output):
    """An asset and the terms of its deposits and withdrawals."""

    asset: str
    chain: str
    contract: str | None
    decimals: int
    trading_decimals: int
    confirmations: int
    deposit_minimum: str
    withdrawal_minimum: str
    withdrawal_fee: str


class AssetsOut(Output):
    """All assets."""

    assets: list[AssetOut]


class FeeTierOut(Output):
    """What accounts of one tier pay, in parts per million of quote; negative: a rebate."""

    tier: int
    maker_fee_ppm: int
    taker_fee_ppm: int


class MarketOut(Output):
    """A market, its rules, and whether it takes orders now: `state_reason` says why not.

    `maker_fee_ppm` and `taker_fee_ppm` are those of tier 0, in which every account begins. A buy
    holds for its fee at `max_taker_fee_ppm`. `max_position` "0" is no limit.
    """

    symbol: str
    kind: Literal["spot", "perpetual"]
    symbol_id: int = Field(description="The market's number in its engine.")
    base: str
    quote: str
    tick_size: str
    lot_size: str
    maker_fee_ppm: int
    taker_fee_ppm: int
    fee_tiers: list[FeeTierOut]
    max_taker_fee_ppm: int
    band_ppm: int
    listing_price: str
    max_order: str
    max_open_orders: int
    max_position: str
    shard: int
    state: MarketStateText
    state_reason: str = ""
    perpetual: PerpetualTermsOut | None = Field(
        None, description="The terms of a perpetual; null: a spot market."
    )


class MarketsOut(Output):
    """All markets."""

    markets: list[MarketOut]


class BookOut(Output):
    """The book's best levels as [price, quantity], best first."""

    symbol: str
    seq: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    checksum: int = Field(description="CRC32 of the top 10: price:quantity, bids then asks.")


class PublicTradeOut(Output):
    """A trade; `side` is the taker's."""

    trade_id: str
    price: str
    quantity: str
    side: str
    time_us: int
    sequence: int


class PublicTradesOut(Output):
    """The newest trades, newest first."""

    symbol: str
    trades: list[PublicTradeOut]


class CandleOut(Output):
    """One candle; volume in base, turnover in quote."""

    time_us: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str
    trades: int


class CandlesOut(Output):
    """Candles, oldest first."""

    symbol: str
    interval: str
    candles: list[CandleOut]


class ComponentOut(Output):
    """One of the nine components and how it is."""

    name: str
    process: str
    version: str
    health: str
    sequence: int | None
    lag: int | None
    note: str = ""


class ClosedMarketOut(Output):
    """A market that does not take orders, and why."""

    symbol: str
    state: MarketStateText
    cause: str
    reason: str


class ShardOut(Output):
    """One shard: whether it takes orders, since when and why, and how far settlement is behind.

    `mode` is None where its engine does not say. Beyond `settlement_lag_bound` commands the shard
    takes cancels only; 0 is no bound.
    """

    shard: int
    process: str
    mode: Literal["normal", "cancel_only", "halted"] | None
    cause: str = ""
    reason: str = ""
    since_sequence: int = 0
    since_us: int = 0
    sequence: int | None = None
    settlement_lag: int | None = None
    settlement_lag_bound: int | None = None
    closed_markets: tuple[ClosedMarketOut, ...] = ()


class SystemOut(Output):
    """The exchange at this moment; `sequence` is that of shard 0, `limits` are the engine's own."""

    version: str
    time_ms: int
    sequence: int | None
    engine: str | None
    components: list[ComponentOut]
    shards: list[ShardOut]
    limits: dict[str, int]
    temporal_ui: str
