"""The chain adapter against a real node, and against one that lies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from eth_keys.datatypes import PrivateKey

from domain.deposit import NATIVE_COIN
from infra.wallet import demo
from infra.wallet.chain import EvmChain, TransactionRefusedError
from infra.wallet.erc20 import transfer_call
from infra.wallet.rpc import ChainUnavailableError, JsonRpc, RpcError
from infra.wallet.transaction import Transaction, transaction_hash

pytestmark = pytest.mark.servers
KEY = PrivateKey(b"\x07" * 32)
SENDER = KEY.public_key.to_checksum_address()
RECEIVER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.fixture
async def chain(chain_url: str) -> AsyncIterator[EvmChain]:
    """Give an adapter whose key's address has coins."""
    chain = EvmChain(chain_url)
    await demo.fund(chain_url, SENDER, None, 10**18)
    yield chain
    await chain.close()


async def _payment(chain: EvmChain, nonce: int = 0, value: int = 10**17) -> bytes:
    fees = await chain.fee_quote()
    transaction = Transaction(
        chain_id=await chain.chain_id(),
        nonce=nonce,
        priority_fee=fees.priority_fee,
        max_fee=fees.max_fee,
        gas=21_000,
        to=RECEIVER,
        value=value,
        data=b"",
    )
    signature = KEY.sign_msg_hash(transaction.signing_hash())
    return transaction.signed(signature.v, signature.r, signature.s)


async def test_same_transaction_may_be_sent_again(chain: EvmChain, chain_url: str) -> None:
    """Waiting or mined: the node has it, so nothing is wrong."""
    raw = await _payment(chain)
    for _ in range(3):
        await chain.broadcast(raw)
    await _mine(chain_url)
    await chain.broadcast(raw)
    receipt = await chain.receipt(transaction_hash(raw))
    assert receipt is not None
    assert receipt.succeeded
    state = await chain.address_state(SENDER, {None})
    assert state.nonce == 1
    assert state.balances[None] == 10**18 - 10**17 - receipt.fee


async def test_other_transaction_with_a_used_nonce_is_refused(
    chain: EvmChain, chain_url: str
) -> None:
    """The node's own words come up."""
    await chain.broadcast(await _payment(chain))
    await _mine(chain_url)
    with pytest.raises(TransactionRefusedError, match="nonce"):
        await chain.broadcast(await _payment(chain, value=5))


async def _mine(chain_url: str) -> None:
    async with JsonRpc(chain_url) as rpc:
        await rpc.call("evm_mine")


class LyingRpc(JsonRpc):
    """Takes transactions and answers with an error."""

    async def call(self, method: str, *params: object) -> Any:
        result = await super().call(method, *params)
        if method == "eth_sendRawTransaction":
            raise RpcError(method, -32000, "internal error")
        return result


async def test_node_that_errs_after_accepting_is_seen_through(
    chain: EvmChain, chain_url: str
) -> None:
    """After a refusal the node is asked whether it knows the transaction."""
    chain._rpc = LyingRpc(chain_url)
    raw = await _payment(chain)
    await chain.broadcast(raw)
    assert await chain.knows(transaction_hash(raw))


async def test_block_shows_coin_and_token_payments(
    chain: EvmChain, chain_url: str, tmp_path: Path
) -> None:
    """Value of the transaction, and each Transfer log with its place in the transaction."""
    contracts = await demo.deploy_tokens(chain_url, tmp_path)
    minted = await demo.fund(chain_url, RECEIVER, contracts["USDT"], 7)
    receipt = await chain.receipt(minted)
    assert receipt is not None
    block = await chain.block(receipt.block_number)
    assert block is not None
    payment = block.payments[0]
    assert (payment.contract, payment.address, payment.amount) == (contracts["USDT"], RECEIVER, 7)
    assert payment.log_index == 0
    assert block.hash == receipt.block_hash == await chain.block_hash(receipt.block_number)

    paid = await demo.fund(chain_url, RECEIVER, None, 9)
    receipt = await chain.receipt(paid)
    assert receipt is not None
    block = await chain.block(receipt.block_number)
    assert block is not None
    assert [(entry.log_index, entry.amount) for entry in block.payments] == [(NATIVE_COIN, 9)]
    assert await chain.block(10**6) is None


async def test_gas_of_a_transfer_that_would_fail_is_refused(
    chain: EvmChain, chain_url: str, tmp_path: Path
) -> None:
    """Found out before a nonce is spent."""
    contracts = await demo.deploy_tokens(chain_url, tmp_path)
    call = transfer_call(RECEIVER, 1)
    with pytest.raises(TransactionRefusedError):
        await chain.gas_for(SENDER, contracts["USDT"], 0, call)
    await demo.fund(chain_url, SENDER, contracts["USDT"], 1)
    assert await chain.gas_for(SENDER, contracts["USDT"], 0, call) > 21_000


async def test_tokens_are_deployed_once_per_chain(chain_url: str, tmp_path: Path) -> None:
    """A second start keeps the addresses; a wiped chain gets its tokens again."""
    first = await demo.deploy_tokens(chain_url, tmp_path)
    assert await demo.deploy_tokens(chain_url, tmp_path) == first
    assert set(first) == {"USDT", "BTC", "USDX"}
    async with JsonRpc(chain_url) as rpc:
        await rpc.call("anvil_setCode", first["BTC"], "0x")
    second = await demo.deploy_tokens(chain_url, tmp_path)
    assert second["BTC"] != first["BTC"]
    assert second["USDT"] == first["USDT"]


async def test_node_that_is_away_is_its_own_error() -> None:
    """What the node did is unknown, so the step is tried again."""
    chain = EvmChain("http://127.0.0.1:1")
    with pytest.raises(ChainUnavailableError):
        await chain.head()
    await chain.close()
