"""Accounts, postings and requests: codes that say what they mean, and nothing unbalanced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import ledger
from domain.account import Account, AccountKind, UnknownAccountError, parse_account
from domain.ledger import JournalRequest, Posting


def test_posting_refuses_what_is_no_movement() -> None:
    """Nothing, less than nothing, and a move to itself are refused."""
    for source, destination, amount in (("a", "b", 0), ("a", "b", -1), ("a", "a", 1)):
        with pytest.raises(ValueError, match="a posting needs"):
            Posting(source, destination, "USDT", amount)


@pytest.mark.parametrize(
    ("code", "account", "floor"),
    [
        (ledger.main(7, "USDT"), Account(AccountKind.MAIN, "USDT", customer_id=7), 0),
        (
            ledger.trading(7, 3, "ETH"),
            Account(AccountKind.TRADING, "ETH", customer_id=7, shard=3),
            0,
        ),
        (ledger.transit(0, "BTC"), Account(AccountKind.TRANSIT, "BTC", shard=0), 0),
        (
            ledger.trading(7, 3, "USDT"),  # collateral: negative against unrealised profit
            Account(AccountKind.TRADING, "USDT", customer_id=7, shard=3),
            None,
        ),
        (ledger.insurance(1, "USDT"), Account(AccountKind.INSURANCE, "USDT", shard=1), 0),
        (
            ledger.pnl_clearing(1, 9, "USDT"),
            Account(AccountKind.PNL_CLEARING, "USDT", shard=1, symbol_id=9),
            None,
        ),
        (ledger.fees(0, "BTC"), Account(AccountKind.FEES, "BTC", shard=0), None),
        (ledger.rounding(1, "BTC"), Account(AccountKind.ROUNDING, "BTC", shard=1), 0),
        (
            ledger.wallet_deposit("ETH", "USDT"),
            Account(AccountKind.WALLET_DEPOSIT, "USDT", chain="ETH"),
            None,
        ),
        (
            ledger.wallet_hot("ETH", "ETH"),
            Account(AccountKind.WALLET_HOT, "ETH", chain="ETH"),
            None,
        ),
        (ledger.withdrawal_pending("ETH"), Account(AccountKind.WITHDRAWAL_PENDING, "ETH"), 0),
        (ledger.wallet_fees("ETH"), Account(AccountKind.WALLET_FEES, "ETH"), None),
        (ledger.network_fees("ETH"), Account(AccountKind.NETWORK_FEES, "ETH"), None),
        (ledger.suspense("ETH"), Account(AccountKind.SUSPENSE, "ETH"), None),
        (ledger.capital("ETH"), Account(AccountKind.CAPITAL, "ETH"), None),
    ],
)
def test_codes_say_what_they_mean(code: str, account: Account, floor: int | None) -> None:
    """Each builder's code parses back, with its floor."""
    assert parse_account(code) == account
    assert ledger.floor_of(code) == floor


@pytest.mark.parametrize("code", ["", "customer:0:main:ETH", "customer:7:main:eth", "x:ETH", "a"])
def test_other_texts_are_no_accounts(code: str) -> None:
    """A code that no builder makes is refused."""
    with pytest.raises(UnknownAccountError):
        parse_account(code)


def test_detail_round_trip_and_request_hash() -> None:
    """Postings are read back from the stored detail; each part of the request is in the hash."""
    first = JournalRequest(
        "wallet", "k", "deposit", (Posting("a:X", "b:X", "X", 10**30),), {"n": 1}
    )
    stored = ledger.stored_detail(first)
    assert ledger.postings_from_detail(stored) == first.postings
    changed = [
        ledger.request_hash("other", stored),
        ledger.request_hash("deposit", {**stored, "n": 2}),
        ledger.request_hash("deposit", {**stored, "postings": []}),
    ]
    assert len({ledger.request_hash("deposit", stored), *changed}) == 4
    with pytest.raises(ValueError, match="postings"):
        ledger.stored_detail(replace(first, detail={"postings": []}))
