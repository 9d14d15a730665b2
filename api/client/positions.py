"""Calls for positions in perpetuals: their margin, leverage and history."""

from __future__ import annotations

from api.client.call import Call, get, send
from api.schemas.perpetuals import (
    EventText,
    LeverageIn,
    LeverageOut,
    MarginCallsOut,
    MarginModeIn,
    MarginModeOut,
    MarginMoveIn,
    MarginMoveOut,
    ModeText,
    PositionHistoryOut,
    PositionsOut,
)


def listed(symbol: str = "") -> Call[PositionsOut]:
    """List positions and what backs them."""
    return get(PositionsOut, "/v1/positions", symbol=symbol)


def set_leverage(symbol: str, leverage: int) -> Call[LeverageOut]:
    """Choose a market's leverage."""
    body = LeverageIn(symbol=symbol, leverage=leverage)
    return send("POST", LeverageOut, "/v1/leverage", body)


def set_margin_mode(symbol: str, mode: ModeText) -> Call[MarginModeOut]:
    """Choose cross or isolated margin, while there is nothing in the market."""
    body = MarginModeIn(symbol=symbol, mode=mode)
    return send("POST", MarginModeOut, "/v1/margin-mode", body)


def move_margin(move: MarginMoveIn) -> Call[MarginMoveOut]:
    """Move cash into or out of an isolated position, once per `move_id`."""
    return send("POST", MarginMoveOut, "/v1/margin", move)


def history(
    symbol: str = "", kind: EventText | None = None, limit: int | None = None
) -> Call[PositionHistoryOut]:
    """List fundings, takeovers, deleveragings and settlements, newest first."""
    path = "/v1/positions/history"
    return get(PositionHistoryOut, path, symbol=symbol, kind=kind, limit=limit)


def margin_calls(limit: int | None = None) -> Call[MarginCallsOut]:
    """List the warnings that came before liquidations."""
    return get(MarginCallsOut, "/v1/margin-calls", limit=limit)
