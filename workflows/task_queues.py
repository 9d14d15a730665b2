"""Task queues, split by trust and pace: only the signer's worker has keys."""

from __future__ import annotations

SETTLEMENT = "settlement"
WALLET = "wallet"
SIGNER = "signer"
