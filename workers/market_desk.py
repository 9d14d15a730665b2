"""What staff do with markets, for the command line: propose, sign, give up, look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from domain.approval import Decision
from domain.instrument import PERPETUAL_SUFFIX, Asset, Instrument
from domain.market import Listings, Market
from domain.market_change import (
    MARKET_CHANGE_QUEUE,
    MARKET_CHANGE_WORKFLOW,
    MONEY_VALID_SECONDS,
    ChangeKind,
    ChangeRequest,
    ChangeState,
    MarketChange,
    code_refusal,
    command_of,
    instrument_of,
    market_change_workflow_id,
    rules_of,
    terms_of,
)
from domain.two_signatures import reason_refusal
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.market_change_store import ChangeRefusedError, MarketChangeStore
from infra.postgres.markets import MarketStore
from infra.settings import Settings
from infra.temporal.client import connect
from infra.temporal.entities import EntityWorkflow, ensure_entity
from matching.codec import encode_command
from matching.wire import WireError
from workers.asset_terms import new_asset
from workers.officer_desk import DeskError, login, why
from workers.perpetual_terms import terms_from
from workers.signing_desk import hand_over, signed_decision

VALID_SECONDS = MONEY_VALID_SECONDS
_FOLLOW_SECONDS = 15.0
DETAILS = (
    "The business row `market_change` says where it stands. A step that cannot go on shows as "
    "Stage `failed:...` and waits for the update `retry`; what the engine has not carried out "
    "can be given up with `rialto market abandon`."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who asks for a change and why; `expires_in` seconds."""

    reason: str
    expires_in: int = VALID_SECONDS


def store_of(engine: AsyncEngine) -> MarketChangeStore:
    """Return the rows of changes."""
    return MarketChangeStore(engine, AuditStore())


async def propose_listing(
    engine: AsyncEngine,
    settings: Settings,
    symbol: str,
    shard: int,
    terms: Mapping[str, Any],
    asset: Mapping[str, Any],
    wanted: Wanted,
) -> MarketChange:
    """Propose a new market, with its base asset when `asset` has that one's terms.

    `DeskError` says which listing rule is broken; nothing is written then.
    """
    listings = await MarketStore(engine).listings()
    is_perpetual = symbol.endswith(PERPETUAL_SUFFIX)
    base, _, quote = symbol.removesuffix(PERPETUAL_SUFFIX).partition("/")
    if is_perpetual != ("perpetual" in terms):
        raise DeskError(f"a perpetual is called BASE/QUOTE{PERPETUAL_SUFFIX} and has --perpetual")
    if not 0 <= shard < settings.shard_count:
        raise DeskError(f"there are {settings.shard_count} shards, counted from 0")
    for code in (base, quote):
        _refuse(code_refusal(code))
    known = listings.market(symbol)
    if known is not None and known.delisted_sequence is not None:
        raise DeskError(
            f"{symbol} was delisted at sequence {known.delisted_sequence}; a market's name stands "
            "for one history and is not used again: list the asset under another code"
        )
    if known is not None:
        raise DeskError(f"{symbol} is listed")
    new = new_asset(listings, base, asset) if asset else {}

    def make(symbol_id: int, asset_id: int) -> MarketChange:
        row = {**new, "asset_id": asset_id} if new else {}
        pair = [_asset_of(listings, code, row) for code in (base, quote)]
        asked = {**terms, "base": base, "quote": quote}
        if is_perpetual:
            asked["perpetual"] = perpetual_record(terms["perpetual"], pair[1])
        market = checked(symbol_id, pair, asked)
        change = _change(ChangeKind.LIST, symbol, (symbol_id, shard), wanted, terms_of(market))
        return _with(change, market, asset=row)

    return await _propose(engine, settings, make)


async def propose_rules(
    engine: AsyncEngine,
    settings: Settings,
    symbol: str,
    changes: Mapping[str, Any],
    wanted: Wanted,
) -> MarketChange:
    """Propose other rules (`domain.market_change.RULES`) of a listed market."""
    found = await tradable(engine, symbol)
    now = found.instrument
    was = rules_of(now)
    market = checked(now.symbol_id, [now.base, now.quote], {**terms_of(now), **changes})
    rules = rules_of(market)
    if rules == was:
        raise DeskError(f"nothing would change: {symbol} has these rules")
    return await propose_for(engine, settings, found, (ChangeKind.SET, rules, was), wanted)


async def propose_delisting(
    engine: AsyncEngine, settings: Settings, symbol: str, wanted: Wanted
) -> MarketChange:
    """Propose to close a market for ever."""
    found = await tradable(engine, symbol)
    return await propose_for(engine, settings, found, (ChangeKind.DELIST, {}, {}), wanted)


async def propose_for(
    engine: AsyncEngine,
    settings: Settings,
    found: Market,
    asked: tuple[ChangeKind, Mapping[str, Any], Mapping[str, Any]],
    wanted: Wanted,
) -> MarketChange:
    """Propose (kind, terms, what they replace) of a market that there is."""
    kind, terms, was = asked
    now = found.instrument

    def make(_symbol_id: int, _asset_id: int) -> MarketChange:
        change = _change(kind, now.symbol, (now.symbol_id, found.shard), wanted, terms)
        pair = [now.base, now.quote]
        market = checked(now.symbol_id, pair, {**terms_of(now), **terms})
        return _with(change, market, was=was)

    return await _propose(engine, settings, make)


async def tradable(engine: AsyncEngine, symbol: str) -> Market:
    """Return a market that is there and not delisted, or say in words why not."""
    listings = (await MarketStore(engine).listings()).listed()
    found = listings.market(symbol)
    if found is None:
        names = ", ".join(market.instrument.symbol for market in listings.markets)
        raise DeskError(f"there is no market {symbol[:32]}; there are {names}")
    if found.delisted_sequence is not None:
        raise DeskError(f"{symbol} was delisted at sequence {found.delisted_sequence}")
    return found


def _change(
    kind: ChangeKind,
    symbol: str,
    place: tuple[int, int],
    wanted: Wanted,
    terms: Mapping[str, Any],
) -> MarketChange:
    _refuse(reason_refusal("a change of a market", wanted.reason))
    return MarketChange(
        change_id=str(uuid4()),
        kind=kind,
        symbol=symbol,
        symbol_id=place[0],
        shard=place[1],
        reason=wanted.reason.strip(),
        expiry=int(time.time()) + wanted.expires_in,
        proposed_by=login(),
        terms=terms,
    )


def _with(change: MarketChange, market: Instrument, **more: Any) -> MarketChange:
    """Return the change with `more`, once its command is known to fit the engine's fields."""
    made = replace(change, **more)
    try:
        encode_command(command_of(made, market))
    except WireError as error:
        raise DeskError(f"a number does not fit the engine: {error}") from error
    return made


def checked(symbol_id: int, pair: Sequence[Asset], terms: Mapping[str, Any]) -> Instrument:
    """Return the market of these terms, or say in words what is wrong with them."""
    try:
        return instrument_of(symbol_id, pair[0], pair[1], terms)
    except ValueError as error:
        raise DeskError(str(error)) from error


def perpetual_record(
    document: Mapping[str, Any], quote: Asset, now: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the terms of a perpetual from a file's, or say in words what is wrong with them."""
    try:
        return terms_from(document, quote, now)
    except ValueError as error:
        raise DeskError(f"--perpetual: {error}") from error


def _refuse(refusal: str | None) -> None:
    if refusal is not None:
        raise DeskError(refusal)


def _asset_of(listings: Listings, code: str, new: Mapping[str, Any]) -> Asset:
    known = listings.asset(code)
    if known is not None:
        return known.asset
    if new and new["code"] == code:
        return Asset(new["asset_id"], code, new["chain_decimals"], new["engine_decimals"])
    names = ", ".join(listing.asset.code for listing in listings.assets)
    raise DeskError(
        f"there is no asset {code}; there are {names}. --asset-file describes a new one"
    )


# ---- the workflow -----------------------------------------------------------------------------


async def _propose(engine: AsyncEngine, settings: Settings, make: Any) -> MarketChange:
    try:
        change = await store_of(engine).propose(make)
    except ChangeRefusedError as error:
        raise DeskError(str(error)) from error
    await ensure_running(settings, change)
    return change


async def ensure_running(settings: Settings, change: MarketChange) -> None:
    """Start the change's workflow unless it runs: the row is what counts."""
    await ensure_entity(
        await connect(settings),
        EntityWorkflow(
            workflow_id=market_change_workflow_id(change.change_id),
            workflow=MARKET_CHANGE_WORKFLOW,
            argument=ChangeRequest(change.change_id),
            task_queue=MARKET_CHANGE_QUEUE,
            summary=f"{change.kind} {change.symbol}: two signatures, one command",
            details=DETAILS,
        ),
    )


async def load(engine: AsyncEngine, change_id: str) -> tuple[MarketChange, dict[str, str]]:
    """Return a change and its signatures."""
    try:
        return await store_of(engine).load(change_id)
    except (LookupError, ValueError) as error:
        raise DeskError(f"there is no change {change_id[:64]}") from error


async def sign(
    engine: AsyncEngine, settings: Settings, officer: str, change: MarketChange
) -> tuple[int, MarketChange]:
    """Sign; return the signatures so far and the change, after it was applied if it is soon."""
    return await deliver(engine, settings, change, signed_decision(settings, officer, change))


async def deliver(
    engine: AsyncEngine, settings: Settings, change: MarketChange, decision: Decision
) -> tuple[int, MarketChange]:
    """Hand a signature to the change's workflow; return what `sign` does."""
    if not change.is_open:
        raise DeskError(f"the change is {change.state}")
    await ensure_running(settings, change)
    try:
        count = await hand_over(settings, market_change_workflow_id(change.change_id), decision)
    except DeskError as error:
        now, _ = await load(engine, change.change_id)
        raise DeskError(str(error) if now.is_open else f"the change is {now.state}") from error
    return count, await _followed(engine, change, count)


async def _followed(engine: AsyncEngine, change: MarketChange, signatures: int) -> MarketChange:
    """Wait a little for what two signatures set going."""
    deadline = time.monotonic() + _FOLLOW_SECONDS
    while signatures >= 2 and time.monotonic() < deadline:
        change, _ = await load(engine, change.change_id)
        if change.state is not ChangeState.PROPOSED or change.failure:
            break
        await asyncio.sleep(0.1)
    return change


async def abandon(settings: Settings, change: MarketChange, reason: str, by: str = "") -> str:
    """Give a change up; return its state, or say why that is too late.

    `by` gives it up; default: who works on this machine.
    """
    _refuse(reason_refusal("giving up", reason))
    await ensure_running(settings, change)
    handle = (await connect(settings)).get_workflow_handle(
        market_change_workflow_id(change.change_id)
    )
    try:
        return str(await handle.execute_update("abandon", {"by": by or login(), "reason": reason}))
    except (WorkflowUpdateFailedError, RPCError) as error:
        raise DeskError(why(error)) from error


# ---- what there is ----------------------------------------------------------------------------


async def markets(engine: AsyncEngine) -> list[dict[str, Any]]:
    """Return every market with its terms, oldest first."""
    return [_market_json(market) for market in (await MarketStore(engine).listings()).markets]


async def market(engine: AsyncEngine, symbol: str) -> dict[str, Any]:
    """Return one market with the history of its rules."""
    found = (await MarketStore(engine).listings()).market(symbol)
    if found is None:
        raise DeskError(f"there is no market {symbol[:32]}")
    history = tables.market_history
    query = sa.select(history).where(history.c.symbol_id == found.instrument.symbol_id)
    async with engine.connect() as conn:
        rows = (await conn.execute(query.order_by(history.c.sequence))).all()
    events = [
        {"sequence": row.sequence, "event": row.event, "time_us": row.time_us, "rules": row.rules}
        for row in rows
    ]
    return {**_market_json(found), "history": events}


def _market_json(found: Market) -> dict[str, Any]:
    return {
        "symbol": found.instrument.symbol,
        "symbol_id": found.instrument.symbol_id,
        "shard": found.shard,
        "listed_sequence": found.listed_sequence,
        "delisted_sequence": found.delisted_sequence,
        **terms_of(found.instrument),
    }


def as_json(change: MarketChange, signed_by: Sequence[str]) -> dict[str, Any]:
    """Return a change for JSON."""
    return {
        "change_id": change.change_id,
        "kind": change.kind,
        "summary": change.summary(),
        "state": change.state,
        "sequence": change.sequence,
        "failure": change.failure,
        "reason": change.reason,
        "expiry": change.expiry,
        "proposed_by": change.proposed_by,
        "signed_by": sorted(signed_by),
        "statement": change.statement(),
    }
