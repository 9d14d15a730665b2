"""Whether a deposit in suspense may be paid back to its sender.

It is asked twice: when somebody proposes it, and right before the payment gets its nonce.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.adjustment import return_terms
from domain.deposit import Deposit
from domain.screening import SANCTIONS, Screening, Verdict
from domain.signing_limits import SIGNING_MARGIN
from domain.wallet_payment import WalletPayment
from domain.withdrawal import is_payable
from infra.postgres import tables
from infra.wallet.deposit_rows import read_deposit
from infra.wallet.keccak import keccak256
from infra.wallet.screening import Screener, listed_in


class CodeAtAddresses(Protocol):
    """What the chain says of an address."""

    async def has_code(self, address: str) -> bool:
        """Return whether it is a contract."""


def exchanges_path(data_dir: Path) -> Path:
    """Return the file of addresses that others share, one a line in checksum form; # a remark."""
    return data_dir / "wallet" / "exchange-addresses.txt"


class ReturnRules:
    """Says what is against a return, in words; `ScreeningAwayError` where nobody answers."""

    def __init__(
        self,
        engine: AsyncEngine,
        chain: CodeAtAddresses,
        screener: Screener,
        data_dir: Path,
        hot_address: str,
    ) -> None:
        self._engine = engine
        self._chain = chain
        self._screener = screener
        self._exchanges = exchanges_path(data_dir)
        self._hot_address = hot_address

    async def objection(self, row: Deposit) -> str | None:
        """Return why its sender may not be paid at all, whoever signs; None when he may."""
        if row.customer_id is None:
            return "it is the hot wallet's own"
        if row.reversed:
            return "the chain has lost it"
        if not is_payable(row.sender, keccak256):
            return "its sender is no address that can be paid"
        if await self._is_own(row.chain, row.sender):
            return "its sender is an address of our own"
        said = await self._screener.screen(
            Screening(
                subject=row.deposit_id,
                customer_id=row.customer_id,
                asset=row.asset.code,
                amount=row.amount,
                value_cents=None,
                chain=row.chain,
                address=row.sender,
            )
        )
        if said.verdict is Verdict.BLOCKED:
            return f"its sender is blocked ({SANCTIONS}:{said.rule}): nothing is paid there"
        return None

    async def warning(self, row: Deposit) -> str | None:
        """Return why what is sent back may never reach whom it came from, or None."""
        if row.sender in listed_in(self._exchanges):
            return "the sender is an exchange's address, which many share"
        if row.log_index < -1 or await self._chain.has_code(row.sender):
            return "the sender is a contract, which may not be able to take it or to pass it on"
        return None

    async def before_nonce(self, payment: WalletPayment, now: dt.datetime) -> str | None:
        """Return why a return that was signed for is not paid any more, or None."""
        async with self._engine.connect() as connection:
            row = await read_deposit(connection, payment.deposit_id)
        if row is None or row.sender != payment.destination:
            return "its deposit is not the one that was signed for"
        said = [return_terms(approval.statement) for approval in payment.approvals]
        needed_until = (now + SIGNING_MARGIN).timestamp()
        if any(it is None or it.expiry < needed_until for it in said):
            return "its signatures have expired"
        return await self.objection(row)

    async def _is_own(self, chain: str, address: str) -> bool:
        known, asset, cold = tables.deposit_address.c, tables.asset.c, tables.cold_address.c
        queries = (
            sa.select(known.address).where(known.chain == chain, known.address == address),
            sa.select(asset.contract).where(asset.contract == address),
            sa.select(cold.address).where(cold.chain == chain, cold.address == address),
        )
        if address == self._hot_address:
            return True
        async with self._engine.connect() as connection:
            found = [await connection.scalar(query.limit(1)) for query in queries]
        return any(found)
