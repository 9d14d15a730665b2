"""Rialto as exchanges of ccxt: `Rialto` for synchronous programs, `AsyncRialto` for asyncio.

Copy this file into your program. It is ccxt's client of the dialect that Rialto speaks below
`/binance`, with our addresses, the methods that are served, our own ids for orders, and every
refusal in its class:

    exchange = Rialto({"baseUrl": "http://127.0.0.1:8080", "apiKey": KEY, "secret": SECRET})
    exchange.create_order("ETH/USDT:USDT", "limit", "buy", 0.1, 2300, {"postOnly": True})
"""

from __future__ import annotations

from typing import Any

import ccxt
import ccxt.async_support

_BASE_URL = "http://127.0.0.1:8080"
_PATHS = {
    "public": "api/v3",
    "private": "api/v3",
    "sapi": "sapi/v1",
    "fapiPublic": "fapi/v1",
    "fapiPublicV2": "fapi/v2",
    "fapiPublicV3": "fapi/v3",
    "fapiPrivate": "fapi/v1",
    "fapiPrivateV2": "fapi/v2",
    "fapiPrivateV3": "fapi/v3",
    "dapiPublic": "dapi/v1",
}
_SERVED = """
    spot swap publicAPI privateAPI
    fetchMarkets fetchCurrencies fetchTime fetchStatus fetchOrderBook fetchL2OrderBook
    fetchTicker fetchTickers fetchBidsAsks fetchLastPrices fetchTrades fetchOHLCV
    fetchMarkPrice fetchMarkPrices fetchFundingRate fetchFundingRates fetchFundingRateHistory
    fetchFundingInterval fetchFundingIntervals fetchOpenInterest
    createOrder createOrders createPostOnlyOrder createReduceOnlyOrder createTriggerOrder
    createStopOrder createStopLimitOrder createStopLossOrder
    createTakeProfitOrder createTrailingPercentOrder createLimitOrder createMarketOrder
    createLimitBuyOrder createLimitSellOrder createMarketBuyOrder createMarketSellOrder
    createMarketOrderWithCost createMarketBuyOrderWithCost editOrder
    cancelOrder cancelOrders cancelAllOrders fetchOrder fetchOrders fetchOpenOrder fetchOpenOrders
    fetchClosedOrders fetchCanceledOrders fetchCanceledAndClosedOrders
    fetchOrderTrades fetchMyTrades fetchBalance fetchTradingFee fetchLedger fetchFundingHistory
    fetchPosition fetchPositions fetchPositionsRisk fetchPositionMode fetchMyLiquidations
    fetchPositionsADLRank fetchLeverage fetchLeverages fetchLeverageTiers fetchMarketLeverageTiers
    fetchMarginMode fetchMarginModes setLeverage setMarginMode addMargin reduceMargin
    fetchDepositAddress fetchDeposits fetchWithdrawals withdraw transfer
"""
_OWN_ID = "ccxt-"  # begins the ids of orders that come without one; ccxt adds 22 characters


def _described(binance: dict[str, Any]) -> dict[str, Any]:
    """Return what ccxt should know of Rialto, made of what it knows of the dialect."""
    served = _SERVED.split()
    has = {name: name in served and value for name, value in binance["has"].items()}
    brokers = dict.fromkeys(binance["options"]["broker"], _OWN_ID)
    options = {
        **binance["options"],
        "broker": brokers,
        "fetchMarkets": {"types": ["spot", "linear"]},
        "fetchMargins": False,
        "leverageBrackets": None,
        "warnOnFetchOpenOrdersWithoutSymbol": False,
    }
    changed = {"id": "rialto", "name": "Rialto", "certified": False, "countries": []}
    return {**binance, **changed, "has": has, "options": options}


def _addresses(base_url: str) -> dict[str, Any]:
    root = f"{base_url.rstrip('/')}/binance"
    api: dict[str, Any] = {name: f"{root}/{path}" for name, path in _PATHS.items()}
    return {"api": api, "test": {}, "www": base_url, "doc": [f"{base_url}/docs"]}


def _table(exceptions: dict[str, Any], url: str, kind: str) -> dict[str, Any]:
    """Return the classes of refusals: spot and perpetuals have each a table of their own."""
    table = "linear" if "/binance/fapi/" in url else "spot"
    found: dict[str, Any] = exceptions.get(table, {}).get(kind, {})
    return found


class Rialto(ccxt.binance):  # type: ignore[misc] # ccxt carries no types
    """The synchronous client; `baseUrl` in its settings says where the exchange is."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        settings = dict(config or {})
        base_url = settings.pop("baseUrl", _BASE_URL)
        super().__init__(settings)
        self.urls = _addresses(base_url)

    def describe(self) -> dict[str, Any]:
        """Return the exchange's description, as ccxt asks for it."""
        return _described(super().describe())

    def get_exceptions_by_url(self, url: str, exactOrBroad: str) -> dict[str, Any]:  # noqa: N803
        """Return the classes of refusals at an address; the name is ccxt's."""
        return _table(self.exceptions, url, exactOrBroad)


class AsyncRialto(ccxt.async_support.binance):  # type: ignore[misc] # as above
    """The asynchronous client, otherwise the same."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        settings = dict(config or {})
        base_url = settings.pop("baseUrl", _BASE_URL)
        super().__init__(settings)
        self.urls = _addresses(base_url)

    def describe(self) -> dict[str, Any]:
        """Return the exchange's description, as ccxt asks for it."""
        return _described(super().describe())

    def get_exceptions_by_url(self, url: str, exactOrBroad: str) -> dict[str, Any]:  # noqa: N803
        """Return the classes of refusals at an address; the name is ccxt's."""
        return _table(self.exceptions, url, exactOrBroad)
