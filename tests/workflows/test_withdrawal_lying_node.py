"""Withdrawals through a node that lies, and through a chain that is reorganised: paid once each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio
import sqlalchemy as sa

from infra.postgres import tables
from infra.wallet.chain import EvmChain
from tests.workflows.wallet_books import no_violation_of_the_wallet
from tests.workflows.wallet_parts import OUTSIDE
from tests.workflows.wallet_rig import Rig
from workers.chaos.lying_node import Lie, LyingNode

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6
CUSTOMER = 1
SEND, RECEIPT, KNOWS = (
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
    "eth_getTransactionByHash",
)
ASKED = (  # what a withdrawal asks a node
    *("eth_blockNumber", "eth_chainId", "eth_getTransactionCount", "eth_getBalance", "eth_call"),
    *("eth_estimateGas", "eth_getBlockByNumber", "eth_maxPriorityFeePerGas", RECEIPT),
)
_PATIENCE = 0.4  # seconds until this exchange gives an answer up
_LATE = 3 * _PATIENCE


@dataclass(frozen=True)
class Lied:
    """A rig whose wallet sees the chain through a node that lies."""

    rig: Rig
    node: LyingNode


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lied(quiet_rig: Rig) -> AsyncIterator[Lied]:
    """Give them with a running worker, and a customer who has money."""
    node = LyingNode(quiet_rig.settings.chain_url)
    await node.start()
    chain = EvmChain(node.url, _PATIENCE)
    async with quiet_rig.worker(chain=chain):
        await quiet_rig.funded_customer(CUSTOMER, "USDT", 9_000 * USDT)
        yield Lied(quiet_rig, node)
    await chain.close()
    await node.stop()


async def _paid_once(lied: Lied) -> None:
    """Withdraw 100 USDT; the customer is debited, the receiver paid, the nonce used: once."""
    rig = lied.rig
    outside = await rig.coins(OUTSIDE, "USDT")
    trading = await rig.balance(f"customer:{CUSTOMER}:trading.0:USDT")
    nonce = await rig.hot_nonce()
    name = await rig.withdraw(CUSTOMER, "USDT", 100 * USDT)
    await _mined_until_settled(rig, name)
    assert lied.node.told == 0, "it lied about nothing: the test proves nothing"
    assert await rig.coins(OUTSIDE, "USDT") - outside == 99 * USDT
    assert trading - await rig.balance(f"customer:{CUSTOMER}:trading.0:USDT") == 100 * USDT
    assert await rig.hot_nonce() == nonce + 1
    assert "parked" not in await rig.audit(f"withdrawal-{name}")


async def _mined_until_settled(rig: Rig, name: str) -> None:
    """Mine block after block until the withdrawal is booked."""

    async def settled() -> str:
        await rig.mine(1)
        return await rig.state(name)

    await rig.until(settled, "settled")


async def test_lies_one_after_the_other(lied: Lied) -> None:
    """Unreadable, swallowed, late, an error after the effect; then it denies what was mined."""
    node = lied.node
    node.tell(Lie.WRONG, "eth_getTransactionCount", answer={"what": "is this?"})
    node.tell(Lie.SWALLOWS, SEND, answer="0x" + "00" * 32)
    node.tell(Lie.LATE, SEND, seconds=_LATE)
    node.tell(Lie.ERRS_AFTER, RECEIPT)
    node.tell(Lie.WRONG, RECEIPT, times=2)
    await _paid_once(lied)
    await no_violation_of_the_wallet(lied.rig)


@pytest.mark.long
@pytest.mark.parametrize(
    "tell",
    [
        lambda node: node.tell(Lie.LATE, SEND, seconds=_LATE),
        lambda node: node.tell(Lie.ERRS_AFTER, SEND),
        lambda node: node.tell(Lie.SILENT, SEND, times=3),
        lambda node: node.tell(Lie.SWALLOWS, SEND, times=2, answer="0x" + "00" * 32),
        lambda node: node.tell(Lie.WRONG, SEND, answer="not a hash"),
        lambda node: _deny(node),
        lambda node: node.tell(Lie.WRONG, RECEIPT, times=5),
        lambda node: node.tell(Lie.WRONG, RECEIPT, times=2, answer={"transactionHash": "0x1"}),
        lambda node: node.tell(Lie.WRONG, "eth_blockNumber", times=3, answer="0xffffff"),
        *(
            lambda node, method=method, lie=lie: node.tell(lie, method, seconds=_LATE, answer=[])
            for method in ASKED
            for lie in (Lie.WRONG, Lie.LATE, Lie.ERRS_AFTER)
        ),
    ],
)
async def test_each_lie_alone(lied: Lied, tell: Callable[[LyingNode], None]) -> None:
    """Whatever it is about: asked again, paid once, and nobody has to look."""
    lied.node.be_honest()  # again, whatever the test before has left
    tell(lied.node)
    await _paid_once(lied)


def _deny(node: LyingNode) -> None:
    """Know nothing of what was sent, so that it is sent again."""
    node.tell(Lie.WRONG, RECEIPT, times=2)
    node.tell(Lie.WRONG, KNOWS)


@pytest.mark.parametrize("depth", [2, pytest.param(12, marks=pytest.mark.long)])
async def test_reorganised_payment_is_mined_again(lied: Lied, depth: int) -> None:
    """Its block is gone before it was deep enough; the same bytes are sent once more."""
    rig = lied.rig
    await rig.mine(20)  # the deposit is older than what is reorganised
    usdt = sa.update(tables.asset).where(tables.asset.c.code == "USDT")
    async with rig.engine.begin() as connection:
        await connection.execute(usdt.values(confirmations=depth + 2))
    outside = await rig.coins(OUTSIDE, "USDT")
    name = await rig.withdraw(CUSTOMER, "USDT", 100 * USDT)
    await rig.until(lambda: rig.state(name), "broadcast")
    (only,) = await rig.withdrawals.transactions(name)
    await rig.until(lambda: _is_mined(rig, only.tx_hash), True)
    receipt = await rig.chain.receipt(only.tx_hash)
    assert receipt is not None
    await rig.rpc("evm_setIntervalMining", 0)
    while (missing := receipt.block_number + depth - 1 - await rig.chain.head()) > 0:
        await rig.mine(missing)
    deep = await rig.chain.head() - receipt.block_number + 1
    await rig.rpc("anvil_reorg", deep, [])
    again = await rig.chain.receipt(only.tx_hash)
    assert again is None or again.block_hash != receipt.block_hash
    assert await rig.state(name) == "broadcast"
    await rig.rpc("evm_setIntervalMining", 1)
    await _mined_until_settled(rig, name)
    assert (await rig.row(name)).tx_hash == only.tx_hash
    assert await rig.coins(OUTSIDE, "USDT") - outside == 99 * USDT
    async with rig.engine.begin() as connection:
        await connection.execute(usdt.values(confirmations=2))
    await no_violation_of_the_wallet(rig)


async def _is_mined(rig: Rig, tx_hash: str) -> bool:
    return await rig.chain.receipt(tx_hash) is not None
