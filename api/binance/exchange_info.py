"""`exchangeInfo`: markets with the grids, limits and order types that clients hold to."""

from __future__ import annotations

from typing import Any

from api.binance.call import Call
from api.binance.names import markets, name_of, several
from api.binance.order_words import FUTURES_TYPES
from api.binance.spot_orders import ORDER_TYPES, SELF_TRADE_MODES
from api.limits import RATE_CLASSES, WINDOW_SECONDS
from api.trading_state import market_state, trading_statuses
from domain.instrument import Instrument
from domain.market import Market
from domain.money import INT64_MAX, PPM, text_from_units
from domain.trading_status import TradingStatus

NEVER_MS = 4_133_404_800_000  # what the dialect says for "does not expire"
LISTED_MS = 1_569_398_400_000  # when nobody has asked for a market's age, the dialect's first day
_PPM_DECIMALS = 6


async def spot_info(call: Call) -> dict[str, Any]:
    """Return the spot markets, or those that were asked for."""
    found = several(call.services, call.parameters, perpetual=False)
    return await _info(call, found, _spot)


async def futures_info(call: Call) -> dict[str, Any]:
    """Return the perpetual markets."""
    info = await _info(call, markets(call.services, perpetual=True), _futures)
    assets = {market.instrument.quote.code for market in markets(call.services, perpetual=True)}
    listed = [
        {"asset": code, "marginAvailable": True, "autoAssetExchange": None} for code in assets
    ]
    return {**info, "futuresType": "U_MARGINED", "assets": listed}


async def no_coin_margined(_: Call) -> dict[str, Any]:
    """Return that there is no market margined in coins; default clients ask at every start."""
    return {"timezone": "UTC", "rateLimits": [], "exchangeFilters": [], "symbols": []}


async def _info(call: Call, found: list[Market], member: Any) -> dict[str, Any]:
    statuses = await trading_statuses(call.services, {market.shard for market in found})
    limits = RATE_CLASSES["standard"]
    counted = (("REQUEST_WEIGHT", limits.weight), ("ORDERS", limits.orders))
    return {
        "timezone": "UTC",
        "serverTime": call.services.now_ms(),
        "rateLimits": [
            {
                "rateLimitType": kind,
                "interval": "SECOND",
                "intervalNum": WINDOW_SECONDS,
                "limit": limit,
            }
            for kind, limit in counted
        ],
        "exchangeFilters": [],
        "symbols": [
            member(market.instrument, _state(market, statuses[market.shard])) for market in found
        ],
    }


def _state(market: Market, status: TradingStatus | None) -> str:
    if market.delisted_sequence is not None:
        return "BREAK"
    state, _ = market_state(status, market.instrument.symbol_id)
    return {"open": "TRADING", "delisted": "BREAK"}.get(state, "HALT")


def _common(instrument: Instrument, status: str) -> dict[str, Any]:
    return {
        "symbol": name_of(instrument),
        "status": status,
        "baseAsset": instrument.base.code,
        "baseAssetPrecision": instrument.base.engine_decimals,
        "quoteAsset": instrument.quote.code,
        "quotePrecision": instrument.quote.engine_decimals,
    }


def _spot(instrument: Instrument, status: str) -> dict[str, Any]:
    return {
        **_common(instrument, status),
        "quoteAssetPrecision": instrument.quote.engine_decimals,
        "baseCommissionPrecision": instrument.base.engine_decimals,
        "quoteCommissionPrecision": instrument.quote.engine_decimals,
        "orderTypes": list(ORDER_TYPES),
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            *_grids(instrument),
            {"filterType": "ICEBERG_PARTS", "limit": 100},
            {
                "filterType": "NOTIONAL",
                "minNotional": _smallest_notional(instrument),
                "applyMinToMarket": False,
                "maxNotional": instrument.quote.engine_text(INT64_MAX),
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            *_band(instrument),
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": instrument.max_open_orders},
        ],
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": SELF_TRADE_MODES,
    }


def _futures(instrument: Instrument, status: str) -> dict[str, Any]:
    assert instrument.terms is not None
    smallest_maintenance = instrument.terms.brackets[0].mmr_ppm
    return {
        **_common(instrument, status),
        "pair": name_of(instrument),
        "contractType": "PERPETUAL",
        "deliveryDate": NEVER_MS,
        "onboardDate": LISTED_MS,
        "maintMarginPercent": text_from_units(smallest_maintenance, _PPM_DECIMALS - 2),
        "requiredMarginPercent": text_from_units(
            instrument.terms.brackets[0].imr_ppm, _PPM_DECIMALS - 2
        ),
        "marginAsset": instrument.quote.code,
        "pricePrecision": _decimals(instrument.tick_size),
        "quantityPrecision": _decimals(instrument.lot_size),
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0",
        "liquidationFee": text_from_units(instrument.terms.liquidation_fee_ppm, _PPM_DECIMALS),
        "marketTakeBound": text_from_units(instrument.band_ppm, _PPM_DECIMALS),
        "filters": [
            *_grids(instrument),
            {"filterType": "MAX_NUM_ORDERS", "limit": instrument.max_open_orders},
            {"filterType": "MIN_NOTIONAL", "notional": _smallest_notional(instrument)},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": text_from_units(PPM + instrument.band_ppm, _PPM_DECIMALS),
                "multiplierDown": text_from_units(PPM - instrument.band_ppm, _PPM_DECIMALS),
                "multiplierDecimal": str(_PPM_DECIMALS),
            },
        ],
        "orderTypes": list(FUTURES_TYPES.values()),
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }


def _grids(instrument: Instrument) -> list[dict[str, Any]]:
    """Return price and lot filters; the largest price is where one lot still can be counted."""
    largest_ticks = INT64_MAX // instrument.quote_units_per_tick_lot
    lots = {
        "minQty": instrument.lot_size,
        "maxQty": instrument.quantity_text(instrument.max_order_lots),
        "stepSize": instrument.lot_size,
    }
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": instrument.tick_size,
            "maxPrice": instrument.price_text(largest_ticks),
            "tickSize": instrument.tick_size,
        },
        {"filterType": "LOT_SIZE", **lots},
        {"filterType": "MARKET_LOT_SIZE", **lots},
    ]


def _band(instrument: Instrument) -> list[dict[str, Any]]:
    if not instrument.band_ppm:
        return []
    up = text_from_units(PPM + instrument.band_ppm, _PPM_DECIMALS)
    down = text_from_units(max(0, PPM - instrument.band_ppm), _PPM_DECIMALS)
    return [
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": up,
            "bidMultiplierDown": down,
            "askMultiplierUp": up,
            "askMultiplierDown": down,
            "avgPriceMins": 0,
        }
    ]


def _smallest_notional(instrument: Instrument) -> str:
    """Return the value of one lot at one tick: nothing smaller can be said."""
    return instrument.quote.engine_text(instrument.quote_units_per_tick_lot)


def _decimals(step: str) -> int:
    return len(step.partition(".")[2].rstrip("0"))
