"""Rows of markets and fee tiers that follow from the engine's own events, at their sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.checker_markets import (
    TERMS,
    EngineMarkets,
    MarketRows,
    markets_after,
    rules_record,
    with_terms,
)
from domain.events import (
    AccountTierSet,
    FundingSettled,
    FundToppedUp,
    ParametersSet,
    PerpetualStateSet,
    RiskParametersSet,
    SymbolDelisted,
    SymbolListed,
)
from domain.hash_chain import JsonValue
from domain.instrument import Asset, Instrument, grid_text
from domain.perpetual_terms import terms_record
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.markets import instrument_of_row

RulesEvent = SymbolListed | ParametersSet | SymbolDelisted
PerpetualEvent = RiskParametersSet | PerpetualStateSet | FundToppedUp
MarketEvent = RulesEvent | AccountTierSet | FundingSettled | PerpetualEvent
MARKET_EVENTS = (
    SymbolListed,
    ParametersSet,
    SymbolDelisted,
    AccountTierSet,
    RiskParametersSet,
    PerpetualStateSet,
    FundToppedUp,
    FundingSettled,
)
_I = tables.instrument


def market_row(market: Instrument, shard: int = 0) -> dict[str, object]:
    """Return the row of a market that is to be listed."""
    return {
        "shard": shard,
        "symbol_id": market.symbol_id,
        "symbol": market.symbol,
        "base_asset_id": market.base.asset_id,
        "quote_asset_id": market.quote.asset_id,
        "tick_size": market.tick_size,
        "lot_size": market.lot_size,
        "listing_price": market.price_text(market.listing_price_ticks),
        "max_order": market.quantity_text(market.max_order_lots),
        "maker_fee_ppm": market.fees[0].maker_ppm,
        "taker_fee_ppm": market.fees[0].taker_ppm,
        "tier_fees": [[rates.maker_ppm, rates.taker_ppm] for rates in market.fees[1:]],
        "max_taker_fee_ppm": market.max_taker_fee_ppm,
        "band_ppm": market.band_ppm,
        "max_open_orders": market.max_open_orders,
        "max_position": market.quantity_text(market.max_position_lots),
        "perpetual": None if market.terms is None else terms_record(market.terms),
    }


async def follow(conn: AsyncConnection, shard: int, event: MarketEvent) -> None:
    """Write what the event says into the rows, inside the caller's transaction."""
    if isinstance(event, AccountTierSet):
        await conn.execute(
            insert(tables.account_tier).values(
                shard=shard,
                account_id=event.account_id,
                sequence=event.sequence,
                tier=event.tier,
                time_us=event.time_us,
            )
        )
        return
    if isinstance(event, FundingSettled):
        await _keep_funding(conn, shard, event)
        return
    if isinstance(event, PerpetualEvent):
        await _follow_perpetual(conn, shard, event)
        return
    name, rules = "delisted", {}
    if isinstance(event, SymbolDelisted):
        first = sa.func.coalesce(_I.c.delisted_sequence, event.sequence)
        await _set(conn, event, delisted_sequence=first)
    else:
        name = "listed" if isinstance(event, SymbolListed) else "parameters"
        rules = rules_record(event)
        await _set_rules(conn, event, first=name == "listed")
    await conn.execute(
        insert(tables.market_history).values(
            symbol_id=event.symbol_id,
            sequence=event.sequence,
            shard=shard,
            event=name,
            rules=rules,
            time_us=event.time_us,
        )
    )
    detail: dict[str, JsonValue] = {"shard": shard, "sequence": event.sequence, **rules}
    actor = "engine"
    if isinstance(event, SymbolDelisted):
        actor = event.actor or actor
        detail |= {"closed_orders": event.closed_count, "reason": event.reason}
    key = followed_key(shard, event.sequence)
    await AuditStore().append(conn, f"market-{event.symbol_id}", actor, name, key, detail)


async def _keep_funding(conn: AsyncConnection, shard: int, event: FundingSettled) -> None:
    """Keep what everybody may know of a funding."""
    await conn.execute(
        insert(tables.funding_rate).values(
            symbol_id=event.symbol_id,
            funding_time_us=event.funding_time_us,
            shard=shard,
            sequence=event.sequence,
            rate_ppm=event.rate_ppm,
            premium_ppm=event.premium_ppm,
            mark_ticks=event.mark_ticks,
            entries=event.entries,
        )
    )


def followed_key(shard: int, sequence: int) -> str:
    """Return the audit log's key of what a command did to a market: there once rows show it."""
    return f"shard-{shard}:market-{sequence}"


async def _set_terms(
    conn: AsyncConnection, shard: int, event: RiskParametersSet, record: dict[str, JsonValue]
) -> None:
    """Show a perpetual's terms, and keep them in its history; those of a listing with its rules."""
    statement = sa.update(_I).where(_I.c.symbol_id == event.symbol_id)
    await conn.execute(statement.values(perpetual=record))
    kept = insert(tables.market_history).values(
        symbol_id=event.symbol_id,
        sequence=event.sequence,
        shard=shard,
        event="parameters",
        rules={TERMS: record},
        time_us=event.time_us,
    )
    rules = tables.market_history.c.rules.op("||")(kept.excluded.rules)
    place = [tables.market_history.c.symbol_id, tables.market_history.c.sequence]
    await conn.execute(kept.on_conflict_do_update(index_elements=place, set_={"rules": rules}))


async def _follow_perpetual(conn: AsyncConnection, shard: int, event: PerpetualEvent) -> None:
    """Show a perpetual's terms; note what was done by command, by whom and why.

    Terms of a listing are in the history with its rules. What an engine does by itself (a breaker)
    is no decision of anybody's.
    """
    detail: dict[str, JsonValue] = {"shard": shard, "sequence": event.sequence}
    actor = "engine"
    if isinstance(event, RiskParametersSet):
        record = terms_record(event.terms)
        await _set_terms(conn, shard, event, record)
        subject, action = f"market-{event.symbol_id}", "risk-parameters"
        detail |= record
    elif isinstance(event, PerpetualStateSet):
        subject, action = f"market-{event.symbol_id}", event.state.name.lower().replace("_", "-")
        actor = event.actor or actor
        detail |= {"was": event.previous_state.name.lower(), "reason": event.reason}
        if not event.actor:
            return
    else:
        subject, action = f"fund-{shard}", "topped-up"
        detail |= {"asset_id": event.asset_id, "amount_units": str(event.amount_units)}
    if event.index == 0:
        key = followed_key(shard, event.sequence)
        await AuditStore().append(conn, subject, actor, action, key, detail)


async def _set_rules(
    conn: AsyncConnection, event: SymbolListed | ParametersSet, *, first: bool
) -> None:
    row = _I.c
    lot_size = await conn.scalar(sa.select(row.lot_size).where(row.symbol_id == event.symbol_id))
    if lot_size is None:
        return  # listed without a row: `rialto verify` names it
    values: dict[str, Any] = {
        "max_order": grid_text(event.max_order_lots, lot_size),
        "maker_fee_ppm": event.fees[0].maker_ppm,
        "taker_fee_ppm": event.fees[0].taker_ppm,
        "tier_fees": [[rates.maker_ppm, rates.taker_ppm] for rates in event.fees[1:]],
        "band_ppm": event.band_ppm,
        "max_open_orders": event.max_open_orders,
        "max_position": grid_text(event.max_position_lots, lot_size),
        "rules_sequence": event.sequence,
    }
    if first:
        values["listed_sequence"] = event.sequence
    await _set(conn, event, **values)


async def _set(conn: AsyncConnection, event: RulesEvent, **values: Any) -> None:
    await conn.execute(sa.update(_I).where(_I.c.symbol_id == event.symbol_id).values(**values))


async def markets_at(conn: AsyncConnection, shard: int, sequence: int) -> MarketRows:
    """Return a shard's markets and tiers as the rows had them at `sequence`, and have them now."""
    row, tier = tables.market_history.c, tables.account_tier
    found = (
        await conn.execute(
            sa.select(row.symbol_id, row.sequence, row.event, row.rules)
            .where(row.shard == shard)
            .order_by(row.sequence)
        )
    ).all()
    last = {symbol_id: rules for symbol_id, (rules, _) in _after(found).items()}
    tiers = await conn.execute(
        sa.select(tier)
        .where(tier.c.shard == shard, tier.c.sequence <= sequence)
        .ext(distinct_on(tier.c.account_id))
        .order_by(tier.c.account_id, tier.c.sequence.desc())
    )
    assets = {
        row.asset_id: Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals)
        for row in await conn.execute(sa.select(tables.asset))
    }
    listed = sa.select(_I).where(_I.c.shard == shard, _I.c.listed_sequence.is_not(None))
    return MarketRows(
        at=EngineMarkets(
            markets=_after([event for event in found if event.sequence <= sequence]),
            tiers={row.account_id: row.tier for row in tiers if row.tier},
        ),
        now={
            row.symbol_id: with_terms(
                rules_record(instrument_of_row(row, assets).rules()), row.perpetual
            )
            for row in await conn.execute(listed)
        },
        last=last,
    )


def _after(events: Sequence[Any]) -> dict[int, tuple[Any, bool]]:
    return markets_after((event.symbol_id, event.event, event.rules) for event in events)
