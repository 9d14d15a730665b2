"""The records that the checker reads, all from one moment: one REPEATABLE READ transaction.

After a checkpoint only what is new or open is read, by indexes; without one, everything.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.audit import AuditRecord
from domain.checker_markets import MarketRows
from domain.checker_records import (
    Assets,
    DepositRecord,
    Opening,
    TransferRecord,
    UnsettledPayment,
    WalletFacts,
    WithdrawalRecord,
)
from domain.deposit import UNPOSTED_STATES, DepositState
from domain.instrument import Asset
from domain.ledger import settlement_stream, wallet_cold, wallet_deposit, wallet_hot
from domain.wallet_payment import PaymentKind, accounts
from domain.withdrawal import WithdrawalState
from infra.postgres import tables
from infra.postgres.journal_reader import JournalReader
from infra.postgres.market_rows import markets_at
from infra.postgres.order_history_store import order_history_stream

_OVERLAP = dt.timedelta(minutes=5)  # longer than any transaction that stamps a row
_DEPOSIT_KEY = re.compile(r"(deposit-[^-]+-[^-]+-[^-]+)-.*")
_WITHDRAWAL_KEY = re.compile(r"withdrawal-(.{36})-.*")

# A withdrawal's transfer stays in transit until its journal takes it on to withdrawal:pending.
_TRANSFERS = sa.text(
    "SELECT t.transfer_id, t.shard, a.code, t.amount,"
    " (t.direction = 'to_trading' AND t.state = 'open')"
    " OR (t.direction = 'from_trading' AND t.state = 'posted' AND NOT EXISTS ("
    "   SELECT FROM journal j WHERE j.key = 'transfer-' || t.transfer_id)) AS in_transit"
    " FROM transfer t JOIN asset a USING (asset_id)"
)
_TRANSFERS_SINCE = sa.text(
    "WITH wanted AS ("
    " SELECT unnest(CAST(:ids AS uuid[])) AS transfer_id"
    " UNION SELECT transfer_id FROM transfer WHERE state = 'open'"
    " UNION SELECT t.transfer_id FROM unnest(CAST(:shards AS smallint[]),"
    "   CAST(:sequences AS bigint[])) AS settled(shard, sequence)"
    "   JOIN transfer t ON t.shard = settled.shard AND t.settled_sequence > settled.sequence)"
    " SELECT t.transfer_id, t.shard, a.code, t.amount,"
    " (t.direction = 'to_trading' AND t.state = 'open')"
    " OR (t.direction = 'from_trading' AND t.state = 'posted' AND NOT EXISTS ("
    "   SELECT FROM journal j WHERE j.key = 'transfer-' || t.transfer_id)) AS in_transit"
    " FROM wanted JOIN transfer t USING (transfer_id) JOIN asset a USING (asset_id)"
)
_DEPOSITS_SINCE = sa.text(
    "WITH wanted AS ("
    " SELECT deposit_id FROM deposit WHERE updated_at >= :since"
    " UNION SELECT unnest(CAST(:ids AS text[])))"
    " SELECT d.deposit_id, a.code, d.amount, d.state, d.turns, ARRAY("
    "   SELECT -e.amount FROM journal j JOIN entry e USING (journal_id)"
    "   JOIN ledger_account la USING (account_id)"
    "   WHERE (j.key = d.deposit_id || '-post' OR j.key = ANY("
    "     SELECT d.deposit_id || '-turn-' || n FROM generate_series(1, d.turns) AS n)"
    "    OR j.key = ANY("
    "     SELECT key FROM unnest(CAST(:keys AS text[])) AS new(key)"
    "     WHERE starts_with(key, d.deposit_id || '-')))"
    "   AND la.code LIKE 'wallet:%' ORDER BY j.journal_id) AS postings"
    " FROM wanted JOIN deposit d USING (deposit_id) JOIN asset a USING (asset_id)"
)
_DEPOSITS = sa.text(
    "SELECT d.deposit_id, a.code, d.amount, d.state, d.turns,"
    " array_remove(array_agg(e.amount ORDER BY e.journal_id), NULL) AS postings"
    " FROM deposit d JOIN asset a USING (asset_id)"
    " LEFT JOIN (SELECT substring(j.key FROM '^deposit-[^-]+-[^-]+-[^-]+') AS deposit_id,"
    "   j.journal_id, -en.amount AS amount FROM journal j JOIN entry en USING (journal_id)"
    "   JOIN ledger_account la USING (account_id)"
    "   WHERE j.stream = 'wallet' AND la.code LIKE 'wallet:%') e USING (deposit_id)"
    " GROUP BY d.deposit_id, a.code, d.amount, d.state, d.turns"
)
_WITHDRAWALS = sa.text(
    "SELECT w.withdrawal_id, a.code, w.amount, w.state, w.release_transfer_id,"
    " (SELECT count(DISTINCT (t.chain, t.address, t.nonce)) FROM wallet_transaction t"
    "   WHERE t.withdrawal_id = w.withdrawal_id) AS signed,"
    " EXISTS (SELECT FROM wallet_transaction t WHERE t.withdrawal_id = w.withdrawal_id"
    "   AND t.broadcast_at IS NOT NULL) AS broadcast,"
    " EXISTS (SELECT FROM journal j"
    "   WHERE j.key IN ('withdrawal-' || w.withdrawal_id || '-reverted',"
    "    'withdrawal-' || w.withdrawal_id || '-voided')) AS reverted,"
    " array_remove(array_agg(p.amount), NULL) AS payments"
    " FROM withdrawal w JOIN asset a USING (asset_id)"
    " LEFT JOIN (SELECT substring(j.key FROM '^withdrawal-(.*)-settle$') AS withdrawal_id,"
    "   en.amount, la.asset FROM journal j JOIN entry en USING (journal_id)"
    "   JOIN ledger_account la USING (account_id)"
    "   WHERE j.stream = 'wallet' AND la.code LIKE 'wallet:hot:%') p"
    " ON p.withdrawal_id = w.withdrawal_id::text AND p.asset = a.code"
    " GROUP BY w.withdrawal_id, a.code"
)

_WITHDRAWALS_SINCE = sa.text(
    "WITH wanted AS ("
    " SELECT withdrawal_id FROM withdrawal WHERE updated_at >= :since"
    " UNION SELECT CAST(unnest(CAST(:ids AS text[])) AS uuid))"
    " SELECT w.withdrawal_id, a.code, w.amount, w.state, w.release_transfer_id,"
    " (SELECT count(DISTINCT (t.chain, t.address, t.nonce)) FROM wallet_transaction t"
    "   WHERE t.withdrawal_id = w.withdrawal_id) AS signed,"
    " EXISTS (SELECT FROM wallet_transaction t WHERE t.withdrawal_id = w.withdrawal_id"
    "   AND t.broadcast_at IS NOT NULL) AS broadcast,"
    " EXISTS (SELECT FROM journal j"
    "   WHERE j.key IN ('withdrawal-' || w.withdrawal_id || '-reverted',"
    "    'withdrawal-' || w.withdrawal_id || '-voided')) AS reverted, ARRAY("
    "   SELECT e.amount FROM journal j JOIN entry e USING (journal_id)"
    "   JOIN ledger_account la USING (account_id)"
    "   WHERE (j.key = 'withdrawal-' || w.withdrawal_id || '-settle' OR (j.key = ANY("
    "     SELECT key FROM unnest(CAST(:keys AS text[])) AS new(key)"
    "     WHERE key LIKE 'withdrawal-' || w.withdrawal_id || '%-settle')))"
    "   AND la.code LIKE 'wallet:hot:%' AND la.asset = a.code) AS payments"
    " FROM wanted JOIN withdrawal w USING (withdrawal_id) JOIN asset a USING (asset_id)"
)

_UNBOOKED = sa.text(
    "SELECT CASE WHEN d.customer_id IS NOT NULL THEN 'deposit' WHEN EXISTS (SELECT FROM"
    "  cold_address c WHERE c.chain = d.chain AND c.address = d.address) THEN 'cold'"
    "  ELSE 'hot' END AS place, a.code, sum(d.amount) AS amount"
    " FROM deposit d JOIN asset a USING (asset_id)"
    " WHERE d.chain = :chain AND (d.state = ANY(CAST(:states AS text[])) OR (d.turns % 2 = 1"
    "  AND EXISTS (SELECT FROM chain_block b WHERE b.chain = d.chain"
    "   AND b.number = d.block_number AND b.hash = d.block_hash))) GROUP BY 1, 2"
)
_PLACES = {"deposit": wallet_deposit, "hot": wallet_hot, "cold": wallet_cold}
_UNSETTLED = sa.text(
    "SELECT t.tx_hash, a.code, CASE WHEN t.voids THEN 0 ELSE w.amount - w.fee END AS amount"
    " FROM wallet_transaction t JOIN withdrawal w USING (withdrawal_id)"
    " JOIN asset a USING (asset_id)"
    " WHERE t.chain = :chain AND w.state <> 'settled' AND NOT EXISTS (SELECT FROM journal j"
    "   WHERE j.key IN ('withdrawal-' || w.withdrawal_id || '-reverted',"
    "    'withdrawal-' || w.withdrawal_id || '-voided'))"
)
_UNBOOKED_PAYMENTS = sa.text(
    "SELECT t.tx_hash, p.kind, a.code, CASE WHEN t.voids THEN 0 ELSE p.amount END AS amount"
    " FROM wallet_transaction t JOIN wallet_payment p USING (payment_id)"
    " JOIN asset a USING (asset_id)"
    " WHERE t.chain = :chain AND NOT p.state IN ('booked', 'reverted', 'voided')"
)


class Reading(JournalReader):
    """One consistent reading; valid while its transaction is open."""

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

    async def markets_cursor(self, shard: int) -> int:
        """Return up to which sequence the rows of markets and tiers have followed."""
        row = tables.cursor.c
        found = await self._conn.scalar(
            sa.select(row.last_sequence).where(row.stream == order_history_stream(shard))
        )
        return int(found or 0)

    async def markets(self, shard: int, sequence: int) -> MarketRows:
        """Return the markets and tiers of a shard as they were at a sequence."""
        return await markets_at(self._conn, shard, sequence)

    async def taken_at(self) -> str:
        """Return the reading's moment, ISO 8601."""
        now: dt.datetime = (await self._conn.execute(sa.select(sa.func.now()))).scalar_one()
        return now.astimezone(dt.UTC).isoformat()

    async def standing_accounts(self) -> set[str]:
        """Return the accounts that are compared with other records each time, touched or not."""
        row = tables.ledger_account.c
        names = await self._conn.execute(
            sa.select(row.code).where(
                row.customer_id.is_(None), row.code.op("~")("^(wallet:|transit|pnl_clearing)")
            )
        )
        return set(names.scalars())

    async def transfers(self, opening: Opening) -> list[TransferRecord]:
        """Return the transfers that are on their way now, or were, or moved since `opening`."""
        if not opening.is_checkpoint:
            rows = await self._conn.execute(_TRANSFERS)
        else:
            shards = {
                int(stream.rpartition(".")[2]): sequence
                for stream, sequence in opening.last_sequences.items()
            }
            rows = await self._conn.execute(
                _TRANSFERS_SINCE,
                {
                    "ids": list(opening.in_transit),
                    "shards": list(shards),
                    "sequences": list(shards.values()),
                },
            )
        return [
            TransferRecord(
                str(row.transfer_id), row.shard, row.code, int(row.amount), row.in_transit
            )
            for row in rows
        ]

    async def deposits(self, opening: Opening, keys: AbstractSet[str]) -> list[DepositRecord]:
        """Return deposits with what their journals booked; `keys` are the journals' since then."""
        if not opening.is_checkpoint:
            rows = await self._conn.execute(_DEPOSITS)
        else:
            rows = await self._conn.execute(_DEPOSITS_SINCE, _since(opening, keys, _DEPOSIT_KEY))
        unbooked = {*UNPOSTED_STATES, DepositState.VOIDED}
        return [
            DepositRecord(
                deposit_id=row.deposit_id,
                asset=row.code,
                amount=int(row.amount),
                booked=DepositState(row.state) not in unbooked,
                turns=row.turns,
                postings=tuple(int(amount) for amount in row.postings),
            )
            for row in rows
        ]

    async def withdrawals(self, opening: Opening, keys: AbstractSet[str]) -> list[WithdrawalRecord]:
        """Return withdrawals with what their journals paid; `keys` as for deposits."""
        if not opening.is_checkpoint:
            rows = await self._conn.execute(_WITHDRAWALS)
        else:
            rows = await self._conn.execute(
                _WITHDRAWALS_SINCE, _since(opening, keys, _WITHDRAWAL_KEY)
            )
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
            for row in rows
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
        cold = tables.cold_address.c
        cold_addresses = await self._conn.execute(
            sa.select(cold.address).where(cold.chain == chain, cold.since_block.is_not(None))
        )
        unbooked = {
            _PLACES[row.place](chain, row.code): int(row.amount)
            for row in await self._conn.execute(_UNBOOKED, {"chain": chain, "states": states})
        }
        hot_coin = wallet_hot(chain, chain)
        unsettled = [
            UnsettledPayment(
                row.tx_hash, row.code, int(row.amount), wallet_hot(chain, row.code), hot_coin
            )
            for row in await self._conn.execute(_UNSETTLED, {"chain": chain})
        ]
        for row in await self._conn.execute(_UNBOOKED_PAYMENTS, {"chain": chain}):
            source, destination = accounts(row.kind, chain, row.code)
            destination = "" if row.kind == PaymentKind.RETURN else destination
            payer, _ = accounts(row.kind, chain, chain)
            unsettled.append(
                UnsettledPayment(row.tx_hash, row.code, int(row.amount), source, payer, destination)
            )
        return WalletFacts(
            chain=chain,
            block_number=tip.number,
            block_hash=tip.hash,
            contracts={row.code: row.contract for row in listed},
            deposit_addresses=tuple(addresses.scalars().all()),
            cold_addresses=tuple(cold_addresses.scalars().all()),
            unbooked=unbooked,
            unsettled=tuple(unsettled),
        )

    async def audit(self, opening: Opening) -> list[AuditRecord]:
        """Return the audit log after the opening's record, oldest first."""
        log = tables.audit_log
        query = sa.select(log).where(log.c.audit_id > opening.audit[0]).order_by(log.c.audit_id)
        return [
            AuditRecord(
                audit_id=row.audit_id,
                subject=row.subject,
                actor=row.actor,
                action=row.action,
                key=row.key,
                detail=row.detail,
                at=row.at.astimezone(dt.UTC),
                previous_hash=row.previous_hash,
                hash=row.hash,
            )
            for row in await self._conn.execute(query)
        ]


class RecordReader:
    """Opens consistent readings."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """Give one reading; what others commit meanwhile is not in it."""
        async with self._engine.connect() as conn, conn.begin():
            yield Reading(conn)


def _since(opening: Opening, keys: AbstractSet[str], pattern: re.Pattern[str]) -> dict[str, Any]:
    """Return the parameters of what changed since `opening`, or is named by a journal's key."""
    named = {found[1]: key for key in keys if (found := pattern.fullmatch(key))}
    return {
        "since": dt.datetime.fromisoformat(opening.taken_at) - _OVERLAP,
        "ids": sorted(named),
        "keys": sorted(key for key in keys if pattern.fullmatch(key)),
    }
