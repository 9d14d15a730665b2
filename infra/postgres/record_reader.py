"""The records that the checker reads, all from one moment: one REPEATABLE READ transaction."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.audit import AuditRecord
from domain.checker_records import (
    AccountRecord,
    Assets,
    DepositRecord,
    EntryRecord,
    EventRows,
    JournalRecord,
    Opening,
    TransferRecord,
    UnsettledPayment,
    WalletFacts,
    WithdrawalRecord,
)
from domain.deposit import UNPOSTED_STATES, DepositState
from domain.instrument import Asset
from domain.ledger import (
    settlement_request_hash,
    settlement_stream,
    wallet_deposit,
    wallet_hot,
)
from domain.withdrawal import WithdrawalState
from infra.postgres import tables

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
_TRADES = sa.text(  # columns and widths as in infra.postgres.settlement_rows.TRADE_COLUMNS
    "SELECT batch.journal_id, count(*) AS trades, min(trade_id) AS first,"
    " max(trade_id) AS last, bool_and(t.journal_id = batch.journal_id) AS own,"
    " sha256(string_agg(int2send(t.shard) || int8send(sequence) || int4send(index)"
    " || int8send(trade_id) || int4send(symbol_id) || int8send(time_us) || int2send(taker_side)"
    " || int8send(maker_order_id) || int8send(taker_order_id) || int8send(maker_account_id)"
    " || int8send(taker_account_id) || int8send(price_ticks) || int8send(quantity_lots)"
    " || int8send(base_units) || int8send(quote_units) || int8send(maker_fee_units)"
    " || int8send(taker_fee_units), ''::bytea ORDER BY sequence, index)) AS digest"
    " FROM settlement_range batch JOIN trade_event t ON t.shard = batch.shard"
    "   AND t.sequence BETWEEN batch.first AND batch.last"
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
# A withdrawal's transfer stays in transit until its journal takes it on to withdrawal:pending.
_TRANSFERS = sa.text(
    "SELECT t.transfer_id, t.shard, a.code, t.amount,"
    " (t.direction = 'to_trading' AND t.state = 'open')"
    " OR (t.direction = 'from_trading' AND t.state = 'posted' AND NOT EXISTS ("
    "   SELECT FROM journal j WHERE j.key = 'transfer-' || t.transfer_id)) AS in_transit"
    " FROM transfer t JOIN asset a USING (asset_id)"
)
_DEPOSITS = sa.text(
    "SELECT d.deposit_id, a.code, d.amount, d.state,"
    " array_remove(array_agg(e.amount ORDER BY e.journal_id), NULL) AS postings"
    " FROM deposit d JOIN asset a USING (asset_id)"
    " LEFT JOIN (SELECT substring(j.key FROM '^deposit-[^-]+-[^-]+-[^-]+') AS deposit_id,"
    "   j.journal_id, -en.amount AS amount FROM journal j JOIN entry en USING (journal_id)"
    "   JOIN ledger_account la USING (account_id)"
    "   WHERE j.stream = 'wallet' AND la.code LIKE 'wallet:%') e USING (deposit_id)"
    " GROUP BY d.deposit_id, a.code, d.amount, d.state"
)
_WITHDRAWALS = sa.text(
    "SELECT w.withdrawal_id, a.code, w.amount, w.state, w.release_transfer_id,"
    " (SELECT count(*) FROM wallet_transaction t"
    "   WHERE t.withdrawal_id = w.withdrawal_id) AS signed,"
    " EXISTS (SELECT FROM wallet_transaction t WHERE t.withdrawal_id = w.withdrawal_id"
    "   AND t.broadcast_at IS NOT NULL) AS broadcast,"
    " EXISTS (SELECT FROM journal j"
    "   WHERE j.key = 'withdrawal-' || w.withdrawal_id || '-reverted') AS reverted,"
    " array_remove(array_agg(p.amount), NULL) AS payments"
    " FROM withdrawal w JOIN asset a USING (asset_id)"
    " LEFT JOIN (SELECT substring(j.key FROM '^withdrawal-(.*)-settle$') AS withdrawal_id,"
    "   en.amount, la.asset FROM journal j JOIN entry en USING (journal_id)"
    "   JOIN ledger_account la USING (account_id)"
    "   WHERE j.stream = 'wallet' AND la.code LIKE 'wallet:hot:%') p"
    " ON p.withdrawal_id = w.withdrawal_id::text AND p.asset = a.code"
    " GROUP BY w.withdrawal_id, a.code"
)

_UNBOOKED = sa.text(
    "SELECT d.customer_id IS NULL AS refill, a.code, sum(d.amount) AS amount"
    " FROM deposit d JOIN asset a USING (asset_id)"
    " WHERE d.chain = :chain AND d.state = ANY(CAST(:states AS text[])) GROUP BY 1, 2"
)
_UNSETTLED = sa.text(
    "SELECT t.tx_hash, a.code, w.amount - w.fee AS amount"
    " FROM wallet_transaction t JOIN withdrawal w USING (withdrawal_id)"
    " JOIN asset a USING (asset_id)"
    " WHERE t.chain = :chain AND w.state <> 'settled' AND NOT EXISTS (SELECT FROM journal j"
    "   WHERE j.key = 'withdrawal-' || w.withdrawal_id || '-reverted')"
)


class Reading:
    """One consistent reading; valid while its transaction is open."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def assets(self) -> Assets:
        """Return the listed assets."""
        rows = await self._conn.execute(sa.select(tables.asset))
        return Assets(
            {
                row.asset_id: Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals)
                for row in rows
            }
        )

    async def cursor(self, shard: int) -> int:
        """Return the last settled sequence of `shard`; 0 = none."""
        row = tables.cursor.c
        found = await self._conn.scalar(
            sa.select(row.last_sequence).where(row.stream == settlement_stream(shard))
        )
        return int(found or 0)

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
        trades = {row.journal_id: row for row in await self._conn.execute(_TRADES, wanted)}
        balances = {row.journal_id: row for row in await self._conn.execute(_BALANCES, wanted)}
        result = {}
        for journal_id in ids:
            trade, balance = trades.get(journal_id), balances.get(journal_id)
            result[journal_id] = EventRows(
                lines=lines[journal_id],
                request_hash=settlement_request_hash(_digest(trade), _digest(balance)),
                trades=trade.trades if trade else 0,
                first_trade_id=trade.first if trade else 0,
                last_trade_id=trade.last if trade else 0,
            )
        return result

    async def accounts(self) -> list[AccountRecord]:
        """Return all accounts."""
        row = tables.ledger_account.c
        found = await self._conn.execute(
            sa.select(row.code, row.asset, row.balance, row.floor).order_by(row.code)
        )
        return [
            AccountRecord(
                item.code,
                item.asset,
                int(item.balance),
                None if item.floor is None else int(item.floor),
            )
            for item in found
        ]

    async def transfers(self) -> list[TransferRecord]:
        """Return all transfers."""
        return [
            TransferRecord(
                str(row.transfer_id), row.shard, row.code, int(row.amount), row.in_transit
            )
            for row in await self._conn.execute(_TRANSFERS)
        ]

    async def deposits(self) -> list[DepositRecord]:
        """Return all deposits with what their journals booked."""
        unbooked = {*UNPOSTED_STATES, DepositState.VOIDED}
        return [
            DepositRecord(
                deposit_id=row.deposit_id,
                asset=row.code,
                amount=int(row.amount),
                booked=DepositState(row.state) not in unbooked,
                postings=tuple(int(amount) for amount in row.postings),
            )
            for row in await self._conn.execute(_DEPOSITS)
        ]

    async def withdrawals(self) -> list[WithdrawalRecord]:
        """Return all withdrawals with what their journals paid."""
        return [
            WithdrawalRecord(
                withdrawal_id=str(row.withdrawal_id),
                asset=row.code,
                amount=int(row.amount),
                signed=row.signed,
                broadcast=row.broadcast,
                released=row.release_transfer_id is not None,
                settled=row.state == WithdrawalState.SETTLED,
                payments=tuple(int(amount) for amount in row.payments),
                reverted=row.reverted,
            )
            for row in await self._conn.execute(_WITHDRAWALS)
        ]

    async def wallet_facts(self) -> list[WalletFacts]:
        """Return, for each chain that is watched, what the rows say of it."""
        block = tables.chain_block.c
        chains = (await self._conn.execute(sa.select(block.chain).distinct())).scalars().all()
        return [await self._facts_of(chain) for chain in sorted(chains)]

    async def _facts_of(self, chain: str) -> WalletFacts:
        block, asset = tables.chain_block.c, tables.asset.c
        tip = (
            await self._conn.execute(
                sa.select(block.number, block.hash)
                .where(block.chain == chain)
                .order_by(block.number.desc())
                .limit(1)
            )
        ).one()
        listed = await self._conn.execute(
            sa.select(asset.code, asset.contract).where(
                asset.chain == chain, sa.or_(asset.contract.is_not(None), asset.code == chain)
            )
        )
        addresses = await self._conn.execute(
            sa.select(tables.deposit_address.c.address).where(
                tables.deposit_address.c.chain == chain
            )
        )
        states = [str(state) for state in UNPOSTED_STATES]
        unbooked = {
            (wallet_hot if row.refill else wallet_deposit)(chain, row.code): int(row.amount)
            for row in await self._conn.execute(_UNBOOKED, {"chain": chain, "states": states})
        }
        unsettled = await self._conn.execute(_UNSETTLED, {"chain": chain})
        return WalletFacts(
            chain=chain,
            block_number=tip.number,
            block_hash=tip.hash,
            contracts={row.code: row.contract for row in listed},
            deposit_addresses=tuple(addresses.scalars().all()),
            unbooked=unbooked,
            unsettled=tuple(
                UnsettledPayment(row.tx_hash, row.code, int(row.amount)) for row in unsettled
            ),
        )

    async def audit(self) -> list[AuditRecord]:
        """Return the audit log, oldest first."""
        log = tables.audit_log
        return [
            AuditRecord(
                audit_id=row.audit_id,
                subject=row.subject,
                actor=row.actor,
                action=row.action,
                key=row.key,
                detail=row.detail,
                at=row.at.astimezone(UTC),
                previous_hash=row.previous_hash,
                hash=row.hash,
            )
            for row in await self._conn.execute(sa.select(log).order_by(log.c.audit_id))
        ]


def _digest(found: sa.Row[Any] | None) -> bytes:
    """Return the digest of a journal's rows of one table; rows of another journal give none."""
    if found is None:
        return _NOTHING
    return bytes(found.digest) if found.own else b""


class RecordReader:
    """Opens consistent readings."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """Give one reading; what others commit meanwhile is not in it."""
        async with self._engine.connect() as conn, conn.begin():
            yield Reading(conn)
