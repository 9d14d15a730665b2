"""What a deposit books: to its owner, to suspense, and back after a reorganisation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.deposit import Deposit, DepositState, Dust, confirmation_tiers
from domain.deposit_booking import booking, restoration, reversal
from domain.instrument import Asset
from domain.ledger import net_of
from domain.screening import ScreeningResult, Verdict

COINS, SUSPENSE, MAIN = "wallet:deposit:ETH:USDT", "suspense:USDT", "customer:7:main:USDT"
CLEAR = ScreeningResult(Verdict.CLEAR)
DENIED = ScreeningResult(Verdict.BLOCKED, "denied-addresses.txt")
REVIEW = ScreeningResult(Verdict.REVIEW, "review-addresses.txt")
ROW = Deposit(
    deposit_id="deposit-ETH-0xab-0",
    chain="ETH",
    tx_hash="0xab",
    log_index=0,
    block_number=5,
    block_hash="0xb5",
    address="0xOurs",
    customer_id=7,
    asset=Asset(1, "USDT", 6, 6),
    amount=60,
    minimum=100,
    state=DepositState.PENDING,
    confirmations=0,
    tier=confirmation_tiers(2, 1_000)[0],
    transfer_id=None,
    reason=None,
)


@pytest.mark.parametrize(
    ("row", "dust", "screening", "state", "net"),
    [
        (ROW, [], CLEAR, "below_minimum", {COINS: -60, SUSPENSE: 60}),
        (ROW, [39], CLEAR, "below_minimum", {COINS: -60, SUSPENSE: 60}),
        (ROW, [10, 30], CLEAR, "posted", {COINS: -60, SUSPENSE: -40, MAIN: 100}),
        (replace(ROW, amount=100), [], CLEAR, "posted", {COINS: -100, MAIN: 100}),
        (replace(ROW, amount=100), [30], CLEAR, "posted", {COINS: -100, SUSPENSE: -30, MAIN: 130}),
        (ROW, [40], REVIEW, "suspended", {COINS: -60, SUSPENSE: 60}),
        (ROW, [40], DENIED, "suspended", {COINS: -60, SUSPENSE: 60}),
        (
            replace(ROW, customer_id=None),
            [],
            None,
            "refilled",
            {"wallet:hot:ETH:USDT": -60, "capital:USDT": 60},
        ),
        (
            replace(ROW, customer_id=None, is_cold=True),
            [],
            None,
            "refilled",
            {"wallet:cold:ETH:USDT": -60, "capital:USDT": 60},
        ),
    ],
)
def test_a_confirmed_payment_is_booked_once_where_it_belongs(
    row: Deposit,
    dust: list[int],
    screening: ScreeningResult | None,
    state: str,
    net: dict[str, int],
) -> None:
    """Small ones wait until all together reach the minimum; a refused sender takes none along."""
    small = [Dust(f"d{index}", amount) for index, amount in enumerate(dust)]
    change = booking(row, small, 2, screening)
    assert change.journal is not None
    assert (change.target, net_of(change.journal.postings)) == (state, net)
    collected = [it.deposit_id for it in small] if state == "posted" else []
    assert list(change.collects) == collected


@pytest.mark.parametrize(
    ("row", "net"),
    [
        (ROW, {COINS: 60, SUSPENSE: -60}),
        (replace(ROW, customer_id=None), {"wallet:hot:ETH:USDT": 60, "capital:USDT": -60}),
        (
            replace(ROW, customer_id=None, is_cold=True),
            {"wallet:cold:ETH:USDT": 60, "capital:USDT": -60},
        ),
    ],
)
def test_a_reorganisation_takes_the_coins_back_and_no_customers_money(
    row: Deposit, net: dict[str, int]
) -> None:
    """Restoring is the exact opposite, and each turn has a key of its own."""
    back, again = reversal(row), restoration(replace(row, turns=1))
    assert net_of(back.postings) == net
    assert net_of((*back.postings, *again.postings)) == {}
    assert len({back.key, again.key, reversal(replace(row, turns=2)).key}) == 3
