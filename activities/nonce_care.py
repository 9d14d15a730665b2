"""Looks after the hot wallet's sequence: finds its lowest hole, sends again what a node forgot."""

from __future__ import annotations

from typing import Protocol

import structlog

from activities.wallet_ports import BlockRows, ChainAdapter
from domain.nonce_gap import NonceGap, Numbered, find_gap

_MOST = 200  # nonces that one look takes in
_log = structlog.get_logger(__name__)


class Nonces(Protocol):
    """The nonces of one hot wallet."""

    chain: str
    address: str

    async def numbered(self, from_nonce: int, limit: int) -> tuple[int, tuple[Numbered, ...]]:
        """Return (the next nonce to be given, what is known of those given), by nonce."""


class NonceCare:
    """One hot wallet's nonces on its chain.

    A running workflow sends again what its node forgot; here it is done for those that are parked.
    """

    def __init__(self, rows: Nonces, blocks: BlockRows, chain: ChainAdapter) -> None:
        self._rows = rows
        self._blocks = blocks
        self._chain = chain

    async def find(self) -> NonceGap | None:
        """Return the lowest nonce that was given and that the node has no transaction for."""
        mined, next_nonce, numbered = await self._open()
        known: set[str] = set()
        for row in numbered:
            found = await self._known(row)
            if found is None:
                break  # no later hole is the lowest
            known.add(found)
        return find_gap(mined, next_nonce, numbered, known)

    async def _known(self, row: Numbered) -> str | None:
        """Return the hash of one that the node has, the newest first."""
        for one in reversed(row.transactions):
            if await self._chain.knows(one.tx_hash):
                return one.tx_hash
        return None

    async def send_again(self) -> list[str]:
        """Send what the node ought to have and has not; return whose transactions that were.

        Each was signed and stored, so it may be sent at any time; not to a node that lacks blocks
        we have seen. What the node refuses is left to people: an alarm names it.
        """
        tip = await self._blocks.tip(self._rows.chain)
        if tip is not None and await self._chain.head() < tip[0]:
            return []
        sent = []
        _, _, numbered = await self._open()
        for row in numbered:
            wanted = row.wanted
            if wanted is None or await self._chain.knows(wanted.tx_hash):
                continue
            try:
                await self._chain.broadcast(wanted.raw)
            except Exception as error:  # noqa: BLE001 - one bad transaction never stops the rest
                _log.warning("not_sent_again", tx_hash=wanted.tx_hash, error=str(error)[:200])
            else:
                _log.warning("sent_again", tx_hash=wanted.tx_hash, nonce=row.nonce)
                sent.append(row.workflow_id or wanted.tx_hash)
        return sent

    async def _open(self) -> tuple[int, int, tuple[Numbered, ...]]:
        """Return (mined transactions, next nonce, what is known of the nonces between)."""
        mined = (await self._chain.address_state(self._rows.address, ())).nonce
        next_nonce, numbered = await self._rows.numbered(mined, _MOST)
        return mined, next_nonce, numbered
