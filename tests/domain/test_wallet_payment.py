"""Payments between our own addresses: how they are booked, and which ways their states go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.instrument import Asset
from domain.ledger import net_of
from domain.wallet_payment import (
    FINAL_STATES,
    NEXT_STATES,
    STAGE_OF,
    PaymentKind,
    PaymentState,
    WalletPayment,
    booking,
    dropping,
    void_booking,
)

USDT = Asset(1, "USDT", 6, 6)
HOT, DEPOSIT, COLD = "wallet:hot:ETH", "wallet:deposit:ETH", "wallet:cold:ETH"
PENDING = "withdrawal:pending"


def _payment(kind: PaymentKind) -> WalletPayment:
    return WalletPayment(
        "id", kind, "ETH", "0xfrom", "0xto", "", USDT, "0xusdt", 70, 2, PaymentState.BROADCAST
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PaymentKind.SWEEP, {f"{HOT}:USDT": -70, f"{DEPOSIT}:USDT": 70, f"{DEPOSIT}:ETH": 3}),
        (PaymentKind.GAS, {f"{DEPOSIT}:USDT": -70, f"{HOT}:USDT": 70, f"{HOT}:ETH": 3}),
        (PaymentKind.COLD, {f"{COLD}:USDT": -70, f"{HOT}:USDT": 70, f"{HOT}:ETH": 3}),
        (PaymentKind.REFILL, {f"{HOT}:USDT": -70, f"{COLD}:USDT": 70, f"{COLD}:ETH": 3}),
        (PaymentKind.RETURN, {f"{PENDING}:USDT": -70, f"{HOT}:USDT": 70, f"{HOT}:ETH": 3}),
    ],
)
def test_coins_go_from_account_to_account_and_the_fee_is_ours(
    kind: PaymentKind, expected: dict[str, int]
) -> None:
    """Wallet accounts hold minus the coins; who sends the transaction pays the fee."""
    journal = booking(_payment(kind), "0xhash", 3, succeeded=True)
    assert net_of(journal.postings) == expected | {"network_fees:ETH": -3}


def test_a_reverted_payment_costs_gas_and_moves_nothing() -> None:
    """Only the fee is booked, under another key."""
    row = _payment(PaymentKind.SWEEP)
    journal = booking(row, "0xhash", 3, succeeded=False)
    assert net_of(journal.postings) == {f"{DEPOSIT}:ETH": 3, "network_fees:ETH": -3}
    assert journal.key != booking(row, "0xhash", 3, succeeded=True).key


def test_a_void_costs_the_hot_wallet_gas_and_only_what_it_pays_has_one() -> None:
    """Voided, the nonce is used up, and nothing has moved."""
    row = _payment(PaymentKind.COLD)
    journal = void_booking(row, "0xvoid", 3)
    assert net_of(journal.postings) == {f"{HOT}:ETH": 3, "network_fees:ETH": -3}
    assert [kind for kind in PaymentKind if _payment(kind).is_voidable] == ["gas", "cold", "return"]
    assert not replace(row, state=PaymentState.PLANNED).is_voidable


def test_a_return_that_is_not_made_is_in_suspense_again() -> None:
    """Whether it failed on the chain or was never sent; other payments hold nobody's money."""
    back = {f"{PENDING}:USDT": -70, "suspense:USDT": 70}
    row = _payment(PaymentKind.RETURN)
    failed = booking(row, "0xhash", 3, succeeded=False)
    assert net_of(failed.postings) == back | {f"{HOT}:ETH": 3, "network_fees:ETH": -3}
    voided = void_booking(row, "0xvoid", 3)
    assert net_of(voided.postings) == net_of(failed.postings)
    dropped = dropping(row, "its signatures have expired")
    assert dropped.journal is not None
    assert net_of(dropped.journal.postings) == back
    assert dropping(_payment(PaymentKind.GAS), "nothing is there").journal is None


def test_every_state_has_a_stage_and_only_final_ones_lead_nowhere() -> None:
    """Nothing is released once a nonce is given."""
    assert set(STAGE_OF) == set(NEXT_STATES) == set(PaymentState)
    final = {PaymentState.BOOKED, PaymentState.REVERTED, PaymentState.DROPPED, PaymentState.VOIDED}
    assert final == FINAL_STATES
    assert PaymentState.DROPPED not in NEXT_STATES[PaymentState.NUMBERED]
