"""An EVM chain as the wallet sees it, over JSON-RPC; native Bitcoin would be another adapter."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from domain.chain import AddressState, Block, FeeQuote, Payment, Receipt
from domain.deposit import NATIVE_COIN
from domain.evm_address import checksum_address
from infra.wallet import erc20
from infra.wallet.keccak import keccak256
from infra.wallet.rpc import ChainUnavailableError, JsonRpc, RpcError
from infra.wallet.transaction import transaction_hash

_KNOWN = ("already known", "already imported", "alreadyknown")
_GAS_MARGIN_PERCENT = 125
_TRANSFER_WORDS = 3  # topics of a Transfer log: signature, sender, receiver


class TransactionRefusedError(Exception):
    """The node will not take this transaction, and asking again will not change that."""


class EvmChain:
    """One node; everything it says may be late or wrong, so callers check hashes and depth."""

    def __init__(self, url: str) -> None:
        self._rpc = JsonRpc(url)

    async def close(self) -> None:
        """Close the connections to the node."""
        await self._rpc.close()

    async def chain_id(self) -> int:
        """Return the chain's number, part of every signature."""
        return int(await self._rpc.call("eth_chainId"), 16)

    async def head(self) -> int:
        """Return the newest block's number."""
        return int(await self._rpc.call("eth_blockNumber"), 16)

    async def block_hash(self, number: int) -> str | None:
        """Return the hash of the block that the chain has at `number` now."""
        header = await self._rpc.call("eth_getBlockByNumber", hex(number), False)
        return None if header is None else str(header["hash"])

    async def block(self, number: int) -> Block | None:
        """Return a block with every payment of its successful transactions; None above the head.

        Payments that a contract makes in the chain's own coin leave no log and are not seen.
        """
        body = await self._rpc.call("eth_getBlockByNumber", hex(number), True)
        if body is None:
            return None
        payments: list[Payment] = []
        if body["transactions"]:
            receipts = await self._rpc.call("eth_getBlockReceipts", hex(number))
            by_hash = {receipt["transactionHash"]: receipt for receipt in receipts or ()}
            for transaction in body["transactions"]:
                receipt = by_hash.get(transaction["hash"])
                if receipt is None or receipt["blockHash"] != body["hash"]:
                    raise ChainUnavailableError(f"block {number} changed while it was read")
                if receipt["status"] == "0x1":
                    payments.extend(_payments(transaction, receipt))
        return Block(
            number=number,
            hash=str(body["hash"]),
            parent_hash=str(body["parentHash"]),
            payments=tuple(payments),
        )

    async def receipt(self, tx_hash: str) -> Receipt | None:
        """Return the receipt of a mined transaction, or None while (or after) it is not mined."""
        found = await self._rpc.call("eth_getTransactionReceipt", tx_hash)
        if found is None:
            return None
        return Receipt(
            tx_hash=tx_hash,
            block_number=int(found["blockNumber"], 16),
            block_hash=str(found["blockHash"]),
            succeeded=found["status"] == "0x1",
            fee=int(found["gasUsed"], 16) * int(found["effectiveGasPrice"], 16),
        )

    async def fee_quote(self) -> FeeQuote:
        """Return fees that outlast about six full blocks: twice the base fee plus the tip."""
        head = await self._rpc.call("eth_getBlockByNumber", "latest", False)
        tip = int(await self._rpc.call("eth_maxPriorityFeePerGas"), 16)
        return FeeQuote(max_fee=2 * int(head["baseFeePerGas"], 16) + tip, priority_fee=tip)

    async def gas_for(self, sender: str, to: str, value: int, data: bytes) -> int:
        """Return a gas limit with a margin; `TransactionRefusedError` when it would be reverted."""
        call = {"from": sender, "to": to, "value": hex(value), "data": "0x" + data.hex()}
        try:
            gas = int(await self._rpc.call("eth_estimateGas", call), 16)
        except RpcError as error:
            raise TransactionRefusedError(f"the transfer would fail: {error.message}") from error
        return gas * _GAS_MARGIN_PERCENT // 100

    async def address_state(
        self, address: str, contracts: Collection[str | None], *, at_block: int | None = None
    ) -> AddressState:
        """Return nonce and balances of `address`, all of one block: the head, or `at_block`."""
        number = await self.head() if at_block is None else at_block
        at = hex(number)
        nonce = int(await self._rpc.call("eth_getTransactionCount", address, at), 16)
        balances: dict[str | None, int] = {}
        for contract in contracts:
            if contract is None:
                answer = await self._rpc.call("eth_getBalance", address, at)
            else:
                call = {"to": contract, "data": "0x" + erc20.balance_of_call(address).hex()}
                answer = await self._rpc.call("eth_call", call, at)
            balances[contract] = int(answer, 16) if answer != "0x" else 0
        return AddressState(block_number=number, nonce=nonce, balances=balances)

    async def broadcast(self, raw: bytes) -> None:
        """Hand a signed transaction to the node; one that it has already is a success.

        A node may take a transaction and answer with an error, so after any refusal it is asked
        whether it knows the transaction.
        """
        try:
            await self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcError as error:
            if any(sign in error.message.lower() for sign in _KNOWN):
                return
            if await self._rpc.call("eth_getTransactionByHash", transaction_hash(raw)) is None:
                raise TransactionRefusedError(error.message) from error

    async def knows(self, tx_hash: str) -> bool:
        """Return whether the node has the transaction, mined or waiting."""
        return await self._rpc.call("eth_getTransactionByHash", tx_hash) is not None


def _payments(transaction: Mapping[str, Any], receipt: Mapping[str, Any]) -> list[Payment]:
    """Return the payments of one successful transaction."""
    tx_hash = str(transaction["hash"])
    payments = []
    value = int(transaction["value"], 16)
    if value and transaction["to"] is not None:
        receiver = checksum_address(transaction["to"], keccak256)
        payments.append(Payment(tx_hash, NATIVE_COIN, None, receiver, value))
    for index, log in enumerate(receipt["logs"]):
        payment = _token_payment(tx_hash, index, log)
        if payment is not None:
            payments.append(payment)
    return payments


def _token_payment(tx_hash: str, index: int, log: Mapping[str, Any]) -> Payment | None:
    """Return the payment that a log shows; logs of other shapes (NFTs, events) are none."""
    topics = log["topics"]
    if len(topics) != _TRANSFER_WORDS or topics[0] != erc20.TRANSFER_TOPIC:
        return None
    data = str(log["data"])
    if len(data) != 2 + 64:
        return None
    return Payment(
        tx_hash=tx_hash,
        log_index=index,
        contract=checksum_address(log["address"], keccak256),
        address=checksum_address("0x" + topics[2][-40:], keccak256),
        amount=int(data, 16),
    )
