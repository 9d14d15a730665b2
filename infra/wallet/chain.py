"""An EVM chain as the wallet sees it, over JSON-RPC; native Bitcoin would be another adapter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import structlog

from domain.chain import (
    AddressState,
    Block,
    FeeQuote,
    Payment,
    Receipt,
    TransactionTooCheapError,
)
from infra.wallet import erc20
from infra.wallet.block_payments import internal_payments, payments_of
from infra.wallet.rpc import ChainUnavailableError, JsonRpc, RpcError
from infra.wallet.transaction import transaction_hash

_KNOWN = ("already known", "already imported", "alreadyknown")
_TOO_CHEAP = ("underpriced", "less than block base fee", "fee too low")
_GAS_MARGIN_PERCENT = 125
_GAS_OF_A_PLAIN_PAYMENT = 21_000  # whatever takes more has run a contract's code
_NO_SUCH_METHOD = -32601
_log = structlog.get_logger(__name__)
Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


class TransactionRefusedError(Exception):
    """The node will not take this transaction, and asking again will not change that."""


def _readable(
    ask: Callable[Parameters, Coroutine[Any, Any, Answer]],
) -> Callable[Parameters, Coroutine[Any, Any, Answer]]:
    """Let an answer that makes no sense be that of a node that is away: it is asked again."""

    @wraps(ask)
    async def asked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        try:
            return await ask(*args, **kwargs)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ChainUnavailableError(
                f"{ask.__name__}: the node's answer cannot be read ({type(error).__name__})"
            ) from error

    return asked


class EvmChain:
    """One node; everything it says may be late or wrong, so callers check hashes and depth."""

    def __init__(self, url: str, timeout_seconds: float = 10.0) -> None:
        self._rpc = JsonRpc(url, timeout_seconds)
        self._has_traces = True

    async def close(self) -> None:
        """Close the connections to the node."""
        await self._rpc.close()

    @_readable
    async def chain_id(self) -> int:
        """Return the chain's number, part of every signature."""
        return int(await self._rpc.call("eth_chainId"), 16)

    @_readable
    async def head(self) -> int:
        """Return the newest block's number."""
        return int(await self._rpc.call("eth_blockNumber"), 16)

    @_readable
    async def block_hash(self, number: int) -> str | None:
        """Return the hash of the block that the chain has at `number` now."""
        header = await self._rpc.call("eth_getBlockByNumber", hex(number), False)
        return None if header is None else str(header["hash"])

    @_readable
    async def block(self, number: int) -> Block | None:
        """Return a block with every payment of its successful transactions; None above the head."""
        body = await self._rpc.call("eth_getBlockByNumber", hex(number), True)
        if body is None:
            return None
        payments: list[Payment] = []
        if body["transactions"]:
            receipts = await self._rpc.call("eth_getBlockReceipts", hex(number))
            by_hash = {receipt["transactionHash"]: receipt for receipt in receipts or ()}
            ran_code = False
            for transaction in body["transactions"]:
                receipt = by_hash.get(transaction["hash"])
                if receipt is None or receipt["blockHash"] != body["hash"]:
                    raise ChainUnavailableError(f"block {number} changed while it was read")
                if receipt["status"] == "0x1":
                    payments.extend(payments_of(transaction, receipt))
                    ran_code |= int(receipt["gasUsed"], 16) > _GAS_OF_A_PLAIN_PAYMENT
            if ran_code:
                payments.extend(await self._internal(number, str(body["hash"])))
        return Block(
            number=number,
            hash=str(body["hash"]),
            parent_hash=str(body["parentHash"]),
            payments=tuple(payments),
        )

    async def _internal(self, number: int, block_hash: str) -> list[Payment]:
        """Return what contracts paid in the chain's own coin: they leave no log, only traces.

        A node without traces does not show such payments; the reconciliation of coins and ledger
        would then name them as a difference.
        """
        if not self._has_traces:
            return []
        try:
            traces = await self._rpc.call("trace_block", hex(number))
        except RpcError as error:
            if error.code != _NO_SUCH_METHOD:
                raise
            self._has_traces = False
            _log.warning("the node has no traces: coins that contracts pay are not seen")
            return []
        if any(trace["blockHash"] != block_hash for trace in traces or ()):
            raise ChainUnavailableError(f"block {number} changed while it was read")
        return internal_payments(traces or ())

    @_readable
    async def receipt(self, tx_hash: str) -> Receipt | None:
        """Return the receipt of a mined transaction, or None while (or after) it is not mined."""
        found = await self._rpc.call("eth_getTransactionReceipt", tx_hash)
        if found is None:
            return None
        if found["transactionHash"] != tx_hash:
            raise ChainUnavailableError("the node answers about another transaction")
        return Receipt(
            tx_hash=tx_hash,
            block_number=int(found["blockNumber"], 16),
            block_hash=str(found["blockHash"]),
            succeeded=found["status"] == "0x1",
            fee=int(found["gasUsed"], 16) * int(found["effectiveGasPrice"], 16),
        )

    @_readable
    async def fee_quote(self) -> FeeQuote:
        """Return fees that outlast about six full blocks: twice the base fee plus the tip."""
        head = await self._rpc.call("eth_getBlockByNumber", "latest", False)
        tip = int(await self._rpc.call("eth_maxPriorityFeePerGas"), 16)
        return FeeQuote(max_fee=2 * int(head["baseFeePerGas"], 16) + tip, priority_fee=tip)

    @_readable
    async def gas_for(self, sender: str, to: str, value: int, data: bytes) -> int:
        """Return a gas limit with a margin; `TransactionRefusedError` when it would be reverted.

        A node that fails at working it out is one that is away.
        """
        call = {"from": sender, "to": to, "value": hex(value), "data": "0x" + data.hex()}
        try:
            gas = int(await self._rpc.call("eth_estimateGas", call), 16)
        except RpcError as error:
            if error.is_nodes_own:
                raise ChainUnavailableError(str(error)) from error
            raise TransactionRefusedError(f"the transfer would fail: {error.message}") from error
        return gas * _GAS_MARGIN_PERCENT // 100

    @_readable
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

    @_readable
    async def has_code(self, address: str) -> bool:
        """Return whether the address is a contract's at the head."""
        return str(await self._rpc.call("eth_getCode", address, "latest")) not in ("0x", "")

    async def broadcast(self, raw: bytes) -> None:
        """Hand a signed transaction to the node; one that it has already is a success.

        A node may take a transaction and answer with an error, so after any refusal it is asked
        whether it knows the transaction. `TransactionTooCheapError` where it would take a dearer
        one.
        """
        try:
            await self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcError as error:
            if any(sign in error.message.lower() for sign in _KNOWN):
                return
            if await self._rpc.call("eth_getTransactionByHash", transaction_hash(raw)) is None:
                if any(sign in error.message.lower() for sign in _TOO_CHEAP):
                    raise TransactionTooCheapError(error.message) from error
                kind = ChainUnavailableError if error.is_nodes_own else TransactionRefusedError
                raise kind(error.message) from error

    async def raw_transaction(self, tx_hash: str) -> bytes | None:
        """Return a transaction's signed bytes; None from a node that does not know, or tell, it."""
        try:
            answer = await self._rpc.call("eth_getRawTransactionByHash", tx_hash)
        except RpcError as error:
            if error.code != _NO_SUCH_METHOD:
                raise
            return None
        return bytes.fromhex(answer.removeprefix("0x")) if isinstance(answer, str) else None

    async def knows(self, tx_hash: str) -> bool:
        """Return whether the node has the transaction, mined or waiting."""
        return await self._rpc.call("eth_getTransactionByHash", tx_hash) is not None
