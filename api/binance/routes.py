"""The table of the dialect's routes: one row a route, in the order of its documentation.

Everything is below `/binance`. What has no row is answered with -1020.
"""

from __future__ import annotations

from starlette.routing import Mount

from api.binance import exchange_info, general, order_lists, spot_account, spot_orders, wallet
from api.binance.call import Row, nothing_here
from api.binance.futures_routes import FUTURES
from api.binance.listen_keys import ListenKeyRoutes
from api.binance.market_data import MarketDataRoutes
from api.binance.stream_routes import stream_routes
from domain.customer import Scope

PREFIX = "/binance"
_SPOT = MarketDataRoutes(perpetual=False)
_V3 = "/api/v3"

SPOT = (
    Row("GET", f"{_V3}/ping", general.ping),
    Row("GET", f"{_V3}/time", general.time),
    Row("GET", f"{_V3}/exchangeInfo", exchange_info.spot_info, weight=2),
    Row("GET", f"{_V3}/depth", _SPOT.depth, weight=2),
    Row("GET", f"{_V3}/trades", _SPOT.trades, weight=2),
    Row("GET", f"{_V3}/historicalTrades", _SPOT.trades, weight=5),
    Row("GET", f"{_V3}/aggTrades", _SPOT.aggregates, weight=2),
    Row("GET", f"{_V3}/klines", _SPOT.klines, weight=5),
    Row("GET", f"{_V3}/uiKlines", _SPOT.klines, weight=5),
    Row("GET", f"{_V3}/avgPrice", _SPOT.average, weight=2),
    Row("GET", f"{_V3}/ticker/24hr", _SPOT.day, weight=5),
    Row("GET", f"{_V3}/ticker/price", _SPOT.price, weight=2),
    Row("GET", f"{_V3}/ticker/bookTicker", _SPOT.best, weight=2),
    Row("POST", f"{_V3}/order", spot_orders.place, Scope.TRADE, orders=1),
    Row("POST", f"{_V3}/order/test", spot_orders.try_order, Scope.TRADE, weight=2),
    Row("DELETE", f"{_V3}/order", spot_orders.cancel, Scope.TRADE, winds_down=True),
    Row(
        "DELETE",
        f"{_V3}/openOrders",
        spot_orders.cancel_all,
        Scope.TRADE,
        weight=5,
        once=True,
        winds_down=True,
    ),
    Row("POST", f"{_V3}/order/cancelReplace", spot_orders.cancel_replace, Scope.TRADE, orders=1),
    Row("GET", f"{_V3}/order", spot_account.order, Scope.READ),
    Row("GET", f"{_V3}/openOrders", spot_account.open_now, Scope.READ, weight=2),
    Row("GET", f"{_V3}/allOrders", spot_account.every_order, Scope.READ, weight=5),
    Row("GET", f"{_V3}/myTrades", spot_account.my_trades, Scope.READ, weight=5),
    Row("GET", f"{_V3}/account", spot_account.account, Scope.READ, weight=2),
)
LISTS = (
    Row("POST", f"{_V3}/orderList/oco", order_lists.place_oco, Scope.TRADE, orders=2),
    Row("POST", f"{_V3}/orderList/oto", order_lists.place_oto, Scope.TRADE, orders=2),
    Row("POST", f"{_V3}/orderList/otoco", order_lists.place_otoco, Scope.TRADE, orders=3),
    Row("POST", f"{_V3}/order/oco", order_lists.place_old_oco, Scope.TRADE, orders=2),
    Row("GET", f"{_V3}/orderList", order_lists.order_list, Scope.READ, weight=4),
    Row("DELETE", f"{_V3}/orderList", order_lists.cancel, Scope.TRADE, weight=4, winds_down=True),
    Row("GET", f"{_V3}/openOrderList", order_lists.open_lists, Scope.READ, weight=10),
    Row("GET", f"{_V3}/allOrderList", order_lists.every_list, Scope.READ, weight=20),
)
_S1 = "/sapi/v1"
WALLET = (
    Row("GET", f"{_S1}/system/status", general.system_status),
    Row("GET", f"{_S1}/capital/config/getall", wallet.coins, Scope.READ, weight=2),
    Row("GET", f"{_S1}/margin/allPairs", general.nothing),
    Row("GET", f"{_S1}/margin/isolated/allPairs", general.nothing),
    Row("GET", f"{_S1}/asset/tradeFee", wallet.trade_fees, Scope.READ, weight=2),
    Row("GET", f"{_S1}/capital/deposit/address", wallet.deposit_address, Scope.READ, weight=2),
    Row("GET", f"{_S1}/capital/deposit/hisrec", wallet.deposits, Scope.READ, weight=2),
    Row("GET", f"{_S1}/capital/withdraw/history", wallet.withdrawals, Scope.READ, weight=2),
    Row("POST", f"{_S1}/capital/withdraw/apply", wallet.withdraw, Scope.WITHDRAW, weight=10),
    Row("POST", f"{_S1}/asset/transfer", wallet.transfer, Scope.TRADE, weight=5, winds_down=True),
)

_LISTEN = "/api/v3/userDataStream"
_LISTEN_FUTURES = "/fapi/v1/listenKey"
_OF_SPOT, _OF_FUTURES = ListenKeyRoutes("spot"), ListenKeyRoutes("futures")
LISTEN_KEYS = (
    Row("POST", _LISTEN, _OF_SPOT.create, Scope.READ, weight=2, keyed=True),
    Row("PUT", _LISTEN, _OF_SPOT.extend, Scope.READ, weight=2, keyed=True),
    Row("DELETE", _LISTEN, _OF_SPOT.end, Scope.READ, weight=2, keyed=True),
    Row("POST", _LISTEN_FUTURES, _OF_FUTURES.create, Scope.READ, weight=2, keyed=True),
    Row("PUT", _LISTEN_FUTURES, _OF_FUTURES.extend, Scope.READ, weight=2, keyed=True),
    Row("DELETE", _LISTEN_FUTURES, _OF_FUTURES.end, Scope.READ, weight=2, keyed=True),
)

ROWS = (*SPOT, *LISTS, *WALLET, *FUTURES, *LISTEN_KEYS)


def binance_mount() -> Mount:
    """Return the dialect's routes, ready to be added to the application."""
    routes = [*(row.route() for row in ROWS), *stream_routes(ROWS), nothing_here(ROWS)]
    return Mount(PREFIX, routes=routes)
