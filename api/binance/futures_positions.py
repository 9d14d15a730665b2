"""Positions in perpetuals, and what the account has chosen for their markets."""

from __future__ import annotations

import itertools
from typing import Any

from api.binance.call import Call
from api.binance.futures_history import chosen
from api.binance.futures_state import Held, ShardState, shard_states
from api.binance.names import markets, name_of
from domain.instrument import Instrument
from domain.money import PPM, text_from_units

_PPM_DECIMALS = 6


async def position_risk(call: Call) -> list[dict[str, Any]]:
    """Return the open positions with all that tells how safe they are."""
    states = await shard_states(call, chosen(call))
    return [
        _risk(one, call.services.now_ms())
        for state in states
        for one in state.held
        if one.holding.lots
    ]


async def position_risk_v2(call: Call) -> list[dict[str, Any]]:
    """Return every market with its position or without one, and what was chosen for it."""
    states = await shard_states(call, chosen(call))
    return [
        {
            **_risk(one, call.services.now_ms()),
            "leverage": str(one.holding.leverage),
            "maxNotionalValue": largest_notional(one.market),
            "marginType": one.told.mode,
            "isAutoAddMargin": "false",
            "isolated": bool(one.holding.scope),
            "adlQuantile": _quantile(one),
        }
        for state in states
        for one in state.held
    ]


def _risk(held: Held, now_ms: int) -> dict[str, Any]:
    """Return a position; `breakEvenPrice` is the entry price, fees aside."""
    money, told = held.market.quote.engine_text, held.told
    return {
        **_position(held, now_ms),
        "breakEvenPrice": told.entry_price or "0",
        "entryPrice": told.entry_price or "0",
        "markPrice": told.mark_price or "0",
        "unRealizedProfit": told.unrealised_profit,
        "liquidationPrice": told.liquidation_price or "0",
        "marginAsset": held.market.quote.code,
        "maintMargin": told.maintenance_margin,
        "initialMargin": money(held.required_units),
        "positionInitialMargin": money(held.initial_units),
        "openOrderInitialMargin": money(held.required_units - held.initial_units),
        "adl": _quantile(held),
        "bidNotional": "0",
        "askNotional": "0",
    }


def account_position(held: Held, now_ms: int) -> dict[str, Any]:
    """Return a position as an account's newer answer lists it."""
    return {
        **_position(held, now_ms),
        "unrealizedProfit": held.told.unrealised_profit,
        "initialMargin": held.market.quote.engine_text(held.required_units),
        "maintMargin": held.told.maintenance_margin,
    }


def account_position_v2(held: Held, now_ms: int) -> dict[str, Any]:
    """Return a position as an account's older answer lists it."""
    money = held.market.quote.engine_text
    return {
        **account_position(held, now_ms),
        "positionInitialMargin": money(held.initial_units),
        "openOrderInitialMargin": money(held.required_units - held.initial_units),
        "leverage": str(held.holding.leverage),
        "isolated": bool(held.holding.scope),
        "entryPrice": held.told.entry_price or "0",
        "breakEvenPrice": held.told.entry_price or "0",
        "maxNotional": largest_notional(held.market),
        "bidNotional": "0",
        "askNotional": "0",
    }


def _position(held: Held, now_ms: int) -> dict[str, Any]:
    """Return what all answers say of a position; its time is that of these numbers.

    The notional has the sign of the position. An isolated one's margin is its cash and profit.
    """
    money, holding = held.market.quote.engine_text, held.holding
    isolated = bool(holding.scope)
    value = holding.mark_ticks * held.market.quote_units_per_tick_lot * holding.lots
    backing = holding.margin_units + holding.unrealised_units if isolated else 0
    return {
        "symbol": name_of(held.market),
        "positionSide": "BOTH",
        "positionAmt": held.told.quantity,
        "notional": money(value),
        "isolatedMargin": money(backing),
        "isolatedWallet": money(holding.margin_units if isolated else 0),
        "updateTime": now_ms,
    }


def _quantile(held: Held) -> int:
    """Return how near a position is to being deleveraged, 0 to 4; 0 too where nobody says it."""
    return max(0, (held.told.adl_lights or 1) - 1)


async def adl_quantile(call: Call) -> list[dict[str, Any]]:
    """Return how near positions are to being deleveraged, 0 to 4."""
    states = await shard_states(call, chosen(call))
    return [
        {"symbol": name_of(one.market), "adlQuantile": {"LONG": 0, "SHORT": 0, "BOTH": quantile}}
        for state in states
        for one in state.held
        for quantile in (_quantile(one),)
        if one.holding.lots
    ]


async def symbol_config(call: Call) -> list[dict[str, Any]]:
    """Return leverage and margin mode of each market."""
    states: list[ShardState] = await shard_states(call, chosen(call))
    return [
        {
            "symbol": name_of(one.market),
            "marginType": "ISOLATED" if one.holding.scope else "CROSSED",
            "isAutoAddMargin": False,
            "leverage": one.holding.leverage,
            "maxNotionalValue": largest_notional(one.market),
        }
        for state in states
        for one in state.held
    ]


async def leverage_brackets(call: Call) -> list[dict[str, Any]]:
    """Return the margin brackets of each market, or of one."""
    market = chosen(call)
    found = markets(call.services, perpetual=True) if market is None else [market]
    return [
        {"symbol": name_of(one.instrument), "brackets": brackets(one.instrument)} for one in found
    ]


def brackets(instrument: Instrument) -> list[dict[str, Any]]:
    """Return a market's brackets; the leverage is rounded down, and never above the market's."""
    terms, money = instrument.terms, instrument.quote.engine_text
    assert terms is not None, "the market is a perpetual"
    table = terms.table()
    floors = [row.floor_units for row in table.rows]
    caps = [*floors[1:], table.cap_units]
    return [
        {
            "bracket": number,
            "initialLeverage": min(PPM // row.imr_ppm, terms.max_leverage),
            "notionalCap": money(cap),
            "notionalFloor": money(row.floor_units),
            "maintMarginRatio": text_from_units(row.mmr_ppm, _PPM_DECIMALS),
            "cum": money(row.amount_units),
        }
        for number, row, cap in zip(itertools.count(1), table.rows, caps, strict=False)
    ]


def largest_notional(instrument: Instrument) -> str:
    """Return what a position may be worth at most: here no choice of leverage lowers it."""
    assert instrument.terms is not None, "the market is a perpetual"
    return instrument.quote.engine_text(instrument.terms.cap_units)
