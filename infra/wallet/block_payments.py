"""The payments that an EVM block shows: in its transactions, its token logs and its traces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from domain.chain import Payment
from domain.deposit import FIRST_INTERNAL, NATIVE_COIN
from domain.evm_address import checksum_address
from infra.wallet import erc20
from infra.wallet.keccak import keccak256

_TRANSFER_WORDS = 3  # topics of a Transfer log: signature, sender, receiver


def payments_of(transaction: Mapping[str, Any], receipt: Mapping[str, Any]) -> list[Payment]:
    """Return the payments of one successful transaction, but those that contracts make in coins."""
    tx_hash = str(transaction["hash"])
    payments = []
    value = int(transaction["value"], 16)
    if value and transaction["to"] is not None:
        receiver, sender = _address(transaction["to"]), _address(transaction["from"])
        payments.append(Payment(tx_hash, NATIVE_COIN, None, receiver, value, sender))
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
        contract=_address(log["address"]),
        address=_address("0x" + topics[2][-40:]),
        amount=int(data, 16),
        sender=_address("0x" + topics[1][-40:]),
    )


def internal_payments(traces: Iterable[Mapping[str, Any]]) -> list[Payment]:
    """Return the payments in the chain's own coin that contracts make.

    A call that failed has paid nobody, nor has anything that it called. Each gets a number by its
    place among the transaction's calls, which stays the same wherever the transaction is mined.
    """
    failed: dict[str, list[list[int]]] = defaultdict(list)
    counted: dict[str, int] = defaultdict(int)
    payments = []
    for trace in traces:  # a caller comes before what it calls
        tx_hash, place = trace.get("transactionHash"), list(trace["traceAddress"])
        if tx_hash is None:  # a block's reward
            continue
        if trace.get("error"):
            failed[tx_hash].append(place)
        if not place:  # the transaction itself
            continue
        number = FIRST_INTERNAL - counted[tx_hash]
        counted[tx_hash] += 1
        if any(place[: len(it)] == it for it in failed[tx_hash]):
            continue
        paid = _paid(trace)
        if paid is not None:
            receiver, sender, amount = paid
            payments.append(Payment(str(tx_hash), number, None, receiver, amount, sender))
    return payments


def _paid(trace: Mapping[str, Any]) -> tuple[str, str, int] | None:
    """Return (receiver, sender, amount) of a call or a contract's end that moves coins."""
    action = trace["action"]
    if trace["type"] == "suicide":
        return _nonzero(action["refundAddress"], action["address"], action["balance"])
    if trace["type"] == "call" and action["callType"] == "call":
        return _nonzero(action["to"], action["from"], action["value"])
    return None


def _nonzero(receiver: str, sender: str, amount: str) -> tuple[str, str, int] | None:
    value = int(amount, 16)
    return (_address(receiver), _address(sender), value) if value else None


def _address(text: str) -> str:
    return checksum_address(text, keccak256)
