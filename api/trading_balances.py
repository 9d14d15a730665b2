"""What an account has in the engines: asked of the shards, told in text."""

from __future__ import annotations

from collections.abc import Mapping

from api.engine_calls import ask
from api.errors import Problem
from api.services import Services
from domain.instrument import Asset, Instrument
from domain.perpetual_record import Holdings
from domain.trading_balance import TradingBalance

NOTHING = TradingBalance(0, 0)


def perpetuals_of(services: Services) -> dict[int, dict[int, Instrument]]:
    """Return the perpetual markets by shard and symbol id."""
    found: dict[int, dict[int, Instrument]] = {}
    for market in services.listings.markets:
        if market.instrument.terms is not None:
            found.setdefault(market.shard, {})[market.instrument.symbol_id] = market.instrument
    return found


def collateral_of(markets: Mapping[int, Instrument]) -> Asset:
    """Return what backs a shard's perpetuals; they all have the one quote asset."""
    return next(iter(markets.values())).quote


def with_margin(
    found: Mapping[int, tuple[int, int]], collateral: Asset, holdings: Holdings
) -> dict[int, TradingBalance]:
    """Return balances, {asset id: (total, held)}, of which one backs what is held in perpetuals."""
    balances = {asset_id: TradingBalance(*pair) for asset_id, pair in found.items()}
    pair = found.get(collateral.asset_id, (0, 0))
    balances[collateral.asset_id] = TradingBalance.of_collateral(*pair, holdings)
    return balances


async def trading_balances(
    services: Services, shard: int, account_id: int
) -> tuple[int, dict[int, TradingBalance]]:
    """Return (sequence, balances by asset id) of an account on a shard.

    The margin of the collateral is that of a moment later: it is another question.
    """
    door = services.door(shard)
    sequence, found = await ask(door.balances(account_id))
    markets = perpetuals_of(services).get(shard, {})
    if not markets:
        return sequence, {asset_id: TradingBalance(*pair) for asset_id, pair in found.items()}
    _, holdings = await ask(door.holdings(account_id))
    return sequence, with_margin(found, collateral_of(markets), holdings)


async def balance_of(
    services: Services, shard: int, account_id: int, asset: Asset
) -> TradingBalance:
    """Return an account's balance of an asset on a shard; its engine decides when it is asked."""
    _, balances = await trading_balances(services, shard, account_id)
    return balances.get(asset.asset_id, NOTHING)


def unfunded(balance: TradingBalance, asset: Asset, shard: int, detail: str) -> Problem:
    """Return why an amount does not leave a shard: it is not there, or nothing leaves at all."""
    if not balance.is_gated:
        return Problem("insufficient_funds", detail)
    text = (
        f"A position on shard {shard} could not be closed and its loss is not covered yet: no "
        f"{asset.code} leaves the shard until an operator resumes that market. Orders go on."
    )
    return Problem("collateral_gated", text)


def told_balance(asset: Asset, *found: TradingBalance) -> dict[str, str]:
    """Return the parts of an asset's balances, added up, in text and named as in the answers."""
    parts = {
        "available": sum(one.available_units for one in found),
        "withdrawable": sum(one.withdrawable_units for one in found),
        "in_orders": sum(one.held_units for one in found),
        "margin": sum(one.margin_units for one in found),
        "isolated_margin": sum(one.isolated_units for one in found),
        "unrealised_profit": sum(one.unrealised_units for one in found),
    }
    return {name: asset.engine_text(units) for name, units in parts.items()}
