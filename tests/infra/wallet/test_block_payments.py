"""Payments in a block's traces: what contracts pay in the chain's own coin."""

from __future__ import annotations

from typing import Any

from domain.chain import Payment
from infra.wallet.block_payments import internal_payments

OURS = "0x1111111111111111111111111111111111111111"
THEIRS = "0x2222222222222222222222222222222222222222"


def _call(*place: int, value: int = 5, kind: str = "call", **more: Any) -> dict[str, Any]:
    action = {"from": THEIRS, "to": OURS, "value": hex(value), "callType": kind}
    trace = {"type": "call", "transactionHash": "0xa", "traceAddress": list(place)}
    return {**trace, "action": action, **more}


def _indexes(*traces: dict[str, Any]) -> list[int]:
    return [payment.log_index for payment in internal_payments(traces)]


def test_calls_below_the_transaction_are_payments() -> None:
    """The transaction's own value is in the transaction; each call has a number of its own."""
    assert internal_payments([_call(), _call(0), _call(1, value=7)]) == [
        Payment("0xa", -2, None, OURS, 5, THEIRS),
        Payment("0xa", -3, None, OURS, 7, THEIRS),
    ]


def test_a_failed_call_and_what_it_called_pay_nobody() -> None:
    """And numbers stay by place, so that the payment behind keeps its own."""
    assert _indexes(_call(), _call(0, error="Reverted"), _call(0, 0), _call(1)) == [-4]
    assert _indexes(_call(1, error="Reverted"), _call(1, 2), _call(10)) == [-4]


def test_only_calls_that_move_coins_count() -> None:
    """A library's code runs in the caller's name and moves nothing; a block's reward is no call."""
    reward = {"type": "reward", "traceAddress": [], "action": {}}
    assert _indexes(reward, _call(0, kind="delegatecall"), _call(1, value=0)) == []


def test_a_contract_that_ends_pays_what_it_had() -> None:
    """`selfdestruct` sends the whole balance without a call."""
    action = {"address": THEIRS, "refundAddress": OURS, "balance": "0x9"}
    end = {"type": "suicide", "transactionHash": "0xa", "traceAddress": [0], "action": action}
    assert internal_payments([end]) == [Payment("0xa", -2, None, OURS, 9, THEIRS)]
