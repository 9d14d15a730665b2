"""The table of the routes for perpetuals: one row a route, as `api.binance.routes` for the rest."""

from __future__ import annotations

from api.binance import (
    exchange_info,
    futures_account,
    futures_batches,
    futures_history,
    futures_market,
    futures_orders,
    futures_positions,
    general,
)
from api.binance.call import Row
from api.binance.market_data import MarketDataRoutes
from domain.customer import Scope

_DATA = MarketDataRoutes(perpetual=True)
_V1, _V2, _V3 = "/fapi/v1", "/fapi/v2", "/fapi/v3"
_READ, _TRADE = Scope.READ, Scope.TRADE

PUBLIC = (
    Row("GET", f"{_V1}/ping", general.ping),
    Row("GET", f"{_V1}/time", general.time),
    Row("GET", f"{_V1}/exchangeInfo", exchange_info.futures_info, weight=2),
    Row("GET", "/dapi/v1/exchangeInfo", exchange_info.no_coin_margined),
    Row("GET", f"{_V1}/depth", _DATA.depth, weight=2),
    Row("GET", f"{_V1}/trades", _DATA.trades, weight=2),
    Row("GET", f"{_V1}/historicalTrades", _DATA.trades, weight=5),
    Row("GET", f"{_V1}/aggTrades", _DATA.aggregates, weight=2),
    Row("GET", f"{_V1}/klines", _DATA.klines, weight=5),
    Row("GET", f"{_V1}/ticker/24hr", _DATA.day, weight=5),
    Row("GET", f"{_V1}/ticker/price", _DATA.price, weight=2),
    Row("GET", f"{_V2}/ticker/price", _DATA.price, weight=2),
    Row("GET", f"{_V1}/ticker/bookTicker", _DATA.best, weight=2),
    Row("GET", f"{_V1}/premiumIndex", futures_market.premium_index, weight=2),
    Row("GET", f"{_V1}/fundingRate", futures_market.funding_rates, weight=5),
    Row("GET", f"{_V1}/fundingInfo", futures_market.funding_info),
    Row("GET", f"{_V1}/openInterest", futures_market.open_interest, weight=2),
)
ORDERS = (
    Row("POST", f"{_V1}/order", futures_orders.place, _TRADE, orders=1),
    Row("POST", f"{_V1}/order/test", futures_orders.try_order, _TRADE, weight=2),
    Row("PUT", f"{_V1}/order", futures_orders.amend, _TRADE, orders=1, once=True),
    Row("DELETE", f"{_V1}/order", futures_orders.cancel, _TRADE, winds_down=True),
    Row("POST", f"{_V1}/batchOrders", futures_batches.place, _TRADE, weight=5, orders=5),
    Row("PUT", f"{_V1}/batchOrders", futures_batches.amend, _TRADE, weight=5, orders=5, once=True),
    Row("DELETE", f"{_V1}/batchOrders", futures_batches.cancel, _TRADE, weight=10, winds_down=True),
    Row(
        "DELETE",
        f"{_V1}/allOpenOrders",
        futures_orders.cancel_all,
        _TRADE,
        weight=5,
        once=True,
        winds_down=True,
    ),
    Row("POST", f"{_V1}/countdownCancelAll", futures_orders.count_down, _TRADE, once=True),
    Row("POST", f"{_V1}/algoOrder", futures_orders.place_algo, _TRADE, orders=1),
    Row("DELETE", f"{_V1}/algoOrder", futures_orders.cancel_algo, _TRADE, winds_down=True),
    Row(
        "DELETE",
        f"{_V1}/algoOpenOrders",
        futures_orders.cancel_all_algo,
        _TRADE,
        weight=10,
        once=True,
        winds_down=True,
    ),
)
LOOKS = (
    Row("GET", f"{_V1}/order", futures_history.order, _READ),
    Row("GET", f"{_V1}/openOrder", futures_history.open_order, _READ),
    Row("GET", f"{_V1}/openOrders", futures_history.open_now, _READ, weight=2),
    Row("GET", f"{_V1}/allOrders", futures_history.every_order, _READ, weight=5),
    Row("GET", f"{_V1}/algoOrder", futures_history.algo, _READ),
    Row("GET", f"{_V1}/openAlgoOrders", futures_history.open_algos, _READ, weight=2),
    Row("GET", f"{_V1}/allAlgoOrders", futures_history.every_algo, _READ, weight=5),
    Row("GET", f"{_V1}/userTrades", futures_history.user_trades, _READ, weight=5),
    Row("GET", f"{_V1}/income", futures_history.income, _READ, weight=10),
    Row("GET", f"{_V1}/forceOrders", futures_history.force_orders, _READ, weight=10),
)
ACCOUNT = (
    Row("GET", f"{_V2}/account", futures_account.account_v2, _READ, weight=5),
    Row("GET", f"{_V3}/account", futures_account.account, _READ, weight=5),
    Row("GET", f"{_V2}/balance", futures_account.balance, _READ, weight=5),
    Row("GET", f"{_V3}/balance", futures_account.balance, _READ, weight=5),
    Row("GET", f"{_V2}/positionRisk", futures_positions.position_risk_v2, _READ, weight=5),
    Row("GET", f"{_V3}/positionRisk", futures_positions.position_risk, _READ, weight=5),
    Row("GET", f"{_V1}/adlQuantile", futures_positions.adl_quantile, _READ, weight=5),
    Row("GET", f"{_V1}/leverageBracket", futures_positions.leverage_brackets, _READ),
    Row("GET", f"{_V1}/symbolConfig", futures_positions.symbol_config, _READ, weight=5),
    Row("GET", f"{_V1}/accountConfig", futures_account.account_config, _READ, weight=2),
    Row("GET", f"{_V1}/commissionRate", futures_account.commission_rate, _READ, weight=2),
    Row("POST", f"{_V1}/leverage", futures_account.set_leverage, _TRADE),
    Row("POST", f"{_V1}/marginType", futures_account.set_margin_type, _TRADE, weight=5),
    Row("POST", f"{_V1}/positionMargin", futures_account.move_margin, _TRADE),
    Row("GET", f"{_V1}/positionSide/dual", futures_account.position_mode, _READ),
    Row("POST", f"{_V1}/positionSide/dual", futures_account.set_position_mode, _TRADE),
    Row("GET", f"{_V1}/multiAssetsMargin", futures_account.assets_mode, _READ),
    Row("POST", f"{_V1}/multiAssetsMargin", futures_account.set_assets_mode, _TRADE),
)

FUTURES = (*PUBLIC, *ORDERS, *LOOKS, *ACCOUNT)
