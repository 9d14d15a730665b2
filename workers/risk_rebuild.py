"""A risk picture from a second engine, for a monitor whose own file cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from domain.position import Position
from domain.risk_picture import FrozenScope, MarketNow, RiskPicture, ScopeKey
from matching.replay import engine_at


def rebuilt(folder: Path) -> RiskPicture:
    """Return the picture at the end of a shard's journal; blocks for as long as a replay takes."""
    return picture_of_engine(engine_at(folder))


def picture_of_engine(engine: Any) -> RiskPicture:
    """Return what a picture knows that has followed all events up to the engine's sequence.

    A frozen scope's freeze is taken to be its last change: earlier steps are in the workflow's own
    record.
    """
    picture = RiskPicture(engine.shard)
    picture.sequence, picture.time_us = engine.sequence, engine.time_us
    rules = {market.rules.symbol_id: market.rules for market in engine.markets()}
    for symbol_id, one in rules.items():
        picture.spot[symbol_id] = one.base_asset_id, one.quote_asset_id
        picture.listed[symbol_id] = one.quote_units_per_tick_lot, one.band_ppm
    for view in engine.perpetuals():
        picture.collateral = rules[view.symbol_id].quote_asset_id
        picture.markets[view.symbol_id] = MarketNow(
            view.symbol_id,
            *picture.listed[view.symbol_id],
            view.terms,
            view.terms.table(),
            view.phase,
            view.mark_ticks,
            view.index_ticks,
            view.mark_is_fresh,
            view.index_time_us,
            view.funding_time_us,
        )
    for (account_id, asset_id), (total, _) in engine.balances().items():
        if asset_id == picture.collateral:
            picture.cash[ScopeKey(account_id)] = total
        elif not picture.collateral:
            picture.assets[account_id, asset_id] = total
    for seat in engine.seats():
        market = picture.markets[seat.symbol_id]
        if seat.is_isolated:
            market.isolated.add(seat.account_id)
            picture.cash[ScopeKey(seat.account_id, seat.symbol_id)] = seat.margin_units
        if seat.lots:
            market.positions[seat.account_id] = Position(seat.lots, seat.cost_units)
    for view in engine.frozen():
        scope = ScopeKey(view.account_id, view.symbol_id)
        picture.frozen[scope] = FrozenScope(scope, view.key, view.version, view.since_us)
        picture.versions[scope] = view.version
    picture.mark_all()
    return picture
