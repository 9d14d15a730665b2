"""Public market data as text, the same over REST and WebSocket."""

from __future__ import annotations

from typing import Any

from domain.candles import Candle
from domain.instrument import Instrument
from domain.market_data import PublicTrade


def trade_members(trade: PublicTrade, instrument: Instrument) -> dict[str, Any]:
    """Return the members of a public trade."""
    return {
        "trade_id": str(trade.trade_id),
        "price": instrument.price_text(trade.price_ticks),
        "quantity": instrument.quantity_text(trade.quantity_lots),
        "side": trade.taker_side.name.lower(),
        "time_us": trade.time_us,
        "sequence": trade.sequence,
    }


def candle_members(candle: Candle, instrument: Instrument) -> dict[str, Any]:
    """Return the members of a candle."""
    return {
        "time_us": candle.open_time_us,
        "open": instrument.price_text(candle.open_ticks),
        "high": instrument.price_text(candle.high_ticks),
        "low": instrument.price_text(candle.low_ticks),
        "close": instrument.price_text(candle.close_ticks),
        "volume": instrument.base.engine_text(candle.base_units),
        "turnover": instrument.quote.engine_text(candle.quote_units),
        "trades": candle.trade_count,
    }
