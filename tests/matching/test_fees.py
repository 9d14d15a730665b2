"""Fee tiers and rebates: who pays what, and that nobody is ever short of it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from domain.commands import SetAccountTier
from domain.errors import RejectReason as R
from domain.events import AccountTierSet, OrderAccepted, Trade
from domain.fees import FeeRates, fee_table, fee_units, flat_fees, refuse_fees
from domain.limits import MAX_FEE_TIERS
from domain.order import SelfTrade, Side, TimeInForce
from matching.engine import restore_engine
from tests.matching.desk import ETH, LISTING, USDT, Desk, fills, only, order_id, reason
from tests.matching.mirror import Mirror

pytestmark = pytest.mark.usefixtures("each_engine")

TIERS = fee_table(FeeRates(1_000, 2_000), FeeRates(0, 1_000), FeeRates(-400, 400))
TIERED = replace(LISTING, fees=TIERS)


@pytest.fixture
def desk() -> Desk:
    """Give a market of three tiers with three funded accounts; account 3 is in tier 2."""
    desk = Desk(listings=(TIERED,))
    desk.fund(1, 2, 3)
    desk.run(SetAccountTier(3, 2))
    return desk


@pytest.mark.parametrize(
    ("maker_tier", "taker_tier", "fees"),
    [
        (0, 0, (1_000, 2_000)),
        (0, 1, (1_000, 1_000)),
        (1, 2, (0, 400)),
        (2, 0, (-400, 2_000)),
        (2, 2, (-400, 400)),
        (7, 7, (-400, 400)),
    ],
)
def test_each_side_pays_by_its_own_tier(
    maker_tier: int, taker_tier: int, fees: tuple[int, int]
) -> None:
    """Of a million units the rates in ppm are the fees; tiers beyond the last named are like it."""
    desk = Desk(listings=(TIERED,))
    desk.fund(1, 2)
    desk.run(SetAccountTier(1, maker_tier))
    desk.run(SetAccountTier(2, taker_tier))
    desk.sell(1, 1_000, 1_000)
    (trade,) = only(desk.buy(2, 1_000, 1_000), Trade)
    assert trade.quote_units == 10**6
    assert (trade.maker_fee_units, trade.taker_fee_units) == fees
    assert desk.engine.fees()[USDT] == sum(fees)


@pytest.mark.parametrize("side", Side)
def test_a_rebate_is_paid_out_of_the_same_fill(desk: Desk, side: Side) -> None:
    """The maker in the rebate tier gets units of quote, whichever side it is on."""
    desk.order(3, side, 1_000, 1_000)
    before = desk.balance(3, USDT)[0]
    (trade,) = only(desk.order(1, side.opposite, 1_000, 1_000), Trade)
    moved = trade.quote_units if side is Side.SELL else -trade.quote_units
    assert desk.balance(3, USDT) == (before + moved + 400, 0)
    assert desk.engine.fees()[USDT] == 1_600


def test_the_tier_counts_when_the_fill_happens(desk: Desk) -> None:
    """An order that rests is charged by the tier its account has when it trades."""
    desk.sell(1, 1_000, 2_000)
    first = only(desk.buy(2, 1_000, 1_000), Trade)[0]
    desk.run(SetAccountTier(1, 2))
    second = only(desk.buy(2, 1_000, 1_000), Trade)[0]
    desk.run(SetAccountTier(1, 0))
    assert (first.maker_fee_units, second.maker_fee_units) == (1_000, -400)


@pytest.mark.parametrize("tier", [0, 1, 2])
def test_every_tier_holds_at_the_highest_fee(desk: Desk, tier: int) -> None:
    """A buy holds quote and 2,000 ppm of it in any tier, so a worse tier finds it covered."""
    desk.run(SetAccountTier(1, tier))
    (accepted,) = only(desk.buy(1, 999, 7), OrderAccepted)
    assert accepted.hold_units == 999 * 7 + 14
    assert desk.balance(1, USDT)[1] == accepted.hold_units


def test_a_worse_tier_never_uncovers_a_hold() -> None:
    """An account whose whole balance is held trades all of it after falling to the worst tier."""
    fees = fee_table(FeeRates(2_000, 2_000), FeeRates(-100, 100))
    desk = Desk(listings=(replace(LISTING, fees=fees),))
    desk.fund(2)
    desk.credit(1, USDT, 999 * 7 + 14)
    desk.run(SetAccountTier(1, 1))
    desk.buy(1, 999, 7)
    assert desk.balance(1, USDT) == (7_007, 7_007)
    desk.run(SetAccountTier(1, 0))
    for _ in range(7):
        desk.sell(2, 999, 1)
    assert desk.balance(1, USDT) == (7_007 - 7 * (999 + 1), 0)
    assert desk.balance(1, ETH) == (700_000, 0)


def test_budgets_count_the_fee_of_the_tier(desk: Desk) -> None:
    """The same budget buys more lots in a cheaper tier, and is never exceeded."""
    desk.sell(2, 1_000, 10_000)
    bought = []
    for account in (1, 3):
        before = desk.balance(account, USDT)[0]
        (trade,) = only(desk.spend(account, 1_001_000), Trade)
        bought.append(trade.quantity_lots)
        assert before - desk.balance(account, USDT)[0] <= 1_001_000
    assert bought == [999, 1_000]


def test_setting_a_tier_says_what_it_was(desk: Desk) -> None:
    """The outcome names the new tier and the one before."""
    (outcome,) = only(desk.run(SetAccountTier(3, 5)), AccountTierSet)
    assert (outcome.account_id, outcome.tier, outcome.previous_tier) == (3, 5, 2)
    (outcome,) = only(desk.run(SetAccountTier(3, 0)), AccountTierSet)
    assert (outcome.tier, outcome.previous_tier) == (0, 5)


@pytest.mark.parametrize(
    ("account", "tier", "expected"),
    [
        (0, 1, R.MALFORMED_COMMAND),
        (1, -1, R.UNKNOWN_FEE_TIER),
        (1, MAX_FEE_TIERS, R.UNKNOWN_FEE_TIER),
        (1, 2**63 - 1, R.UNKNOWN_FEE_TIER),
    ],
)
def test_unknown_tiers_are_refused(desk: Desk, account: int, tier: int, expected: R) -> None:
    """A tier beyond the table changes nothing."""
    before = desk.engine.snapshot()
    assert reason(desk.run(SetAccountTier(account, tier))) is expected
    desk.engine = restore_engine(before)
    desk.sell(1, 1_000, 1_000)
    assert only(desk.buy(2, 1_000, 1_000), Trade)[0].maker_fee_units == 1_000


def test_tiers_survive_a_snapshot_and_count_in_the_digest(desk: Desk) -> None:
    """A tier is state, also of an account that has nothing; tier 0 leaves no trace."""
    other = restore_engine(desk.engine.snapshot())
    assert other.digest() == desk.engine.digest()
    before = desk.engine.snapshot()
    desk.run(SetAccountTier(99, 1))
    with_tier = desk.engine.snapshot()
    desk.run(SetAccountTier(99, 0))
    assert len(with_tier) == len(before) + 16
    assert len(desk.engine.snapshot()) == len(before)
    desk.engine = other
    desk.time_us += 10
    desk.sell(3, 1_000, 1_000)
    assert only(desk.buy(2, 1_000, 1_000), Trade)[0].maker_fee_units == -400


@pytest.mark.parametrize("seed", range(3))
def test_changing_tiers_never_costs_the_house(seed: int) -> None:
    """Any mix of tiers, sides and sizes: money is conserved, no fill costs, nobody is short."""
    chance = random.Random(seed)
    desk, mirror = Desk(listings=(TIERED,)), Mirror()
    desk.fund(1, 2, 3, 4, units=10**8)
    for _ in range(800):
        account = chance.randint(1, 4)
        if chance.random() < 0.15:
            desk.run(SetAccountTier(account, chance.randint(0, 3)))
            continue
        events = desk.order(
            account,
            Side(chance.randint(0, 1)),
            chance.randint(990, 1_010),
            chance.randint(1, 200),
            time_in_force=chance.choice((TimeInForce.GTC, TimeInForce.IOC)),
            self_trade=chance.choice(list(SelfTrade)),
        )
        for trade in only(events, Trade):
            assert trade.maker_fee_units + trade.taker_fee_units >= 0
        assert all(0 <= held <= total for total, held in desk.engine.balances().values())
    mirror.read(desk.events)
    assert len(fills(tuple(desk.events))) > 100
    assert any(trade.maker_fee_units < 0 for trade in only(tuple(desk.events), Trade))
    assert mirror.balances() == desk.engine.balances()
    assert mirror.fees[USDT] == desk.engine.fees()[USDT]


def test_rounding_is_named() -> None:
    """Fees and rebates are rounded down in magnitude; 999 x 7 at 2,000 ppm is 13.986."""
    assert (fee_units(6_993, 2_000), fee_units(6_993, -2_000), fee_units(0, -5)) == (13, -13, 0)


def test_tables_are_filled_and_bounded() -> None:
    """A table has every tier; one with too many, or none, is no table."""
    assert fee_table(FeeRates(1, 2)) == flat_fees(1, 2)
    assert len(TIERS) == MAX_FEE_TIERS
    assert TIERS[-1] == FeeRates(-400, 400)
    for rates in ((), (FeeRates(1, 2),) * (MAX_FEE_TIERS + 1)):
        with pytest.raises(ValueError, match="fee tiers"):
            fee_table(*rates)


@pytest.mark.parametrize(
    ("fees", "highest", "expected"),
    [
        (flat_fees(0, 0), 0, R.NONE),
        (flat_fees(-5, 5), 5, R.NONE),
        (flat_fees(0, 999_999), 999_999, R.NONE),
        (flat_fees(0, 0), -1, R.INVALID_FEES),
        (flat_fees(0, 0), 1_000_000, R.INVALID_FEES),
        (flat_fees(0, -1), 5, R.INVALID_FEES),
        (flat_fees(6, 5), 5, R.FEE_ABOVE_MAXIMUM),
        (flat_fees(0, 6), 5, R.FEE_ABOVE_MAXIMUM),
        (flat_fees(-(2**31), 5), 5, R.REBATE_ABOVE_TAKER_FEE),
        (fee_table(FeeRates(-5, 5), FeeRates(0, 4)), 5, R.REBATE_ABOVE_TAKER_FEE),
    ],
)
def test_which_rates_a_market_may_have(
    fees: tuple[FeeRates, ...], highest: int, expected: R
) -> None:
    """The rule and both engines' listings agree."""
    assert refuse_fees(fees, highest) is expected
    desk = Desk(listings=())
    outcome = desk.run(replace(LISTING, fees=fees, max_taker_fee_ppm=highest))
    assert expected is R.NONE or reason(outcome) is expected
    assert bool(desk.engine.symbols()) == (expected is R.NONE)


def test_an_amended_buy_holds_at_the_highest_fee(desk: Desk) -> None:
    """What is left of a shrunk buy in a cheap tier still holds for the worst one."""
    resting = order_id(desk.buy(3, 999, 7))
    desk.amend(3, resting, quantity_lots=5)
    assert desk.balance(3, USDT)[1] == 999 * 5 + 10
