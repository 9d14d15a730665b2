"""What events post: always balanced, exact in chain units, the right way round."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ledger
from domain.event_postings import MONEY_EVENTS, MoneyEvent, Pair, postings_for
from domain.events import (
    Credited,
    Debited,
    Deleveraged,
    DustSwept,
    FundingPaid,
    FundingSettled,
    FundToppedUp,
    PerpetualTrade,
    TakenOver,
    Trade,
)
from domain.instrument import Asset
from domain.ledger import LedgerInvariantError
from domain.order import Side
from domain.risk_commands import FUND_ACCOUNT
from tests.domain.perpetual_flow import PerpetualFlow

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


def net(event: MoneyEvent) -> dict[str, int]:
    return ledger.net_of(postings_for(event, shard=0, assets=ASSETS, pairs=PAIRS))


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


CENTS = Asset(4, "CENT", 8, 6)  # a collateral whose chain unit is finer than the engine's
PERPETUALS = {3: Pair(BTC, CENTS), 4: Pair(ETH, CENTS)}
CLEARING = "pnl_clearing.0.3:CENT"


def moved(event: MoneyEvent) -> dict[str, int]:
    """Return the net of an event of market 3 in engine units."""
    postings = postings_for(event, shard=0, assets={4: CENTS}, pairs=PERPETUALS)
    return {code: amount // 100 for code, amount in ledger.net_of(postings).items()}


FILL = PerpetualTrade(
    sequence=9,
    index=1,
    symbol_id=3,
    trade_id=1,
    taker_side=Side.SELL,
    maker_order_id=1,
    taker_order_id=2,
    maker_account_id=7,
    taker_account_id=8,
    price_ticks=100,
    quantity_lots=5,
    quote_units=500,
    maker_fee_units=-1,
    taker_fee_units=3,
    insurance_units=0,
    maker_lots=5,
    maker_cost_units=500,
    maker_realised_units=0,
    taker_lots=0,
    taker_cost_units=0,
    taker_realised_units=40,
    maker_isolated=False,
    taker_isolated=False,
)


def test_a_perpetual_trade_moves_profit_and_fees_only() -> None:
    """Neither base nor quote changes hands; profit comes out of clearing, a loss goes there."""
    assert moved(FILL) == {
        CLEARING: -40,
        "customer:8:trading.0:CENT": 37,
        "customer:7:trading.0:CENT": 1,
        "fees.0:CENT": 2,
    }
    loss = moved(replace(FILL, taker_realised_units=-40))
    assert (loss[CLEARING], loss["customer:8:trading.0:CENT"]) == (40, -43)


@pytest.mark.parametrize("units", [25, -25])
def test_a_liquidation_fill_and_the_fund(units: int) -> None:
    """What it brought above the bankruptcy quote goes to the fund, which pays what is missing."""
    fill = replace(FILL, taker_fee_units=0, maker_fee_units=0, insurance_units=units)
    assert moved(fill) == {
        CLEARING: -40,
        "customer:8:trading.0:CENT": 40 - units,
        "insurance.0:CENT": units,
    }


def test_the_fund_as_a_side_of_a_trade() -> None:
    """Its profits and losses are the insurance account's."""
    assert moved(replace(FILL, taker_account_id=FUND_ACCOUNT))["insurance.0:CENT"] == 37


def test_takeover_and_deleveraging() -> None:
    """Each side gets what it realised; clearing keeps what is not realised yet."""
    head = (9, 0, 1, 5, 7, 3)
    taken = TakenOver(*head, -5, 450, 0, 0, -50, 5, 450, 0, isolated=True)
    assert moved(taken) == {CLEARING: 50, "customer:7:trading.0:CENT": -50}
    again = replace(taken, fund_realised_units=20)
    assert moved(again)["insurance.0:CENT"] == 20
    closed = Deleveraged(
        *(9, 0, 1, 5, 7, 8, 3, -5, 450, 0, 0, 0, -50, 0, 0, 60),
        isolated=False,
        counterparty_isolated=False,
    )
    assert moved(closed) == {
        CLEARING: -10,
        "customer:7:trading.0:CENT": -50,
        "customer:8:trading.0:CENT": 60,
    }


def test_funding_goes_through_clearing_and_leaves_nothing_there() -> None:
    """Entries and their rounding sum to zero."""
    events: list[MoneyEvent] = [
        FundingSettled(9, 0, 1, 3, 1, 100, 100, 10, 2, 3),
        FundingPaid(9, 1, 3, 7, 10, -34, isolated=False),
        FundingPaid(9, 2, 3, 8, -4, 13, isolated=False),
        FundingPaid(9, 3, 3, FUND_ACCOUNT, -6, 19, isolated=False),
    ]
    total: Counter[str] = Counter()
    for event in events:
        total.update(moved(event))
    assert +total - Counter() == {
        "customer:8:trading.0:CENT": 13,
        "insurance.0:CENT": 19,
        "rounding.0:CENT": 2,
    }
    assert total[CLEARING] == 0


def test_money_of_the_fund_from_outside() -> None:
    """A top-up is the owners' money; dust was the customers' and is theirs to be protected by."""
    head = (9, 0, 1, 5, FUND_ACCOUNT, 4)
    assert moved(FundToppedUp(*head, 70)) == {"capital:CENT": -70, "insurance.0:CENT": 70}
    assert moved(DustSwept(*head, 7)) == {"rounding.0:CENT": -7, "insurance.0:CENT": 7}
    for event in (FundToppedUp(9, 0, 1, 5, FUND_ACCOUNT, 99, 1), replace(FILL, symbol_id=99)):
        with pytest.raises(LedgerInvariantError):
            moved(event)


@given(st.integers(0, 10**6))
def test_balances_are_the_engines_after_any_commands(seed: int) -> None:
    """Cash, fees, rounding; and clearing is minus the cost of all open positions."""
    flow = PerpetualFlow(seed, asset_id=4)
    total: Counter[str] = Counter()
    for event in flow.commands(80):
        if isinstance(event, MONEY_EVENTS):
            total.update(moved(event))
    assert sum(total.values()) == 0
    expected = {
        f"customer:{account}:trading.0:CENT": units
        for account, units in flow.cash.items()
        if account != FUND_ACCOUNT
    }
    expected |= {
        "insurance.0:CENT": flow.cash[FUND_ACCOUNT],
        "fees.0:CENT": flow.fees,
        "rounding.0:CENT": flow.rounding,
        "capital:CENT": -flow.topped_up,
    }
    for symbol in flow.symbols:
        costs = [p.cost_units for (_, s), p in flow.positions.items() if s == symbol]
        expected[ledger.pnl_clearing(0, symbol, "CENT")] = -sum(costs)
    assert {code: units for code, units in total.items() if units} == {
        code: units for code, units in expected.items() if units
    }
    for symbol in flow.symbols:
        assert sum(p.lots for (_, s), p in flow.positions.items() if s == symbol) == 0
