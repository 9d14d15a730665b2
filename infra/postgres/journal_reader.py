"""The ledger's part of a consistent reading: journals, entries, event rows and balances."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.checker_records import (
    AccountRecord,
    EntryRecord,
    EventRows,
    FundingRecord,
    JournalRecord,
    Opening,
)
from domain.ledger import settlement_request_hash
from domain.position import Position
from infra.postgres import tables
from infra.postgres.position_store import positions_of

_CHUNK = 200  # journals read at a time
_NOTHING = hashlib.sha256().digest()

_STREAMS = sa.text(
    "WITH RECURSIVE name AS ("
    " (SELECT stream FROM journal ORDER BY stream LIMIT 1)"
    " UNION ALL"
    " SELECT (SELECT stream FROM journal j WHERE j.stream > name.stream ORDER BY stream LIMIT 1)"
    " FROM name WHERE name.stream IS NOT NULL"
    ") SELECT stream FROM name WHERE stream IS NOT NULL"
)
_IDS = sa.text(
    "SELECT journal_id FROM journal WHERE stream = :stream AND position > :position"
    " ORDER BY position"
)
# The balance before an account's first journal that is read: the last entry before it, or what the
# archive took over.
_BALANCES_BEFORE = sa.text(
    "SELECT a.code, coalesce(last.balance_after, archived.balance, 0) AS balance"
    " FROM unnest(CAST(:codes AS text[]), CAST(:ids AS bigint[])) AS wanted(code, journal_id)"
    " JOIN ledger_account a USING (code)"
    " LEFT JOIN LATERAL (SELECT e.balance_after FROM entry e WHERE e.account_id = a.account_id"
    "   AND e.journal_id < wanted.journal_id ORDER BY e.journal_id DESC LIMIT 1) last ON true"
    " LEFT JOIN ledger_floor_balance archived ON archived.account_id = a.account_id"
)
_FLOOR_BALANCES = sa.text(
    "SELECT code, f.balance FROM ledger_floor_balance f JOIN ledger_account USING (account_id)"
)
_ENTRIES = sa.text(
    "SELECT journal_id, code, amount, balance_after FROM entry"
    " JOIN ledger_account USING (account_id) WHERE journal_id = ANY(CAST(:ids AS bigint[]))"
    " ORDER BY journal_id, code"
)
_LINES = sa.text(
    "SELECT batch.journal_id, line.account, line.amount FROM settlement_range batch, LATERAL ("
    "  SELECT account, sum(amount) AS amount FROM event_posting e"
    "  WHERE e.shard = batch.shard AND e.sequence BETWEEN batch.first AND batch.last"
    "  GROUP BY account) line WHERE batch.journal_id = ANY(CAST(:ids AS bigint[]))"
)
_TRADES = sa.text(  # columns and widths as in settlement_rows.TRADE_COLUMNS, POSITION_COLUMNS
    "SELECT batch.journal_id, count(*) AS trades, min(trade_id) AS first,"
    " max(trade_id) AS last, bool_and(t.journal_id = batch.journal_id) AS own,"
    " sha256(string_agg(common.bytes, ''::bytea ORDER BY sequence, index)"
    "   FILTER (WHERE maker_lots IS NULL)) AS digest,"
    " sha256(string_agg(common.bytes || int8send(insurance_units) || int8send(maker_lots)"
    "   || int8send(maker_cost_units) || int8send(maker_realised_units) || int8send(taker_lots)"
    "   || int8send(taker_cost_units) || int8send(taker_realised_units),"
    "   ''::bytea ORDER BY sequence, index)"
    "   FILTER (WHERE maker_lots IS NOT NULL)) AS position_digest"
    " FROM settlement_range batch JOIN trade_event t ON t.shard = batch.shard"
    "   AND t.sequence BETWEEN batch.first AND batch.last"
    " CROSS JOIN LATERAL (SELECT int2send(t.shard) || int8send(sequence) || int4send(index)"
    " || int8send(trade_id) || int4send(symbol_id) || int8send(time_us) || int2send(taker_side)"
    " || int8send(maker_order_id) || int8send(taker_order_id) || int8send(maker_account_id)"
    " || int8send(taker_account_id) || int8send(price_ticks) || int8send(quantity_lots)"
    " || int8send(base_units) || int8send(quote_units) || int8send(maker_fee_units)"
    " || int8send(taker_fee_units) AS bytes) common"
    " WHERE batch.journal_id = ANY(CAST(:ids AS bigint[])) GROUP BY batch.journal_id"
)
_BALANCES = sa.text(
    "SELECT batch.journal_id, bool_and(b.journal_id = batch.journal_id) AS own,"
    " sha256(string_agg(int2send(b.shard) || int8send(sequence) || int4send(index)"
    " || int8send(time_us) || int2send(event_type) || uuid_send(transfer_id)"
    " || int8send(account_id) || int4send(asset_id) || int8send(amount_units),"
    " ''::bytea ORDER BY sequence, index)) AS digest"
    " FROM settlement_range batch JOIN balance_event b ON b.shard = batch.shard"
    "   AND b.sequence BETWEEN batch.first AND batch.last"
    " WHERE batch.journal_id = ANY(CAST(:ids AS bigint[])) GROUP BY batch.journal_id"
)
_PERPETUALS = sa.text(  # columns and widths as in infra.postgres.perpetual_rows.PERPETUAL_COLUMNS
    "SELECT batch.journal_id, bool_and(p.journal_id = batch.journal_id) AS own,"
    " sha256(string_agg(int2send(p.shard) || int8send(sequence) || int4send(index)"
    " || int8send(time_us) || int2send(event_type) || int4send(symbol_id) || int4send(asset_id)"
    " || int8send(account_id) || int8send(counterparty_id) || int8send(amount_units)"
    " || int8send(counterparty_units) || int8send(lots) || int8send(cost_units)"
    " || int8send(counterparty_lots) || int8send(counterparty_cost_units)"
    " || int8send(funding_time_us), ''::bytea ORDER BY sequence, index)) AS digest"
    " FROM settlement_range batch JOIN perpetual_event p ON p.shard = batch.shard"
    "   AND p.sequence BETWEEN batch.first AND batch.last"
    " WHERE batch.journal_id = ANY(CAST(:ids AS bigint[])) GROUP BY batch.journal_id"
)
_FUNDINGS = sa.text(
    "SELECT h.shard, h.sequence, h.symbol_id, h.funding_time_us, h.lots AS wanted,"
    " h.amount_units AS rounding, count(e.account_id) AS entries,"
    " count(DISTINCT e.account_id) AS accounts, coalesce(sum(e.amount_units), 0) AS paid,"
    " (SELECT count(*) FROM perpetual_event o WHERE o.shard = h.shard AND o.event_type = 47"
    "   AND o.symbol_id = h.symbol_id AND o.funding_time_us = h.funding_time_us) AS times"
    " FROM perpetual_event h LEFT JOIN perpetual_event e ON e.shard = h.shard"
    "   AND e.sequence = h.sequence AND e.event_type = 48 AND e.symbol_id = h.symbol_id"
    "   AND e.funding_time_us = h.funding_time_us"
    " WHERE h.event_type = 47 AND h.shard = :shard AND h.sequence > :after"
    " GROUP BY h.shard, h.sequence, h.index, h.symbol_id, h.funding_time_us, h.lots,"
    " h.amount_units ORDER BY h.sequence"
)


class JournalReader:
    """Reads in the transaction of `conn`."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def floor(self) -> Opening:
        """Return where the archive ends: the earliest place from which all rows are here."""
        rows = (await self._conn.execute(sa.select(tables.ledger_floor))).all()
        settled = [row for row in rows if row.last_sequence is not None]
        return Opening(
            heads={row.stream: (row.position, bytes(row.hash)) for row in rows},
            last_sequences={row.stream: row.last_sequence for row in settled},
            last_trade_ids={
                int(row.stream.rpartition(".")[2]): row.last_trade_id
                for row in settled
                if row.last_trade_id is not None
            },
        )

    async def journals(self, opening: Opening) -> AsyncIterator[JournalRecord]:
        """Yield the journals after `opening`, in `journal_id` order."""
        ids: list[int] = []
        for stream in (await self._conn.execute(_STREAMS)).scalars().all():
            position = opening.heads.get(stream, (0, b""))[0]
            found = await self._conn.execute(_IDS, {"stream": stream, "position": position})
            ids += found.scalars().all()
        ids.sort()
        for start in range(0, len(ids), _CHUNK):
            for record in await self._journals(ids[start : start + _CHUNK]):
                yield record

    async def _journals(self, ids: list[int]) -> list[JournalRecord]:
        wanted = {"ids": ids}
        entries: dict[int, list[EntryRecord]] = {}
        for row in await self._conn.execute(_ENTRIES, wanted):
            entries.setdefault(row.journal_id, []).append(
                EntryRecord(row.code, int(row.amount), int(row.balance_after))
            )
        rows = await self._event_rows(ids)
        column = tables.journal.c
        found = await self._conn.execute(
            sa.select(tables.journal).where(column.journal_id.in_(ids)).order_by(column.journal_id)
        )
        return [
            JournalRecord(
                journal_id=row.journal_id,
                stream=row.stream,
                position=row.position,
                key=row.key,
                kind=row.kind,
                request_hash=row.request_hash,
                first_sequence=row.first_sequence,
                last_sequence=row.last_sequence,
                detail=row.detail,
                previous_hash=row.previous_hash,
                hash=row.hash,
                entries=tuple(entries.get(row.journal_id, ())),
                rows=rows[row.journal_id] if row.first_sequence is not None else None,
            )
            for row in found
        ]

    async def _event_rows(self, ids: list[int]) -> dict[int, EventRows]:
        wanted = {"ids": ids}
        lines: dict[int, dict[str, int]] = {journal_id: {} for journal_id in ids}
        for row in await self._conn.execute(_LINES, wanted):
            lines[row.journal_id][row.account] = int(row.amount)
        trades, balances, perpetuals = [
            {row.journal_id: row for row in await self._conn.execute(query, wanted)}
            for query in (_TRADES, _BALANCES, _PERPETUALS)
        ]
        result = {}
        for journal_id in ids:
            trade = trades.get(journal_id)
            digests = (
                _digest(trade),
                _digest(trade, "position_digest"),
                _digest(balances.get(journal_id)),
                _digest(perpetuals.get(journal_id)),
            )
            result[journal_id] = EventRows(
                lines=lines[journal_id],
                request_hash=settlement_request_hash(*digests),
                trades=trade.trades if trade else 0,
                first_trade_id=trade.first if trade else 0,
                last_trade_id=trade.last if trade else 0,
            )
        return result

    async def journal(self, journal_id: int) -> JournalRecord:
        """Return one journal with its rows and entries."""
        (record,) = await self._journals([journal_id])
        return record

    async def positions(self, shard: int) -> dict[tuple[int, int], Position]:
        """Return {(account id, symbol id): settled position} of a shard, open ones only."""
        return await positions_of(self._conn, shard)

    async def fundings(self, shard: int, after: int) -> list[FundingRecord]:
        """Return the fundings that were settled after a sequence."""
        rows = await self._conn.execute(_FUNDINGS, {"shard": shard, "after": after})
        return [
            FundingRecord(
                shard=row.shard,
                sequence=row.sequence,
                symbol_id=row.symbol_id,
                funding_time_us=row.funding_time_us,
                times=row.times,
                wanted_entries=row.wanted,
                entries=row.entries,
                accounts=row.accounts,
                paid_units=int(row.paid),
                rounding_units=row.rounding,
            )
            for row in rows
        ]

    async def accounts(self, codes: Collection[str] | None = None) -> list[AccountRecord]:
        """Return accounts by code; None: all of them."""
        row = tables.ledger_account.c
        query = sa.select(row.code, row.asset, row.balance, row.floor).order_by(row.code)
        if codes is not None:
            query = query.where(row.code == sa.any_(sa.cast(sorted(codes), sa.ARRAY(sa.Text))))
        return [
            AccountRecord(
                item.code,
                item.asset,
                int(item.balance),
                None if item.floor is None else int(item.floor),
            )
            for item in await self._conn.execute(query)
        ]

    async def balances_before(self, first_journals: Mapping[str, int]) -> dict[str, int]:
        """Return {account: balance before the journal that is named}."""
        rows = await self._conn.execute(
            _BALANCES_BEFORE,
            {"codes": list(first_journals), "ids": list(first_journals.values())},
        )
        return {row.code: int(row.balance) for row in rows}

    async def floor_balances(self) -> dict[str, int]:
        """Return {account: balance where the archive ends}; accounts without one had 0."""
        return {row.code: int(row.balance) for row in await self._conn.execute(_FLOOR_BALANCES)}


def _digest(found: sa.Row[Any] | None, column: str = "digest") -> bytes:
    """Return the digest of a journal's rows of one kind; rows of another journal give none."""
    digest = None if found is None else getattr(found, column)
    if found is None or digest is None:
        return _NOTHING
    return bytes(digest) if found.own else b""
