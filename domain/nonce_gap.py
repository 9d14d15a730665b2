"""A hole in the hot wallet's sequence: a nonce was given, and the node has nothing that uses it.

Nodes mine an account's transactions in the order of their nonces, so everything behind a hole waits
until it is filled: by its own transaction, sent again, or by a void.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from domain.withdrawal import StoredTransaction


@dataclass(frozen=True, slots=True)
class Numbered:
    """A nonce with its stored transactions, the first one first; "" where nothing has it."""

    nonce: int
    workflow_id: str
    stage: str
    transactions: tuple[StoredTransaction, ...] = ()

    @property
    def wanted(self) -> StoredTransaction | None:
        """Return the one that the node ought to have: the newest, a void before any payment."""
        voids = tuple(one for one in self.transactions if one.voids)
        return next(reversed(voids or self.transactions), None)


@dataclass(frozen=True, slots=True)
class NonceGap:
    """The lowest hole; `workflow_id` "" where nothing has the nonce, `waiting` behind it.

    `is_signed` when a transaction of it is stored, so that the node has lost or never got it.
    """

    nonce: int
    workflow_id: str
    stage: str
    is_signed: bool
    waiting: int


def find_gap(
    mined: int, next_nonce: int, numbered: Sequence[Numbered], known: Collection[str]
) -> NonceGap | None:
    """Return the lowest hole from `mined` on, the chain's count of mined transactions.

    `next_nonce` is the table's; `known` are the hashes that the node has, mined or waiting.
    """
    by_nonce = {row.nonce: row for row in numbered}
    for nonce in range(mined, next_nonce):
        row = by_nonce.get(nonce)
        if row is None:
            return NonceGap(nonce, "", "", False, next_nonce - nonce - 1)
        if not any(one.tx_hash in known for one in row.transactions):
            return NonceGap(
                nonce,
                row.workflow_id,
                row.stage,
                bool(row.transactions),
                next_nonce - nonce - 1,
            )
    return None
