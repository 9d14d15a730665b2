"""A sealed seed that opens quickly, for tests of what comes after."""

from __future__ import annotations

import secrets
from pathlib import Path

from infra.private_files import write_private
from infra.wallet.local_vault import ensure_passphrase, seed_path
from infra.wallet.vault import SEED_BYTES, KdfParameters, seal

CHEAPEST = KdfParameters(memory_kib=19_456, iterations=2, lanes=1)  # of those that are allowed


def make_quick_seed(data_dir: Path) -> None:
    """Seal a fresh seed at the least cost; `create_wallet` goes on from there.

    As it is sealed by default (tests/infra/wallet holds that) each opening takes half a second.
    """
    path = seed_path(data_dir)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(
        path, seal(secrets.token_bytes(SEED_BYTES), ensure_passphrase(data_dir), CHEAPEST)
    )
