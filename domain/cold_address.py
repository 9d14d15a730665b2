"""Addresses of the cold wallet: from one block on, their coins are in the books.

What an address has at that block is its opening, the owners' money. From the next block on every
payment to it is seen by the watcher, and every payment of ours from it is stored before it is
sent: whatever else takes coins from it shows as a difference between books and chain.
"""

from __future__ import annotations

from collections.abc import Mapping

from domain.ledger import JournalRequest, Posting, capital, wallet_cold

STREAM = "wallet"
COLD_ADDRESS_PINNED = "cold_address_pinned"  # audit actions, about the hot wallet
COLD_ADDRESS_COUNTED = "cold_address_counted"


def opening(chain: str, address: str, coins: Mapping[str, int]) -> JournalRequest | None:
    """Return what takes an address' `coins` ({asset: chain units}) into the books, once."""
    postings = tuple(
        Posting(wallet_cold(chain, asset), capital(asset), asset, amount)
        for asset, amount in sorted(coins.items())
        if amount
    )
    if not postings:
        return None
    return JournalRequest(
        stream=STREAM,
        key=f"cold-{chain}-{address}-opening",
        kind="cold_opening",
        postings=postings,
        detail={"address": address},
    )
