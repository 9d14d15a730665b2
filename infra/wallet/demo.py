"""The demo's coins: deploy the tokens and hand out money on a development chain.

Only for a development node such as anvil: it signs for the node's own unlocked accounts. The first
of them deploys and mints the tokens, the second gives away the chain's coin.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.evm_address import checksum_address
from infra.postgres import tables
from infra.wallet import erc20
from infra.wallet.keccak import keccak256
from infra.wallet.rpc import JsonRpc

ARTIFACT = Path(__file__).parent / "contracts" / "Token.json"
_RECEIPT_SECONDS = 60.0
_POLL_SECONDS = 0.1
_SENDING = asyncio.Lock()
_FULL_PURSE = 10**24  # what the giver's balance is topped up to when it runs low


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """One token to deploy; `symbol` is the asset's code."""

    symbol: str
    name: str
    decimals: int


DEMO_TOKENS = (
    TokenPlan("USDT", "Demo Tether", 6),
    TokenPlan("BTC", "Demo Wrapped Bitcoin", 8),
    TokenPlan("USDX", "Demo Feed Dollar", 10),
)


def tokens_path(data_dir: Path) -> Path:
    """Return the file that remembers the deployed addresses."""
    return data_dir / "wallet" / "tokens.json"


async def deploy_tokens(
    chain_url: str, data_dir: Path, tokens: Sequence[TokenPlan] = DEMO_TOKENS
) -> dict[str, str]:
    """Return {code: contract address}; deploys what this chain does not have yet.

    Idempotent: an address from an earlier start is kept while the chain has code there.
    """
    path = tokens_path(data_dir)
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    async with JsonRpc(chain_url) as rpc:
        deployer = (await rpc.call("eth_accounts"))[0]
        for token in tokens:
            address = known.get(token.symbol)
            if address is None or await rpc.call("eth_getCode", address, "latest") == "0x":
                known[token.symbol] = await _deploy(rpc, deployer, token)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(known, indent=1) + "\n")
    return {token.symbol: known[token.symbol] for token in tokens}


async def record_contracts(engine: AsyncEngine, contracts: Mapping[str, str]) -> None:
    """Write the contract addresses into the asset table."""
    async with engine.begin() as connection:
        for code, address in contracts.items():
            await connection.execute(
                sa.update(tables.asset).where(tables.asset.c.code == code).values(contract=address)
            )


async def fund(chain_url: str, address: str, contract: str | None, amount: int) -> str:
    """Send `amount` chain units to `address` and return the mined transaction's hash.

    `contract` None sends the chain's own coin; else the token is minted, which is a transfer too.
    """
    async with JsonRpc(chain_url) as rpc:
        accounts = await rpc.call("eth_accounts")
        if contract is not None:
            call = {
                "from": accounts[0],
                "to": contract,
                "data": "0x" + erc20.mint_call(address, amount).hex(),
            }
        else:
            balance = int(await rpc.call("eth_getBalance", accounts[1], "latest"), 16)
            if balance < 2 * amount:
                purse = hex(max(_FULL_PURSE, 4 * amount))
                await rpc.call("anvil_setBalance", accounts[1], purse)
            call = {"from": accounts[1], "to": address, "value": hex(amount)}
        receipt = await _send(rpc, call)
        return str(receipt["transactionHash"])


async def _deploy(rpc: JsonRpc, deployer: str, token: TokenPlan) -> str:
    artifact = json.loads(ARTIFACT.read_text())
    arguments = erc20.constructor_arguments(token.name, token.symbol, token.decimals)
    receipt = await _send(rpc, {"from": deployer, "data": artifact["bytecode"] + arguments.hex()})
    return checksum_address(str(receipt["contractAddress"]), keccak256)


async def _send(rpc: JsonRpc, call: Mapping[str, object]) -> Mapping[str, object]:
    """Send a transaction of an unlocked account and return its receipt once mined.

    One at a time, as the node numbers an account's transactions when it takes them; mined at
    once, as nobody should wait for a block to be given play money.
    """
    async with _SENDING:
        tx_hash = await rpc.call("eth_sendTransaction", call)
        await rpc.call("evm_mine")
    async with asyncio.timeout(_RECEIPT_SECONDS):
        while True:
            receipt: Mapping[str, object] | None = await rpc.call(
                "eth_getTransactionReceipt", tx_hash
            )
            if receipt is not None:
                break
            await asyncio.sleep(_POLL_SECONDS)
    if receipt["status"] != "0x1":
        raise RuntimeError(f"transaction {tx_hash} was reverted")
    return receipt
