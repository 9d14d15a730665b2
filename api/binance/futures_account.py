"""The account that backs perpetuals, and the choices that it makes for their markets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from api.auth import generated_client_order_id
from api.binance.call import Call
from api.binance.errors import Refusal, malformed
from api.binance.futures_positions import (
    account_position,
    account_position_v2,
    largest_notional,
)
from api.binance.futures_requests import one_way
from api.binance.futures_state import Held, ShardState, shard_states
from api.binance.names import name_of, wanted
from api.binance.spot_account import rate_text
from api.routes import perpetuals as native
from api.schemas.perpetuals import LeverageIn, MarginModeIn, MarginMoveIn
from domain.customer import Scope, standing_refuses
from domain.instrument import Asset

_MODES = {"CROSSED": "cross", "ISOLATED": "isolated"}
_DIRECTIONS = {1: "in", 2: "out"}
_SUCCESS = {"code": 200, "msg": "success"}


async def account(call: Call) -> dict[str, Any]:
    """Return margin, collateral and open positions."""
    states = await shard_states(call)
    held = [one for state in states for one in state.held if one.holding.lots]
    return _account(call, states, held, account_position)


async def account_v2(call: Call) -> dict[str, Any]:
    """Return the same with every market, and with what the account may do."""
    states = await shard_states(call)
    held = [one for state in states for one in state.held]
    config = await account_config(call)
    return {**config, **_account(call, states, held, account_position_v2)}


def _account(
    call: Call,
    states: list[ShardState],
    held: list[Held],
    position: Callable[[Held, int], dict[str, Any]],
) -> dict[str, Any]:
    now_ms = call.services.now_ms()
    assets = _assets(states, now_ms)
    return {
        **{_TOTALS[name]: text for name, text in _sums(states).items()},
        "assets": assets,
        "positions": [position(one, now_ms) for one in held],
    }


def _assets(states: list[ShardState], now_ms: int) -> list[dict[str, Any]]:
    """Return each collateral; it has a time, without which clients leave it out."""
    found = []
    for quote in {state.quote.asset_id: state.quote for state in states}.values():
        sums = _sums([state for state in states if state.quote == quote])
        row = {"asset": quote.code, **sums, "marginAvailable": True, "updateTime": now_ms}
        found.append(row)
    return found


# A sum of a collateral's parts -> what the account calls it over all of them.
_TOTALS = {
    "walletBalance": "totalWalletBalance",
    "unrealizedProfit": "totalUnrealizedProfit",
    "marginBalance": "totalMarginBalance",
    "maintMargin": "totalMaintMargin",
    "initialMargin": "totalInitialMargin",
    "positionInitialMargin": "totalPositionInitialMargin",
    "openOrderInitialMargin": "totalOpenOrderInitialMargin",
    "crossWalletBalance": "totalCrossWalletBalance",
    "crossUnPnl": "totalCrossUnPnl",
    "availableBalance": "availableBalance",
    "maxWithdrawAmount": "maxWithdrawAmount",
}


def _sums(states: list[ShardState]) -> dict[str, str]:
    """Return the parts of a collateral, added up over shards; all of them are exact.

    The perpetuals of all shards have the one collateral, so far.
    """
    quote: Asset | None = states[0].quote if states else None
    holdings = [held.holding for state in states for held in state.held]
    cross = [state.holdings.scopes[0] for state in states]
    cash = sum(state.cash_units for state in states)
    wallet = cash + sum(one.margin_units for one in holdings if one.scope)
    profit = sum(one.unrealised_units for one in holdings)
    initial = sum(state.initial_units for state in states)
    required = sum(state.required_units for state in states)
    units = {
        "walletBalance": wallet,
        "unrealizedProfit": profit,
        "marginBalance": wallet + profit,
        "maintMargin": sum(one.maintenance_units for one in holdings),
        "initialMargin": required,
        "positionInitialMargin": initial,
        "openOrderInitialMargin": max(0, required - initial),
        "crossWalletBalance": cash,
        "crossUnPnl": sum(one.equity_units - one.cash_units for one in cross),
        "availableBalance": sum(state.balance.available_units for state in states),
        "maxWithdrawAmount": sum(state.balance.withdrawable_units for state in states),
    }
    return {name: quote.engine_text(value) if quote else "0" for name, value in units.items()}


async def balance(call: Call) -> list[dict[str, Any]]:
    """Return each collateral alone."""
    rows = _assets(await shard_states(call), call.services.now_ms())
    return [
        {
            "accountAlias": str(call.caller.customer_id),
            "asset": row["asset"],
            "balance": row["walletBalance"],
            "crossWalletBalance": row["crossWalletBalance"],
            "crossUnPnl": row["crossUnPnl"],
            "availableBalance": row["availableBalance"],
            "maxWithdrawAmount": row["maxWithdrawAmount"],
            "marginAvailable": True,
            "updateTime": row["updateTime"],
        }
        for row in rows
    ]


async def account_config(call: Call) -> dict[str, Any]:
    """Return what the account may do; its fee tier is the highest that it has on a shard."""
    caller = call.caller
    tiers = (await call.services.fee_tiers.of_customer(caller.customer_id)).tiers

    def may(scope: Scope) -> bool:
        return scope in caller.scopes and not standing_refuses(caller.standing, scope)

    return {
        "feeTier": max(tiers.values(), default=0),
        "canTrade": may(Scope.TRADE),
        "canDeposit": True,
        "canWithdraw": may(Scope.WITHDRAW),
        "dualSidePosition": False,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
        "updateTime": 0,
    }


async def commission_rate(call: Call) -> dict[str, Any]:
    """Return what the caller pays in a market."""
    market = wanted(call.services, call.parameters, perpetual=True)
    found = await call.services.fee_tiers.of_customer(call.caller.customer_id)
    rates = market.instrument.fees[found.tiers.get(market.shard, 0)]
    return {
        "symbol": name_of(market.instrument),
        "makerCommissionRate": rate_text(rates.maker_ppm),
        "takerCommissionRate": rate_text(rates.taker_ppm),
    }


async def set_leverage(call: Call) -> dict[str, Any]:
    """Choose a market's leverage."""
    market = wanted(call.services, call.parameters, perpetual=True)
    leverage = call.parameters.need_integer("leverage")
    if not 1 <= leverage <= 1_000_000:
        raise Refusal(-4028, "Leverage is not valid.")
    asked = LeverageIn(symbol=market.instrument.symbol, leverage=leverage)
    done = await native.set_leverage(asked, call.caller, call.services)
    return {
        "symbol": name_of(market.instrument),
        "leverage": done.leverage,
        "maxNotionalValue": largest_notional(market.instrument),
    }


async def set_margin_type(call: Call) -> dict[str, Any]:
    """Choose cross or isolated margin; the mode that it has already is refused, as clients know."""
    market = wanted(call.services, call.parameters, perpetual=True)
    mode = _MODES.get(call.parameters.need("marginType"))
    if mode is None:
        raise Refusal(-1130, "Data sent for parameter 'marginType' is not valid.")
    for state in await shard_states(call, market):
        if any(one.told.mode == mode for one in state.held):
            raise Refusal(-4046, "No need to change margin type.")
    asked = MarginModeIn.model_validate({"symbol": market.instrument.symbol, "mode": mode})
    await native.set_margin_mode(asked, call.caller, call.services)
    return dict(_SUCCESS)


async def move_margin(call: Call) -> dict[str, Any]:
    """Move cash into (1) or out of (2) an isolated position; the signed request moves it once."""
    market = wanted(call.services, call.parameters, perpetual=True)
    one_way(call.parameters)
    kind = call.parameters.need_integer("type")
    direction = _DIRECTIONS.get(kind)
    if direction is None:
        raise malformed("type")
    asked = MarginMoveIn.model_validate(
        {
            "symbol": market.instrument.symbol,
            "direction": direction,
            "amount": call.parameters.need("amount"),
            "move_id": generated_client_order_id(call.caller.signature),
            "created_at_us": call.parameters.need_integer("timestamp") * 1_000,
        }
    )
    await native.move_margin(asked, call.caller, call.services)
    return {
        "code": 200,
        "msg": "Successfully modify position margin.",
        "amount": asked.amount,
        "type": kind,
    }


async def position_mode(_: Call) -> dict[str, Any]:
    """Return that a customer has one net position a market."""
    return {"dualSidePosition": False}


async def set_position_mode(call: Call) -> dict[str, Any]:
    """Refuse: there is one mode, which is chosen already."""
    if call.parameters.need("dualSidePosition").lower() == "true":
        raise Refusal(-4060, "Invalid position side: positions are one-way here.")
    raise Refusal(-4059, "No need to change position side.")


async def assets_mode(_: Call) -> dict[str, Any]:
    """Return that one asset backs perpetuals."""
    return {"multiAssetsMargin": False}


async def set_assets_mode(call: Call) -> dict[str, Any]:
    """Refuse: there is one mode, which is chosen already."""
    if call.parameters.need("multiAssetsMargin").lower() == "true":
        raise Refusal(-4167, "Unable to adjust to Multi-Assets mode: one asset backs perpetuals.")
    raise Refusal(-4171, "No need to change Joint Margin.")
