"""Postings: always balanced, exact in chain units, the right way round."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ledger
from domain.account import Account, AccountKind, UnknownAccountError, parse_account
from domain.events import Credited, Debited, Trade
from domain.instrument import Asset
from domain.ledger import JournalRequest, LedgerInvariantError, Pair, Posting
from domain.order import Side

USDT = Asset(1, "USDT", 6, 6)
ETH = Asset(2, "ETH", 18, 9)
BTC = Asset(3, "BTC", 8, 8)
ASSETS = {1: USDT, 2: ETH, 3: BTC}
PAIRS = {1: Pair(ETH, USDT), 2: Pair(BTC, USDT)}
BUY = Trade(
    sequence=9,
    index=1,
    symbol_id=1,
    trade_id=1,
    taker_side=Side.BUY,
    maker_order_id=1,
    taker_order_id=2,
    maker_account_id=7,
    taker_account_id=8,
    price_ticks=250_000,
    quantity_lots=10_000,
    base_units=10**9,
    quote_units=2_500_000_000,
    maker_fee_units=2_500_000,
    taker_fee_units=5_000_000,
)


def net(event: ledger.MoneyEvent) -> dict[str, int]:
    return ledger.net_of(ledger.postings_for(event, shard=0, assets=ASSETS, pairs=PAIRS))


def test_taker_buy() -> None:
    """The taker gets 1 ETH (18 decimals), pays quote and fee; the maker pays its fee."""
    assert net(BUY) == {
        "customer:8:trading.0:ETH": 10**18,
        "customer:7:trading.0:ETH": -(10**18),
        "customer:8:trading.0:USDT": -2_505_000_000,
        "customer:7:trading.0:USDT": 2_497_500_000,
        "fees.0:USDT": 7_500_000,
    }


def test_taker_sell_with_maker_rebate() -> None:
    """The maker buys; a negative maker fee is paid out of the fees."""
    sell = replace(BUY, taker_side=Side.SELL, maker_fee_units=-1_000_000)
    assert net(sell) == {
        "customer:7:trading.0:ETH": 10**18,
        "customer:8:trading.0:ETH": -(10**18),
        "customer:7:trading.0:USDT": -2_499_000_000,
        "customer:8:trading.0:USDT": 2_495_000_000,
        "fees.0:USDT": 4_000_000,
    }


def test_credit_and_debit_go_through_transit() -> None:
    """A credit leaves transit, a debit goes there, multiplied to chain units."""
    credit = Credited(1, 0, 1, 5, 7, 2, 3)
    debit = Debited(2, 0, 1, 6, 7, 2, 3)
    assert net(credit) == {"transit.0:ETH": -3 * 10**9, "customer:7:trading.0:ETH": 3 * 10**9}
    assert net(debit) == {"transit.0:ETH": 3 * 10**9, "customer:7:trading.0:ETH": -3 * 10**9}


@given(
    units=st.tuples(*[st.integers(0, 2**63 - 1)] * 2),
    fees=st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 10**9)),
    side=st.sampled_from(Side),
    symbol_id=st.sampled_from([1, 2]),
)
def test_every_trade_sums_to_zero_per_asset(
    units: tuple[int, int], fees: tuple[int, int], side: Side, symbol_id: int
) -> None:
    """Whatever the amounts, each asset of a trade sums to zero, exactly."""
    event = replace(
        BUY,
        symbol_id=symbol_id,
        taker_side=side,
        base_units=units[0],
        quote_units=units[1],
        maker_fee_units=fees[0],
        taker_fee_units=fees[1],
    )
    totals: dict[str, int] = {}
    for code, amount in net(event).items():
        asset = code.rpartition(":")[2]
        totals[asset] = totals.get(asset, 0) + amount
    assert set(totals.values()) <= {0}


def test_a_million_ether_is_exact() -> None:
    """10**24 wei pass through without loss."""
    event = replace(BUY, base_units=10**15)
    assert net(event)["customer:8:trading.0:ETH"] == 10**24


def test_unknown_symbol_asset_and_self_trade_are_refused() -> None:
    """What cannot be posted is an error, never silence."""
    for event in (
        replace(BUY, symbol_id=99),
        replace(BUY, maker_account_id=8),
        Credited(1, 0, 1, 5, 7, 99, 3),
    ):
        with pytest.raises(LedgerInvariantError):
            net(event)


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
