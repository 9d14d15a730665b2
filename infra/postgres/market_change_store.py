"""Changes of markets as rows: proposed, signed, sent to an engine, and applied at a sequence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.hash_chain import JsonValue
from domain.instrument import Asset, Instrument
from domain.market_change import (
    MAX_SYMBOL_ID,
    ChangeKind,
    ChangeState,
    MarketChange,
    instrument_of,
    market_change_workflow_id,
    terms_of,
)
from domain.two_signatures import SIGNATURES_NEEDED
from infra.postgres import tables
from infra.postgres.market_rows import followed_key, market_row
from infra.postgres.markets import instrument_of_row
from infra.postgres.signed_rows import SignedRows

_ROW = tables.market_change
_I, _A, _LOG = tables.instrument, tables.asset, tables.audit_log.c
_NUMBERS_LOCK = 0x52_49_41_4C_54_4F_00_03
_SENT_LONG_AGO = dt.timedelta(hours=24)  # an engine forgets the key after twice that
_FIELDS = (
    "symbol", "symbol_id", "shard", "reason", "expiry", "proposed_by", "terms", "was", "asset",
    "attempt", "sequence", "failure",
)  # fmt: skip


class ChangeRefusedError(Exception):
    """What is asked for makes no sense as things are; the message says why."""


class MarketChangeStore(SignedRows[MarketChange]):
    """Each method is one transaction, with its record in the audit log."""

    _table = _ROW
    _id = _ROW.c.change_id

    def _of(self, row: Any) -> MarketChange:
        named = {name: getattr(row, name) for name in _FIELDS}
        return MarketChange(
            change_id=str(row.change_id),
            kind=ChangeKind(row.kind),
            state=ChangeState(row.state),
            **named,
        )

    def _subject(self, proposal: MarketChange) -> str:
        return market_change_workflow_id(proposal.change_id)

    # ---- before it is signed ------------------------------------------------------------------

    async def propose(self, make: Callable[[int, int], MarketChange]) -> MarketChange:
        """Write down what `make` returns, given the next free numbers of a market and an asset.

        `ChangeRefusedError` while the market has another open change; cash for the fund of its
        shard changes nothing of the market, so that only another such waits for it.
        """
        async with self._engine.begin() as conn:
            await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_NUMBERS_LOCK)))
            change = make(*await _next_numbers(conn))
            values = {name: getattr(change, name) for name in _FIELDS}
            try:
                await conn.execute(
                    sa.insert(_ROW).values(
                        change_id=UUID(change.change_id),
                        kind=change.kind,
                        state=change.state,
                        **values,
                    )
                )
            except IntegrityError as error:
                what = "top-up" if change.kind is ChangeKind.TOP_UP else "change"
                raise ChangeRefusedError(
                    f"{change.symbol} has an open {what}: `rialto market list --changes`"
                ) from error
            statement = {"statement": change.statement()}
            await self._note(conn, change, f"staff:{change.proposed_by}", "proposed", statement)
        return change

    async def recent(self, limit: int) -> list[tuple[MarketChange, dict[str, str]]]:
        """Return the newest changes, newest first, with their signatures."""
        query = sa.select(_ROW).order_by(_ROW.c.created_at.desc()).limit(limit)
        async with self._engine.connect() as conn:
            return [(self._of(row), dict(row.signatures)) for row in await conn.execute(query)]

    # ---- once it is signed --------------------------------------------------------------------

    async def prepare(
        self, change_id: str, valid: Callable[[MarketChange, Mapping[str, str]], int]
    ) -> tuple[MarketChange, Instrument] | str:
        """Return the change and the market as it is to be, with all rows that come before it.

        Of a listing that is the market's row, and its asset's, both without any effect until the
        engine has listed it. `valid` counts good signatures. A text says why it may not be sent:
        not signed by two, or sent so long ago that the engine may have forgotten it.
        """
        async with self._engine.begin() as conn:
            change, signatures = await self._read(conn, change_id, lock=True)
            market = await _market_of(conn, change)
            if change.state is not ChangeState.PROPOSED:
                return change, market
            if valid(change, signatures) < SIGNATURES_NEEDED:
                return "the stored signatures are not two officers'"
            if change.kind is ChangeKind.LIST:
                if change.asset:
                    row = insert(_A).values(**change.asset)
                    await conn.execute(row.on_conflict_do_nothing())
                row = insert(_I).values(market_row(market, change.shard))
                await conn.execute(row.on_conflict_do_nothing())
            stale = await self._note_sending(conn, change)
        return stale or (change, market)

    async def _note_sending(self, conn: AsyncConnection, change: MarketChange) -> str:
        where = _ROW.c.change_id == UUID(change.change_id)
        query = sa.select(sa.func.now(), _ROW.c.sent_at).where(where)
        now, sent_at = (await conn.execute(query)).one()
        if sent_at is None:
            await self._change(conn, change.change_id, sent_at=now, failure="")
            detail: dict[str, JsonValue] = {"attempt": change.attempt, "key": f"{change.key:032x}"}
            await self._note(conn, change, "workflow", "sent", detail, once=str(change.attempt))
        elif now - sent_at > _SENT_LONG_AGO:
            return (
                "it was sent more than a day ago and never answered: see what the engine has with "
                "`rialto market show`, give it up and propose it again"
            )
        return ""

    async def refused(self, change_id: str, attempt: int, reason: str) -> None:
        """Write down that the engine refused this attempt; the next one has another key."""
        async with self._engine.begin() as conn:
            change, _ = await self._read(conn, change_id, lock=True)
            if change.attempt != attempt or change.state is not ChangeState.PROPOSED:
                return
            values = {"attempt": attempt + 1, "sent_at": None, "failure": reason}
            await self._change(conn, change_id, **values)
            detail: dict[str, JsonValue] = {"attempt": attempt, "reason": reason}
            await self._note(conn, change, "engine", "refused", detail, once=str(attempt))

    async def confirm(self, change_id: str, sequence: int) -> int | None:
        """Close a change whose rows have followed the engine to `sequence`; None: not yet.

        Returns the sequence at which it took effect: of a delisting in several commands the first.
        """
        async with self._engine.begin() as conn:
            change, _ = await self._read(conn, change_id, lock=True)
            if change.state is not ChangeState.PROPOSED:
                return change.sequence
            found = (
                await conn.execute(sa.select(_I).where(_I.c.symbol_id == change.symbol_id))
            ).one()
            if change.kind is ChangeKind.LIST:
                effective = found.listed_sequence
            elif change.kind is ChangeKind.DELIST:
                effective = found.delisted_sequence
            elif change.kind is ChangeKind.SET:
                effective = sequence if (found.rules_sequence or 0) >= sequence else None
            else:
                key = followed_key(change.shard, sequence)
                query = sa.select(_LOG.key).where(_LOG.key == key)
                effective = None if await conn.scalar(query) is None else sequence
            if effective is None:
                return None
            values = {"state": ChangeState.APPLIED, "sequence": effective, "failure": ""}
            await self._change(conn, change_id, **values)
            await self._note(conn, change, "workflow", "applied", {"sequence": effective})
        return int(effective)

    async def listed_at(self, symbol_id: int) -> int | None:
        """Return the sequence at which a market was listed, as far as the rows have followed."""
        async with self._engine.connect() as conn:
            query = sa.select(_I.c.listed_sequence).where(_I.c.symbol_id == symbol_id)
            return (await conn.execute(query)).scalar_one_or_none()

    async def settled_at(self, shard: int, symbol_id: int) -> int | None:
        """Return at which sequence a perpetual began to end, as far as the rows have followed."""
        query = (
            sa.select(_LOG.detail["sequence"].astext)
            .where(_LOG.subject == f"market-{symbol_id}", _LOG.action == "settlement")
            .where(_LOG.detail["shard"].astext == str(shard))
        )
        async with self._engine.connect() as conn:
            found = await conn.scalar(query)
        return None if found is None else int(found)

    # ---- when it comes to nothing -------------------------------------------------------------

    async def expire(self, change_id: str) -> None:
        """Close a proposal that too few have signed in time."""
        async with self._engine.begin() as conn:
            change, signatures = await self._read(conn, change_id, lock=True)
            if change.is_open and len(signatures) < SIGNATURES_NEEDED:
                await self._change(conn, change_id, state=ChangeState.EXPIRED)
                await self._note(conn, change, "workflow", "expired", {})

    async def abandon(self, change_id: str, by: str, reason: str) -> str | None:
        """Give a change up; return why that is too late, or None."""
        async with self._engine.begin() as conn:
            change, _ = await self._read(conn, change_id, lock=True)
            if not change.is_open:
                return f"the change is {change.state}"
            sent = sa.select(_ROW.c.sent_at).where(_ROW.c.change_id == UUID(change_id))
            sent_at = await conn.scalar(sent)
            now = await conn.scalar(sa.select(sa.func.now()))
            if sent_at is not None and now - sent_at <= _SENT_LONG_AGO:
                return "it was sent to the engine, which may carry it out: it can only be retried"
            await self._change(conn, change_id, state=ChangeState.ABANDONED)
            if change.kind is ChangeKind.LIST:
                unlisted = sa.and_(
                    _I.c.symbol_id == change.symbol_id, _I.c.listed_sequence.is_(None)
                )
                await conn.execute(sa.delete(_I).where(unlisted))
            await self._note(conn, change, f"staff:{by}", "abandoned", {"reason": reason})
        return None


async def _next_numbers(conn: AsyncConnection) -> tuple[int, int]:
    """Return the next numbers of a market and an asset: above all that were ever proposed."""
    used = sa.union_all(sa.select(_I.c.symbol_id), sa.select(_ROW.c.symbol_id)).subquery()
    symbol_id = int(await conn.scalar(sa.select(sa.func.max(used.c.symbol_id))) or 0) + 1
    proposed = sa.select(sa.cast(_ROW.c.asset["asset_id"].astext, sa.Integer).label("asset_id"))
    assets = sa.union_all(
        sa.select(_A.c.asset_id), proposed.where(_ROW.c.asset.has_key("asset_id"))
    ).subquery()
    asset_id = int(await conn.scalar(sa.select(sa.func.max(assets.c.asset_id))) or 0) + 1
    if max(symbol_id, asset_id) > MAX_SYMBOL_ID:
        raise ChangeRefusedError("all numbers of markets or assets are used up")
    return symbol_id, asset_id


async def _market_of(conn: AsyncConnection, change: MarketChange) -> Instrument:
    """Return the market with the terms that the change asks for."""
    rows = (await conn.execute(sa.select(_A))).all()
    assets = {
        row.code: Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals)
        for row in rows
    }
    if change.asset:
        new = change.asset
        assets.setdefault(
            new["code"],
            Asset(new["asset_id"], new["code"], new["chain_decimals"], new["engine_decimals"]),
        )
    if change.kind is ChangeKind.LIST:
        base, quote = (assets[change.terms[side]] for side in ("base", "quote"))
        return instrument_of(change.symbol_id, base, quote, change.terms)
    row = (await conn.execute(sa.select(_I).where(_I.c.symbol_id == change.symbol_id))).one()
    now = instrument_of_row(row, {asset.asset_id: asset for asset in assets.values()})
    return instrument_of(now.symbol_id, now.base, now.quote, {**terms_of(now), **change.terms})
