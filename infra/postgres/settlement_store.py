"""Settlement's side of the ledger: one batch of engine events is one transaction.

The cursor row decides what is settled. Whoever holds its lock is the only settler of the shard,
so a retried, duplicated or forgotten activity can do nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.event_postings import MONEY_EVENTS, Pair, postings_for
from domain.instrument import Asset
from domain.ledger import (
    JournalContent,
    LedgerInvariantError,
    SequenceGapError,
    UnknownEventError,
    correction_key,
    quarantine_key,
    settlement_stream,
)
from domain.settlement import Origin, Settled
from infra.postgres import tables
from infra.postgres.journal_rows import (
    Draft,
    LockedBalance,
    StaleBalancesError,
    append_journals,
    create_accounts,
    first_below_floor,
    lock_balances,
    lock_stream,
)
from infra.postgres.partitions import EVENT_TABLES, ensure_in_passing
from infra.postgres.position_store import store_positions
from infra.postgres.settlement_rows import (
    BalanceEvent,
    CopyRows,
    SettlementRows,
    net_by_account,
    rows_from,
)
from matching.event_decoder import decode_events

_MOST_KNOWN = 200_000  # accounts, some 50 MB
_WORTH_A_THREAD = 64 << 10  # bytes of events: less is computed sooner than a thread takes over
_PIECE_BYTES = 256 << 10
_SHARED = ("transit", "capital")  # accounts that others write, too

_CURSOR = sa.text("SELECT last_sequence FROM cursor WHERE stream = :stream FOR UPDATE")
_CREATE_CURSOR = sa.text(
    "INSERT INTO cursor (stream, last_sequence) VALUES (:stream, 0) ON CONFLICT DO NOTHING"
)
_MOVE_CURSOR = sa.text(
    "UPDATE cursor SET last_sequence = :sequence, updated_at = now() WHERE stream = :stream"
)
_TRANSFERS = sa.text(
    "UPDATE transfer SET state = 'posted', settled_sequence = done.sequence"
    " FROM unnest(CAST(:ids AS uuid[]), CAST(:sequences AS bigint[])) AS done(id, sequence)"
    " WHERE transfer_id = done.id AND state = 'open'"
    " RETURNING transfer_id, customer_id, asset_id, shard, direction, amount"
)


@dataclass(frozen=True, slots=True)
class _Listings:
    assets: Mapping[int, Asset]
    pairs: Mapping[int, Pair]


@dataclass(frozen=True, slots=True)
class SettlementBatch:
    """Commands `first`..`last`, computed as far as that goes without a transaction."""

    first: int
    last: int
    raw: bytes
    rows: SettlementRows
    request_hash: bytes
    copies: Sequence[tuple[sa.Table, CopyRows]]
    net: Mapping[str, int] | None  # None: what is listed has to be read first


@dataclass(frozen=True, slots=True)
class PreparedSettlement:
    """A batch that waits for its turn; `settle` it once, after all before it."""

    store: SettlementStore
    batch: SettlementBatch

    async def settle(self, origin: Origin | None = None) -> Settled:
        """Settle it, as `SettlementStore.settle`."""
        return await self.store.settle_batch(self.batch, origin)


class SettlementStore:
    """Settle one shard's events. One instance may serve several shards."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._listings = _Listings({}, {})
        # What the last committed batches left on accounts that only settlement writes. A guess:
        # the update compares each one, and where it differs, all are read again.
        self._known: dict[str, LockedBalance] = {}

    async def cursor(self, shard: int) -> int:
        """Return the sequence of the last command that is settled; 0 = none."""
        async with self._engine.connect() as conn:
            cursor = tables.cursor.c
            found = await conn.scalar(
                sa.select(cursor.last_sequence).where(cursor.stream == settlement_stream(shard))
            )
        return int(found or 0)

    async def settle(
        self, shard: int, first: int, last: int, raw: bytes, origin: Origin | None = None
    ) -> Settled:
        """Settle commands `first`..`last`, whose events are `raw`, and move the cursor to `last`.

        Already settled: nothing happens and the result says where the cursor is. A batch that
        moves no money only moves the cursor. Raises `SequenceGapError` or `LedgerInvariantError`
        and then changes nothing.
        """
        return await (await self.prepare(shard, first, last, raw)).settle(origin)

    async def prepare(self, shard: int, first: int, last: int, raw: bytes) -> PreparedSettlement:
        """Compute a batch, in a thread: the database may be busy with the one before meanwhile.

        Raises what `settle` raises of events that are not what they should be.
        """
        try:
            batch = await self._computed(shard, first, last, raw)
        except UnknownEventError as error:
            allowed = await self._quarantined(shard, error.places)
            batch = await self._computed(shard, first, last, raw, allowed)
        return PreparedSettlement(self, batch)

    async def _computed(
        self,
        shard: int,
        first: int,
        last: int,
        raw: bytes,
        quarantined: Collection[tuple[int, int]] = (),
    ) -> SettlementBatch:
        names = (shard, first, last, raw, frozenset(quarantined), self._listings)
        is_short = len(raw) < _WORTH_A_THREAD
        return _compute(*names) if is_short else await asyncio.to_thread(_compute, *names)

    async def settle_batch(self, batch: SettlementBatch, origin: Origin | None = None) -> Settled:
        """Settle a computed batch in one transaction; whoever asks keeps the order."""
        try:
            return await self._settle(batch, origin)
        except StaleBalancesError:  # another worker has settled meanwhile, or somebody corrected
            self._known.clear()
            return await self._settle(batch, origin)

    async def _settle(self, batch: SettlementBatch, origin: Origin | None) -> Settled:
        stream = settlement_stream(batch.rows.shard)
        first, last = batch.first, batch.last
        after: dict[str, LockedBalance] = {}
        async with self._engine.begin() as conn:
            cursor = await self._lock_cursor(conn, stream)
            if cursor >= first:  # another run settled it, or a part: the caller reads on from there
                return Settled(last_sequence=cursor, trades=0, digest="")
            if cursor != first - 1:
                raise SequenceGapError(
                    f"settled up to {cursor}, but the next events begin at {first}"
                )
            for table in EVENT_TABLES:
                await ensure_in_passing(conn, table, first, last)
            digest = b""
            if batch.rows.moves_money:
                digest = await self._post(conn, batch, origin, after)
            await conn.execute(_MOVE_CURSOR, {"stream": stream, "sequence": last})
        self._remember(after)
        return Settled(last_sequence=last, trades=batch.rows.trade_count, digest=digest.hex())

    async def _lock_cursor(self, conn: AsyncConnection, stream: str) -> int:
        found = await conn.scalar(_CURSOR, {"stream": stream})
        if found is None:
            await conn.execute(_CREATE_CURSOR, {"stream": stream})
            found = await conn.scalar(_CURSOR, {"stream": stream})
        assert found is not None
        return int(found)

    async def _quarantined(
        self, shard: int, places: Iterable[tuple[int, int]]
    ) -> set[tuple[int, int]]:
        """Return those events of which two people have attested that they move no money."""
        keys = {quarantine_key(shard, *place): place for place in places}
        async with self._engine.connect() as conn:
            return {keys[key] for key in await _posted_keys(conn, keys)}

    def _remember(self, after: Mapping[str, LockedBalance]) -> None:
        """Keep committed balances that only settlement writes, in bounded memory."""
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known |= {code: row for code, row in after.items() if not code.startswith(_SHARED)}

    async def _post(
        self,
        conn: AsyncConnection,
        batch: SettlementBatch,
        origin: Origin | None,
        after: dict[str, LockedBalance],
    ) -> bytes:
        """Post one batch; `after` receives what the accounts hold once it is committed."""
        rows = batch.rows
        stream = settlement_stream(rows.shard)
        net = batch.net if batch.net is not None else await self._net(conn, rows)
        head = await lock_stream(conn, stream)
        balances = await self._balances(conn, net)
        short = first_below_floor(balances, net)
        if short is not None:
            if self._known:
                raise StaleBalancesError("a floor is judged by what the database says")
            raise LedgerInvariantError(self._explain(rows.shard, batch.raw, short, net[short.code]))
        content = JournalContent(
            stream=stream,
            position=head.position + 1,
            key=f"{stream}:{batch.first}-{batch.last}",
            kind="settlement",
            request_hash=batch.request_hash,
            first_sequence=batch.first,
            last_sequence=batch.last,
            detail={
                "trades": rows.trade_count,
                "transfers": len(rows.balances),
                **(asdict(origin) if origin else {}),
            },
        )
        (journal_id,), new_head = await append_journals(conn, head, [Draft(content, net)], balances)
        for table, copy in batch.copies:
            await _store(conn, table, copy, journal_id)
        await store_positions(conn, rows.shard, rows.positions_after())
        await self._mark_transfers(conn, rows)
        for code, amount in net.items():
            account_id, _, floor, balance, version = balances[code]
            after[code] = LockedBalance(account_id, code, floor, balance + amount, version + 1)
        return new_head.hash

    async def _balances(
        self, conn: AsyncConnection, net: Mapping[str, int]
    ) -> dict[str, LockedBalance]:
        """Return the accounts of `net`: as they are remembered, else locked and read."""
        known = self._known
        unknown = net.keys() - known.keys()
        balances = {code: known[code] for code in net if code in known}
        if unknown:
            await create_accounts(conn, unknown)
            balances |= await lock_balances(conn, unknown)
        return balances

    async def _net(self, conn: AsyncConnection, rows: SettlementRows) -> dict[str, int]:
        """Return the net by what is listed now."""
        self._listings = await _read_listings(conn)
        return net_by_account(rows, self._listings.assets, self._listings.pairs)

    async def _mark_transfers(self, conn: AsyncConnection, rows: SettlementRows) -> None:
        """Set the batch' transfers to posted; each must be open and ask for exactly its event.

        An event that has a correcting entry under its own key is excused.
        """
        events = rows.balance_events()
        if not events:
            return
        found = {
            row.transfer_id: row
            for row in await conn.execute(
                _TRANSFERS,
                {
                    "ids": [event.transfer_id for event in events],
                    "sequences": [event.sequence for event in events],
                },
            )
        }
        corrected = {correction_key(rows.shard, event.sequence, event.index) for event in events}
        corrected = await _posted_keys(conn, corrected)
        for event in events:
            if correction_key(rows.shard, event.sequence, event.index) in corrected:
                continue  # two people have brought the money that its transfer did not
            wanted = self._transfer_of(rows.shard, event)
            row = found.pop(event.transfer_id, None)
            stored = row and (
                row.customer_id,
                row.asset_id,
                row.shard,
                row.direction,
                int(row.amount),
            )
            if stored != wanted:
                raise LedgerInvariantError(
                    f"sequence {event.sequence}: transfer {event.transfer_id} should be open as "
                    f"{wanted}, but is {stored}"
                )

    def _transfer_of(self, shard: int, event: BalanceEvent) -> tuple[int, int, int, str, int]:
        asset = self._listings.assets[event.asset_id]
        return (
            event.account_id,
            event.asset_id,
            shard,
            "to_trading" if event.credited else "from_trading",
            event.amount_units * asset.chain_units_per_engine_unit,
        )

    def _explain(self, shard: int, raw: bytes, short: LockedBalance, change: int) -> str:
        """Return which event takes the account below its floor, for whoever repairs it."""
        balance = short.balance
        for event in decode_events(raw):
            if not isinstance(event, MONEY_EVENTS):
                continue
            for posting in postings_for(
                event, shard=shard, assets=self._listings.assets, pairs=self._listings.pairs
            ):
                balance -= posting.amount if posting.source == short.code else 0
                balance += posting.amount if posting.destination == short.code else 0
            if short.floor is not None and balance < short.floor:
                return (
                    f"{short.code} would fall to {balance}, below its floor {short.floor}, by "
                    f"event {event.sequence}.{event.index}: {event}"
                )
        return f"{short.code} would change by {change} from {short.balance}, below its floor"


def _compute(
    shard: int,
    first: int,
    last: int,
    raw: bytes,
    quarantined: Collection[tuple[int, int]],
    listings: _Listings,
) -> SettlementBatch:
    rows = rows_from(shard, first, last, raw, frozenset(quarantined))
    net: dict[str, int] | None
    try:
        net = net_by_account(rows, listings.assets, listings.pairs)
    except LedgerInvariantError:  # perhaps listed meanwhile
        net = None
    return SettlementBatch(
        first=first,
        last=last,
        raw=raw,
        rows=rows,
        request_hash=rows.request_hash(),
        copies=(
            (tables.trade_event, CopyRows(rows.trades)),
            (tables.trade_event, CopyRows(rows.positions)),
            (tables.balance_event, CopyRows(rows.balances)),
            (tables.perpetual_event, CopyRows(rows.perpetuals)),
        ),
        net=net,
    )


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    """Yield `data` in pieces: the database stores one while the next is on its way."""
    for start in range(0, len(data), _PIECE_BYTES):
        yield data[start : start + _PIECE_BYTES]


async def _store(conn: AsyncConnection, table: sa.Table, rows: CopyRows, journal_id: int) -> None:
    if not rows.count:
        return
    driver = (await conn.get_raw_connection()).driver_connection
    assert driver is not None
    await driver.copy_to_table(
        table.name,
        source=_pieces(rows.bytes_with(journal_id)),
        columns=rows.columns,
        format="binary",
    )


async def _posted_keys(conn: AsyncConnection, keys: Iterable[str]) -> set[str]:
    journal = tables.journal.c
    found = await conn.execute(sa.select(journal.key).where(journal.key.in_(list(keys))))
    return set(found.scalars())


async def _read_listings(conn: AsyncConnection) -> _Listings:
    rows = await conn.execute(sa.select(tables.asset))
    assets = {
        row.asset_id: Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals)
        for row in rows
    }
    listed = tables.instrument.c
    found = await conn.execute(
        sa.select(listed.symbol_id, listed.base_asset_id, listed.quote_asset_id)
    )
    pairs = {
        row.symbol_id: Pair(assets[row.base_asset_id], assets[row.quote_asset_id]) for row in found
    }
    return _Listings(assets, pairs)
