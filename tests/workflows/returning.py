"""A deposit in suspense on its way back to its sender, for tests on a rig."""

from __future__ import annotations

import time
from functools import partial

from domain.adjustment import Adjustment
from infra.postgres.adjustment_store import AdjustmentStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.wallet import officers
from infra.wallet.pinned_officers import PinnedOfficers
from tests.workflows.wallet_rig import Rig
from workers import suspense_desk
from workers.signing_desk import signed_decision


async def pay_dust(rig: Rig, sender: str, address: str, amounts: list[int]) -> list[str]:
    """Pay less than the minimum in coins, several times; return the deposits, now in suspense."""
    hashes = [
        await rig.rpc("eth_sendTransaction", {"from": sender, "to": address, "value": hex(amount)})
        for amount in amounts
    ]
    await rig.mine()
    names = []
    for tx_hash in hashes:
        await rig.until(partial(rig.deposit_state, tx_hash), "below_minimum")
        names += await rig.deposit_names(tx_hash)
    return names


def store_of(rig: Rig) -> AdjustmentStore:
    """Return the rows of adjustments, as whoever posts returns has them."""
    hot = rig.wallet.public.hot_address
    return AdjustmentStore(rig.engine, LedgerStore(), AuditStore(), hot)


async def let_go(rig: Rig, deposit: str) -> Adjustment:
    """Propose to return a deposit; two officers sign, and it is posted."""
    made = await suspense_desk.propose_return(rig.engine, rig.settings, deposit, "a mistake")
    store = store_of(rig)
    pinned = PinnedOfficers(officers.pinned_path(rig.settings.data_dir))
    for officer in rig.wallet.officers[:2]:
        decision = signed_decision(rig.settings, officer, made)
        said = await store.sign(
            made.adjustment_id, decision, pinned, officers.verify_ed25519, int(time.time())
        )
        assert said is None
    assert await store.post(made.adjustment_id) is None
    assert await store.post(made.adjustment_id) is None  # once, however often
    return made
