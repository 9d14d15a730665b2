"""A risk picture as JSON, so that who follows events need not begin at the first one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from domain.perpetual_state import PerpetualState
from domain.perpetual_terms import BracketRow, PerpetualTerms
from domain.position import Position
from domain.risk_picture import FrozenScope, MarketNow, RiskPicture, ScopeKey

VERSION = 1
_NUMBERS = ("symbol_id", "units_per_tick_lot", "band_ppm", "mark_ticks", "index_ticks",
            "mark_is_fresh", "mark_time_us", "funding_time_us")  # fmt: skip


def record_of(picture: RiskPicture) -> dict[str, Any]:
    """Return all that a picture knows; keys and numbers as lists, in a fixed order."""
    return {
        "version": VERSION,
        "shard": picture.shard,
        "sequence": picture.sequence,
        "time_us": picture.time_us,
        "collateral": picture.collateral,
        "markets": [_market_record(market) for _, market in sorted(picture.markets.items())],
        "cash": [[*key, units] for key, units in sorted(picture.cash.items())],
        "frozen": [
            [*key, f"{found.key:032x}", found.sequence, found.time_us]
            for key, found in sorted(picture.frozen.items())
        ],
        "steps": [[*key, found] for key, found in sorted(picture.steps.items())],
        "versions": [[*key, version] for key, version in sorted(picture.versions.items())],
        "spot": [[symbol_id, *pair] for symbol_id, pair in sorted(picture.spot.items())],
        "listed": [[symbol_id, *pair] for symbol_id, pair in sorted(picture.listed.items())],
        "assets": [[*key, units] for key, units in sorted(picture.assets.items())],
    }


def _market_record(market: MarketNow) -> dict[str, Any]:
    return {
        **{name: getattr(market, name) for name in _NUMBERS},
        "terms": asdict(market.terms),
        "state": int(market.state),
        "said": list(market.said),
        "positions": [
            [account_id, position.lots, position.cost_units]
            for account_id, position in sorted(market.positions.items())
        ],
        "isolated": sorted(market.isolated),
    }


def picture_of(record: Mapping[str, Any]) -> RiskPicture:
    """Return the picture of a record; `ValueError` for one of another version."""
    if record.get("version") != VERSION:
        raise ValueError(f"a risk picture of version {record.get('version')}")
    picture = RiskPicture(record["shard"])
    picture.sequence, picture.time_us = record["sequence"], record["time_us"]
    picture.collateral = record["collateral"]
    for market in record["markets"]:
        picture.markets[market["symbol_id"]] = _market_of(market)
    picture.cash = {ScopeKey(*key): units for *key, units in record["cash"]}
    for account_id, symbol_id, key, sequence, time_us in record["frozen"]:
        scope = ScopeKey(account_id, symbol_id)
        picture.frozen[scope] = FrozenScope(scope, int(key, 16), sequence, time_us)
    picture.steps = {ScopeKey(*key): list(found) for *key, found in record["steps"]}
    picture.versions = {ScopeKey(*key): version for *key, version in record["versions"]}
    picture.spot = {symbol_id: (base, quote) for symbol_id, base, quote in record["spot"]}
    picture.listed = {symbol_id: (units, band) for symbol_id, units, band in record["listed"]}
    picture.assets = {(account, asset): units for account, asset, units in record["assets"]}
    picture.mark_all()
    return picture


def _market_of(record: Mapping[str, Any]) -> MarketNow:
    fields = dict(record["terms"])
    rows = tuple(BracketRow(**row) for row in fields.pop("brackets"))
    terms = PerpetualTerms(rows, **fields)
    return MarketNow(
        **{name: record[name] for name in _NUMBERS},
        terms=terms,
        brackets=terms.table(),
        state=PerpetualState(record["state"]),
        said=tuple(record["said"]),
        positions={
            account_id: Position(lots, cost) for account_id, lots, cost in record["positions"]
        },
        isolated=set(record["isolated"]),
    )
