"""Task queues, split by trust and pace: only the signer's worker has keys."""

from __future__ import annotations

SETTLEMENT = "settlement"
WALLET = "wallet"
SIGNER = "signer"


def risk_queue(shard: int) -> str:
    """Return the queue of a shard's risk service: its worker follows the shard's events."""
    return f"risk-{shard}"
