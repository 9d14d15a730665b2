"""Markets, assets and public market data."""

from __future__ import annotations

from pydantic import Field

from api.schemas.common import Output


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


class MarketOut(Output):
    """A market and its rules."""

    symbol: str
    base: str
    quote: str
    tick_size: str
    lot_size: str
    maker_fee_ppm: int
    taker_fee_ppm: int
    band_ppm: int
    listing_price: str
    max_order: str
    max_open_orders: int
    shard: int


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


class SystemOut(Output):
    """The exchange at this moment."""

    version: str
    time_ms: int
    sequence: int | None
    engine: str | None
    components: list[ComponentOut]
    temporal_ui: str
