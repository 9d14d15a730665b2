"""Refills by the cold wallet as payments of our own: stored before anybody can send them.

A file that pays the same as a stored refill, at its nonce and for more, replaces it: all of a
nonce's transactions belong to one payment, and whichever is mined is the payment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.chain import FeeQuote, Payment, replaces
from domain.cold_refill import RefillRequest
from domain.hash_chain import JsonValue
from domain.wallet_payment import PaymentKind, PaymentState, wallet_payment_workflow_id
from domain.withdrawal import REPLACED
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.wallet.erc20 import transfer_call
from infra.wallet.stored_transactions import store_transaction
from infra.wallet.transaction import (
    MalformedTransactionError,
    decode_signed,
    sender_of,
    transaction_hash,
)

_t = tables.wallet_transaction.c


_p = tables.wallet_payment.c
_REPLACEABLE = frozenset({PaymentState.SIGNED, PaymentState.BROADCAST})


class RefillObjection(StrEnum):
    """Why nothing of a signed file is stored; checked in this order for each transaction."""

    NONCE_TAKEN = "nonce_taken"  # something else than the same payment has it
    NONCE_USED = "nonce_used"  # the chain has mined one of it, so that nothing is left to replace
    TOO_CHEAP = "too_cheap"  # nodes would not take it in place of the stored one


class NonceTakenError(Exception):
    """Two were stored at once; whoever comes second looks again."""


@dataclass(frozen=True, slots=True)
class NotStored:
    """What is against the transaction with this nonce of the cold address."""

    why: RefillObjection
    nonce: int


@dataclass(frozen=True, slots=True)
class _Part:
    """One refill; its id follows from its transaction, so that it is stored once."""

    sender: str
    receiver: str
    asset_id: int
    amount: int
    raw: bytes

    @property
    def tx_hash(self) -> str:
        return transaction_hash(self.raw)

    @property
    def payment_id(self) -> UUID:
        return uuid5(NAMESPACE_URL, f"refill:{self.tx_hash}")

    @property
    def nonce(self) -> int:
        return decode_signed(self.raw).nonce


def fees_of(raw: bytes) -> FeeQuote:
    """Return what a raw signed transaction offers for its gas."""
    signed = decode_signed(raw)
    return FeeQuote(signed.max_fee, signed.priority_fee)


@dataclass(frozen=True, slots=True)
class _Stored:
    """Under which payment a transaction is stored; `replacement` None: it was there already."""

    payment_id: UUID
    part: _Part
    replacement: int | None


def _seen(payment: Payment, asset_id: int, raw: bytes) -> _Part | None:
    """Return what a mined transaction pays; None when it is no plain payment by its sender's key.

    Only then are its fee and its amount all that it takes from the cold address.
    """
    try:
        signed, sender = decode_signed(raw), sender_of(raw)
    except (MalformedTransactionError, ValueError):
        return None
    if payment.contract is None:
        plain = (payment.address, payment.amount, b"")
    else:
        plain = (payment.contract, 0, transfer_call(payment.address, payment.amount))
    pays = (signed.to, signed.value, signed.data) == plain
    if not pays or sender != payment.sender or transaction_hash(raw) != payment.tx_hash:
        return None
    return _Part(sender, payment.address, asset_id, payment.amount, raw)


class RefillStore:
    """Stores a signed file as one payment of the kind `refill` for each of its transactions."""

    def __init__(self, engine: AsyncEngine, audit: AuditStore) -> None:
        self._engine = engine
        self._audit = audit

    async def assets(self, chain: str) -> Mapping[str, tuple[str | None, int]]:
        """Return {code: (contract, decimals)} of the assets on a chain."""
        asset = tables.asset.c
        query = sa.select(asset.code, asset.contract, asset.chain_decimals).where(
            asset.chain == chain
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return {row.code: (row.contract, row.chain_decimals) for row in rows}

    async def next_nonce(self, chain: str, address: str) -> int:
        """Return the nonce behind the last that a stored refill of this address has, at least 0."""
        query = sa.select(sa.func.max(_t.nonce) + 1).where(_t.chain == chain, _t.address == address)
        async with self._engine.connect() as connection:
            return int(await connection.scalar(query) or 0)

    async def store(
        self,
        chain: str,
        request: RefillRequest,
        raws: Sequence[bytes],
        by: str,
        mined_below: int,
    ) -> list[str] | NotStored:
        """Store all transactions or none, and return the ids of their payments.

        The same file again changes nothing. The chain has used the sender's nonces below
        `mined_below`: what is stored there is not replaced.
        """
        asset = tables.asset.c
        actor = f"staff:{by}"
        async with self._engine.begin() as connection:
            rows = await connection.execute(
                sa.select(asset.code, asset.asset_id).where(asset.chain == chain)
            )
            ids = {row.code: row.asset_id for row in rows}
            done = []
            for it, raw in zip(request.payments, raws, strict=True):
                part = _Part(request.sender, request.receiver, ids[it.asset], it.amount, raw)
                placed = await self._place(connection, chain, part, mined_below)
                if isinstance(placed, RefillObjection):
                    await connection.rollback()
                    return NotStored(placed, part.nonce)
                done.append(placed)
            new = [it for it in done if it.replacement is not None]
            for one in new:
                await self._note(connection, one, actor)
            if new:
                await self._audit.append(
                    connection,
                    "hot-wallet",
                    actor,
                    "cold_refill_submitted",
                    f"cold-refill:{new[0].part.tx_hash}",
                    {
                        "request": request.text(),
                        "tx_hashes": [one.part.tx_hash for one in done],
                    },
                )
        return [str(one.payment_id) for one in done]

    async def _place(
        self, connection: AsyncConnection, chain: str, part: _Part, mined_below: int
    ) -> _Stored | RefillObjection:
        """Store one transaction: of a new payment, or in place of a stored refill's."""
        if (payment_id := await self._known(connection, part)) is not None:
            return _Stored(payment_id, part, None)
        rival = (
            await connection.execute(
                sa.select(tables.wallet_payment, _t.raw, _t.replacement)
                .join_from(
                    tables.wallet_transaction,
                    tables.wallet_payment,
                    _t.payment_id == _p.payment_id,
                )
                .where(_t.chain == chain, _t.address == part.sender, _t.nonce == part.nonce)
                .order_by(_t.replacement.desc())
                .limit(1)
                .with_for_update(of=tables.wallet_payment)
            )
        ).one_or_none()
        if rival is None:
            try:
                new = await self._insert(connection, chain, part, 0)
            except NonceTakenError:  # by another file, a moment ago
                return RefillObjection.NONCE_TAKEN
            return _Stored(part.payment_id, part, 0 if new else None)
        theirs = (rival.kind, rival.destination, rival.asset_id, int(rival.amount))
        if theirs != (PaymentKind.REFILL, part.receiver, part.asset_id, part.amount):
            return RefillObjection.NONCE_TAKEN
        if rival.state not in _REPLACEABLE or part.nonce < mined_below:
            return RefillObjection.NONCE_USED
        if not replaces(fees_of(bytes(rival.raw)), fees_of(part.raw)):
            return RefillObjection.TOO_CHEAP
        number = rival.replacement + 1
        if not await self._store(connection, chain, part, rival.payment_id, number):
            return RefillObjection.NONCE_TAKEN
        return _Stored(rival.payment_id, part, number)

    async def take_up(self, chain: str, payment: Payment, asset_id: int, raw: bytes) -> str | None:
        """Store a refill that came to the chain by another way than ours, and return its id.

        None when its transaction does more, or something else, than to pay: then nothing is known
        of what it took from the cold address.
        """
        part = _seen(payment, asset_id, raw)
        if part is None:
            return None
        while True:
            try:
                async with self._engine.begin() as connection:
                    payment_id = await self._known(connection, part)
                    number = await self._next_number(connection, chain, part)
                    if payment_id is None and await self._insert(connection, chain, part, number):
                        stored = _Stored(part.payment_id, part, 0)
                        await self._note(connection, stored, "chain-watcher")
                return str(payment_id or part.payment_id)
            except NonceTakenError:
                continue  # a file was submitted at this moment: now it is known

    async def _known(self, connection: AsyncConnection, part: _Part) -> UUID | None:
        """Return under which payment a transaction is stored already."""
        query = sa.select(_t.payment_id).where(_t.tx_hash == part.tx_hash)
        return await connection.scalar(query)

    async def _next_number(self, connection: AsyncConnection, chain: str, part: _Part) -> int:
        """Return the place of one more transaction with this nonce."""
        query = sa.select(sa.func.count()).where(
            _t.chain == chain, _t.address == part.sender, _t.nonce == part.nonce
        )
        return int(await connection.scalar(query) or 0)

    async def _insert(
        self, connection: AsyncConnection, chain: str, part: _Part, number: int
    ) -> bool:
        """Insert a payment with its transaction, the `number`th of its nonce; return if it is new.

        `NonceTakenError` when another has taken that place since it was looked at, so that no
        second payment comes of a file that was submitted at the same moment.
        """
        signed = decode_signed(part.raw)
        written = await connection.execute(
            insert(tables.wallet_payment)
            .values(
                payment_id=part.payment_id,
                kind=PaymentKind.REFILL,
                chain=chain,
                source=part.sender,
                destination=part.receiver,
                asset_id=part.asset_id,
                amount=part.amount,
                state=PaymentState.SIGNED,
                nonce=signed.nonce,
                gas=signed.gas,
                max_fee=signed.max_fee,
                priority_fee=signed.priority_fee,
                tx_hash=part.tx_hash,
            )
            .on_conflict_do_nothing()
        )
        if not written.rowcount:
            return False
        if not await self._store(connection, chain, part, part.payment_id, number):
            raise NonceTakenError(part.tx_hash)
        return True

    async def _store(
        self,
        connection: AsyncConnection,
        chain: str,
        part: _Part,
        payment_id: UUID,
        replacement: int,
    ) -> bool:
        return await store_transaction(
            connection,
            tx_hash=part.tx_hash,
            payment_id=payment_id,
            chain=chain,
            address=part.sender,
            nonce=part.nonce,
            replacement=replacement,
            raw=part.raw,
        )

    async def _note(self, connection: AsyncConnection, stored: _Stored, actor: str) -> None:
        part, number = stored.part, stored.replacement
        subject = wallet_payment_workflow_id(str(stored.payment_id))
        first = not number
        detail: dict[str, JsonValue] = {
            "kind": str(PaymentKind.REFILL),
            "source": part.sender,
            "destination": part.receiver,
            "amount": str(part.amount),
            "nonce": part.nonce,
            "tx_hash": part.tx_hash,
        }
        await self._audit.append(
            connection,
            subject,
            actor,
            PaymentState.SIGNED if first else REPLACED,
            f"{subject}:signed" if first else f"{subject}:{REPLACED}:{number}",
            detail,
        )
