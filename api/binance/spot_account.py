"""Looking at spot orders, fills and balances."""

from __future__ import annotations

from typing import Any

from api.binance.call import Call
from api.binance.names import wanted
from api.binance.order_words import seen_spot, spot_fill
from api.binance.orders_found import named_order, open_orders, past_fills, past_orders, with_totals
from api.errors import Problem
from api.order_answers import market_of
from api.routes.accounts import balances
from domain.customer import Scope, standing_refuses
from domain.money import text_from_units

_PPM_DECIMALS = 6


async def order(call: Call) -> dict[str, Any]:
    """Return one order, open or closed."""
    market = wanted(call.services, call.parameters, perpetual=False)
    found = await named_order(call, market, call.parameters)
    if found is None:
        raise Problem("order_not_found")
    return seen_spot(await with_totals(call, found), market.instrument)


async def open_now(call: Call) -> list[dict[str, Any]]:
    """Return the open orders, of one market or of all."""
    market = None
    if call.parameters.text("symbol") is not None:
        market = wanted(call.services, call.parameters, perpetual=False)
    found = await open_orders(call, perpetual=False, market=market)
    return [seen_spot(one, call.services.market(one.symbol).instrument) for one in found]


async def every_order(call: Call) -> list[dict[str, Any]]:
    """Return orders of a market, open or closed, oldest first."""
    market = wanted(call.services, call.parameters, perpetual=False)
    return [seen_spot(one, market.instrument) for one in await past_orders(call, market)]


async def my_trades(call: Call) -> list[dict[str, Any]]:
    """Return settled fills in a market, oldest first."""
    market = wanted(call.services, call.parameters, perpetual=False)
    listings = call.services.listings
    return [
        spot_fill(one, market_of(listings, one.symbol_id).instrument)
        for one in await past_fills(call, market)
    ]


async def account(call: Call) -> dict[str, Any]:
    """Return the balances that trade. The futures wallet shows the same money."""
    caller = call.caller
    found = await balances(caller, call.services)
    shown = [
        {"asset": one.asset, "free": one.available, "locked": one.in_orders}
        for one in found.balances
    ]
    if call.parameters.flag("omitZeroBalances"):
        shown = [one for one in shown if (one["free"], one["locked"]) != ("0", "0")]
    maker_ppm, taker_ppm = await highest_rates(call)
    may_trade = Scope.TRADE in caller.scopes and not standing_refuses(caller.standing, Scope.TRADE)
    may_leave = Scope.WITHDRAW in caller.scopes and not standing_refuses(
        caller.standing, Scope.WITHDRAW
    )
    rates = {"maker": rate_text(maker_ppm), "taker": rate_text(taker_ppm)}
    return {
        "makerCommission": maker_ppm // 100,  # basis points, rounded down
        "takerCommission": taker_ppm // 100,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {**rates, "buyer": "0", "seller": "0"},
        "canTrade": may_trade,
        "canWithdraw": may_leave,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": call.services.now_ms(),
        "accountType": "SPOT",
        "balances": shown,
        "permissions": ["SPOT"],
        "uid": caller.customer_id,
    }


async def highest_rates(call: Call) -> tuple[int, int]:
    """Return the highest maker and taker rates (ppm) that the caller pays on a spot market."""
    found = await call.services.fee_tiers.of_customer(call.caller.customer_id)
    rates = [
        market.instrument.fees[found.tiers.get(market.shard, 0)]
        for market in call.services.listings.markets
        if market.instrument.terms is None
    ]
    makers, takers = [one.maker_ppm for one in rates], [one.taker_ppm for one in rates]
    return max(makers, default=0), max(takers, default=0)


def rate_text(ppm: int) -> str:
    """Return a rate in parts per million as a fraction; a rebate is negative."""
    return text_from_units(ppm, _PPM_DECIMALS)
