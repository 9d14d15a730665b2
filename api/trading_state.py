"""Whether markets take orders, in the API's words."""

from __future__ import annotations

from collections.abc import Iterable

from api.ports import EngineAway
from api.schemas.markets import MarketStateText
from api.services import Services
from domain.order import SymbolState
from domain.trading_status import StatusReason, TradingStatus

STATE_TEXTS: dict[SymbolState, MarketStateText] = {
    SymbolState.OPEN: "open",
    SymbolState.CANCEL_ONLY: "cancel_only",
    SymbolState.HALTED: "halted",
    SymbolState.DELISTED: "delisted",
}


async def trading_statuses(
    services: Services, shards: Iterable[int]
) -> dict[int, TradingStatus | None]:
    """Return each shard's status; None where its engine is away."""
    found: dict[int, TradingStatus | None] = {}
    for shard in shards:
        try:
            found[shard] = await services.door(shard).trading_status()
        except EngineAway:
            found[shard] = None
    return found


def market_state(
    status: TradingStatus | None, symbol_id: int
) -> tuple[MarketStateText, StatusReason]:
    """Return a market's state and why it is so."""
    if status is None:
        return "engine_away", StatusReason()
    state, reason = status.of(symbol_id)
    return STATE_TEXTS[state], reason
