"""How an account stands on a shard: balances, positions, and what backs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api import perpetual_answers as answers
from api.engine_calls import ask
from api.errors import Problem
from api.schemas.perpetuals import MarginCallOut, PositionOut
from api.services import Services
from api.trading_balances import (
    collateral_of,
    perpetuals_of,
    told_balance,
    with_margin,
)
from domain.instrument import Instrument
from domain.margin_call import MarginCall
from domain.perpetual_record import Holdings, PerpetualNow
from domain.trading_balance import TradingBalance


async def positions_on(
    services: Services,
    markets: dict[int, Instrument],
    account_id: int,
    found: tuple[int, Holdings],
    perpetuals: list[PerpetualNow],
    realised: dict[int, int] | None,
) -> list[PositionOut]:
    """Return an account's positions and choices on a shard; markets without a row are left out."""
    sequence, holdings = found
    now = {one.symbol_id: one for one in perpetuals}
    positions = []
    for one in holdings.positions:
        market, state = markets.get(one.symbol_id), now.get(one.symbol_id)
        if market is None or state is None:
            continue
        lights = await services.lights.of(account_id, one.symbol_id)
        made = None if realised is None else realised.get(one.symbol_id, 0)
        positions.append(
            answers.position(market, markets, holdings, one, state, made, lights, sequence)
        )
    return positions


async def account_state(services: Services, shard: int, account_id: int) -> dict[str, Any]:
    """Return the state as the channel `account` tells it.

    `seq` is the sequence of the balances; positions and cross margin have their own.
    """
    door = services.door(shard)
    sequence, pairs = await ask(door.balances(account_id))
    markets = perpetuals_of(services).get(shard, {})
    if not markets:
        lines = _lines(services, {one: TradingBalance(*pair) for one, pair in pairs.items()})
        return {"seq": sequence, "balances": lines, "positions": [], "cross": None}
    found = await ask(door.holdings(account_id))
    _, perpetuals = await ask(door.perpetuals())
    positions = await positions_on(services, markets, account_id, found, perpetuals, None)
    collateral = collateral_of(markets)
    balances = with_margin(pairs, collateral, found[1])
    backing = (found[1].scopes[0], balances[collateral.asset_id])
    cross = answers.cross(collateral, shard, found[0], *backing)
    return {
        "seq": sequence,
        "balances": _lines(services, balances),
        "positions": [one.model_dump(exclude={"realised_profit"}) for one in positions],
        "cross": cross.model_dump(),
    }


def _lines(services: Services, balances: Mapping[int, TradingBalance]) -> list[dict[str, str]]:
    """Return balances in words, by asset."""
    lines = []
    for asset_id, found in sorted(balances.items()):
        listing = services.listings.asset_by_id(asset_id)
        if listing is not None:
            head = {
                "asset": listing.asset.code,
                "total": listing.asset.engine_text(found.all_units),
            }
            lines.append(head | told_balance(listing.asset, found))
    return lines


def called(services: Services, call: MarginCall) -> MarginCallOut:
    """Return a margin call in words; a `Problem` while its market is not listed here yet."""
    markets = perpetuals_of(services).get(call.shard, {})
    market = markets.get(call.symbol_id)
    if not markets or (call.symbol_id and market is None):
        raise Problem("market_data_unavailable", "The market is being listed; try again.")
    return answers.margin_call(collateral_of(markets), market, call)
