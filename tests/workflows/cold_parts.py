"""A cold wallet for tests on a rig: its coins are in the books, its files are signed for real."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from domain.cold_refill import RefillRequest
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.wallet import demo
from infra.wallet.cold_addresses import ColdAddresses
from infra.wallet.cold_wallet import create_cold_wallet, sign_refill
from tests.workflows.wallet_rig import Rig
from workers.cold_desk import request_refill
from workers.wallet_desk import set_cold_address

WORDS = b"words that nobody guesses"


@dataclass(frozen=True)
class Cold:
    """A cold wallet with coins, pinned, and in the books."""

    folder: Path
    address: str

    async def signed(self, rig: Rig, **amounts: str) -> tuple[RefillRequest, str]:
        """Return a request and its signed file."""
        asked = await request_refill(rig.engine, rig.settings, self.address, amounts)
        return asked, self.sign(asked)

    def sign(self, asked: RefillRequest) -> str:
        """Return the signed file of a request."""
        return sign_refill(self.folder, asked, WORDS)


async def pinned_cold_wallet(rig: Rig, folder: Path) -> Cold:
    """Make a cold wallet with 10 ETH and 1,000 USDT, and wait until the books have them."""
    chain_id, hot = await rig.chain.chain_id(), rig.wallet.public.hot_address
    policy = create_cold_wallet(folder, WORDS, hot_address=hot, chain_id=chain_id)
    url = rig.settings.chain_url
    await demo.fund(url, policy.address, None, 10 * 10**18)
    await demo.fund(url, policy.address, rig.wallet.contracts["USDT"], 1_000 * 10**6)
    await set_cold_address(rig.engine, rig.settings, policy.address)
    await rig.until(partial(_is_counted, rig, policy.address), True)
    return Cold(folder, policy.address)


async def _is_counted(rig: Rig, address: str) -> bool:
    known = await ColdAddresses(rig.engine, LedgerStore(), AuditStore()).known("ETH")
    return known[address] is not None
