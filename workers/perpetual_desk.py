"""What staff decide about perpetual markets by two signatures: terms, an end, cash for the fund."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.market import Market
from domain.market_change import ChangeKind, MarketChange, terms_of
from domain.perpetual_state import PerpetualState, StateTrigger, next_state
from domain.risk_bounds import MAX_CASH_UNITS
from infra.settings import Settings
from workers.engine_admin import connect
from workers.market_desk import (
    VALID_SECONDS,
    Wanted,
    checked,
    perpetual_record,
    propose_for,
    tradable,
)
from workers.officer_desk import DeskError


async def propose_risk(
    engine: AsyncEngine,
    settings: Settings,
    symbol: str,
    document: Mapping[str, Any],
    wanted: Wanted,
) -> MarketChange:
    """Propose other terms of a perpetual, from a file; what it leaves out stays."""
    found = await _perpetual_market(engine, symbol)
    now = found.instrument
    was = terms_of(now)
    record = perpetual_record(document, now.quote, was["perpetual"])
    market = checked(now.symbol_id, [now.base, now.quote], {**was, "perpetual": record})
    if market.terms == now.terms:
        raise DeskError(f"nothing would change: {symbol} has these terms")
    terms = {"perpetual": terms_of(market)["perpetual"]}
    return await propose_for(
        engine, settings, found, (ChangeKind.RISK, terms, {"perpetual": was["perpetual"]}), wanted
    )


async def propose_settlement(
    engine: AsyncEngine, settings: Settings, symbol: str, wanted: Wanted
) -> MarketChange:
    """Propose to end a halted perpetual: everybody is closed at its final index.

    `DeskError` while it is not halted, so that nobody signs what the engine would refuse.
    """
    found = await _perpetual_market(engine, symbol)
    phase = await _phase(settings, found)
    name, words = found.instrument.symbol, phase.name.lower().replace("_", "-")
    if phase is PerpetualState.SETTLEMENT:
        raise DeskError(f"{name} is in its final settlement already")
    if next_state(phase, StateTrigger.SETTLE) is not PerpetualState.SETTLEMENT:
        raise DeskError(
            f"{name} is {words}, and only a halted market can be ended: "
            f"`rialto market halt {name} --reason ...` first"
        )
    return await propose_for(engine, settings, found, (ChangeKind.SETTLE, {}, {}), wanted)


async def propose_top_up(
    engine: AsyncEngine, settings: Settings, symbol: str, amount: str, wanted: Wanted
) -> MarketChange:
    """Propose cash for the insurance fund of a perpetual's shard, in its quote asset."""
    found = await _perpetual_market(engine, symbol)
    try:
        units = found.instrument.quote.engine_units(amount)
    except ValueError as error:
        raise DeskError(f"the amount: {error}") from error
    if not 0 < units <= MAX_CASH_UNITS:
        raise DeskError("the amount must be positive, and not that large")
    if wanted.expires_in > VALID_SECONDS:
        raise DeskError("money is signed for within a day")
    return await propose_for(
        engine, settings, found, (ChangeKind.TOP_UP, {"amount": amount}, {}), wanted
    )


async def _phase(settings: Settings, market: Market) -> PerpetualState:
    """Return the state that a perpetual is in, as its engine says."""
    reader = connect(settings, "reader", market.shard)
    try:
        _, found = await reader.perpetuals()
    finally:
        await reader.close()
    symbol_id = market.instrument.symbol_id
    return next(one.phase for one in found if one.symbol_id == symbol_id)


async def _perpetual_market(engine: AsyncEngine, symbol: str) -> Market:
    found = await tradable(engine, symbol)
    if found.instrument.terms is None:
        raise DeskError(f"{found.instrument.symbol} is a spot market")
    return found
