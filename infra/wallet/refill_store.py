"""Refills by the cold wallet as payments of our own: stored before anybody can send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.chain import Payment
from domain.cold_refill import RefillRequest
from domain.hash_chain import JsonValue
from domain.wallet_payment import PaymentKind, PaymentState, wallet_payment_workflow_id
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


@dataclass(frozen=True, slots=True)
class NoncesTaken:
    """Other transactions than the file's have these nonces of the cold address already."""

    nonces: tuple[int, ...]


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
    def subject(self) -> str:
        return wallet_payment_workflow_id(str(self.payment_id))


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
        self, chain: str, request: RefillRequest, raws: Sequence[bytes], by: str
    ) -> list[str] | NoncesTaken:
        """Store all payments or none, and return their ids; the same file again changes nothing."""
        asset = tables.asset.c
        actor = f"staff:{by}"
        async with self._engine.begin() as connection:
            rows = await connection.execute(
                sa.select(asset.code, asset.asset_id).where(asset.chain == chain)
            )
            ids = {row.code: row.asset_id for row in rows}
            parts = [
                _Part(request.sender, request.receiver, ids[it.asset], it.amount, raw)
                for it, raw in zip(request.payments, raws, strict=True)
            ]
            new = [part for part in parts if await self._insert(connection, chain, part)]
            taken = await self._taken(connection, chain, parts)
            if taken:
                await connection.rollback()
                return NoncesTaken(taken)
            for part in new:
                await self._note(connection, part, actor)
            if new:
                await self._audit.append(
                    connection,
                    "hot-wallet",
                    actor,
                    "cold_refill_submitted",
                    f"cold-refill:{parts[0].tx_hash}",
                    {"request": request.text(), "tx_hashes": [part.tx_hash for part in parts]},
                )
        return [str(part.payment_id) for part in parts]

    async def take_up(self, chain: str, payment: Payment, asset_id: int, raw: bytes) -> str | None:
        """Store a refill that came to the chain by another way than ours, and return its id.

        None when its transaction does more, or something else, than to pay: then nothing is known
        of what it took from the cold address.
        """
        part = _seen(payment, asset_id, raw)
        if part is None:
            return None
        async with self._engine.begin() as connection:
            if await self._insert(connection, chain, part):
                await self._note(connection, part, "chain-watcher")
        return str(part.payment_id)

    async def _insert(self, connection: AsyncConnection, chain: str, part: _Part) -> bool:
        """Insert a payment with its transaction; return whether it is new."""
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
        before = sa.select(sa.func.count()).where(
            _t.chain == chain, _t.address == part.sender, _t.nonce == signed.nonce
        )
        await store_transaction(
            connection,
            tx_hash=part.tx_hash,
            payment_id=part.payment_id,
            chain=chain,
            address=part.sender,
            nonce=signed.nonce,
            replacement=await connection.scalar(before),
            raw=part.raw,
        )
        return True

    async def _taken(
        self, connection: AsyncConnection, chain: str, parts: Sequence[_Part]
    ) -> tuple[int, ...]:
        """Return the nonces of `parts` that other transactions have as well."""
        sender, ours = parts[0].sender, {part.tx_hash for part in parts}
        query = sa.select(_t.nonce).where(
            _t.chain == chain,
            _t.address == sender,
            _t.nonce.in_([decode_signed(part.raw).nonce for part in parts]),
            _t.tx_hash.not_in(ours),
        )
        return tuple(sorted(set((await connection.execute(query)).scalars())))

    async def _note(self, connection: AsyncConnection, part: _Part, actor: str) -> None:
        detail: dict[str, JsonValue] = {
            "kind": str(PaymentKind.REFILL),
            "source": part.sender,
            "destination": part.receiver,
            "amount": str(part.amount),
            "nonce": decode_signed(part.raw).nonce,
            "tx_hash": part.tx_hash,
        }
        await self._audit.append(
            connection, part.subject, actor, PaymentState.SIGNED, f"{part.subject}:signed", detail
        )
