"""The checker's word on a wallet rig, where settlement by another engine is not what is checked."""

from __future__ import annotations

from activities.reconciliation import check_exchange
from domain.checker_records import EngineRecord
from infra.postgres.record_reader import RecordReader
from infra.wallet.coins import WalletCoins
from tests.workflows.wallet_rig import Rig


class _Engine:
    """The second engine: not what is checked here."""

    async def at(self, shard: int, sequence: int) -> EngineRecord:
        return EngineRecord(shard, sequence, {}, {}, 0)


async def no_violation_of_the_wallet(rig: Rig) -> None:
    """Let the watcher see the newest block, and ask the checker about rows, coins and ledger."""
    assert await violations_of_the_wallet(rig) == []


async def violations_of_the_wallet(rig: Rig) -> list[str]:
    """Return what the checker finds, once the watcher has seen the newest block."""
    await rig.mine(1)
    head = await rig.chain.head()
    await rig.until(lambda: _has_seen(rig, head), True)
    coins = WalletCoins(rig.chain, rig.wallet.public.hot_address)
    checked = await check_exchange(RecordReader(rig.engine), _Engine(), coins, [0])
    assert "chain_equals_wallet" in {looked.name for looked in checked.report.invariants}
    return [
        violation.text
        for violation in checked.report.violations
        if violation.invariant not in ("engine_equals_ledger", "cursor_follows_journal")
    ]


async def _has_seen(rig: Rig, height: int) -> bool:
    return rig.watcher.state.height >= height
