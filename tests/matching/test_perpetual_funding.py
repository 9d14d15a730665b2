"""Funding of perpetuals: a sample a minute, one rate, all positions paid by one command."""

from __future__ import annotations

import pytest

from domain import risk_commands as r
from domain.errors import RejectReason as R
from domain.events import Event, FundingPaid, FundingSettled, KeyDuplicate
from domain.order import Side
from domain.perpetual_state import PerpetualState as S
from tests.matching.desk import ETH_USDT, START_US, USDT, only, reason
from tests.matching.perpetual_desk import PERP, PerpetualDesk, refusal, terms

pytestmark = pytest.mark.usefixtures("each_engine")

HOUR_US = 3_600_000_000
NEXT_US = (START_US // HOUR_US + 1) * HOUR_US


@pytest.fixture
def desk() -> PerpetualDesk:
    """Return an open perpetual with hourly funding, without interest; 1 is long, 2 short."""
    made = PerpetualDesk(terms(funding_interval_seconds=3_600, interest_ppm=0, damper_ppm=0))
    made.fund(1, 2, 3)
    for account in (1, 2, 3):
        made.leverage(account, 20)
    made.pair(1, 2, 30)
    return made


def settle(desk: PerpetualDesk, instant_us: int = NEXT_US, key: int = 77) -> tuple[Event, ...]:
    """Settle a funding."""
    return desk.run(r.SettleFunding(key, PERP, instant_us))


def until(desk: PerpetualDesk, instant_us: int, price: int = 1_000, every: int = 9) -> None:
    """Let the index stand until an instant has passed."""
    while desk.time_us < instant_us:
        desk.time_us += every * 1_000_000
        desk.index(price)


def premium(desk: PerpetualDesk) -> None:
    """Let the book stand above the index: its bids are dearer."""
    desk.cancel_all(90)
    desk.sell(90, 1_030, 1_000)
    desk.buy(90, 1_020, 1_000)


def test_longs_pay_while_the_book_is_above_the_index(desk: PerpetualDesk) -> None:
    """The mean of the minutes' premiums, the missing ones counted as 0, is the rate."""
    premium(desk)
    until(desk, NEXT_US)
    before = {account: desk.balance(account, USDT)[0] for account in (1, 2)}
    header, *entries = settle(desk)
    assert isinstance(header, FundingSettled)
    assert 0 < header.premium_ppm <= 20_000
    cap = 750_000 * (20_000 - 10_000) // 10**6
    assert header.rate_ppm == min(header.premium_ppm, cap)
    paid = {e.account_id: e for e in only(tuple(entries), FundingPaid)}
    assert list(paid) == sorted(paid)
    assert header.entries == len(paid) == 2
    value = 30 * header.mark_ticks * 10
    assert paid[1].amount_units == -value * header.rate_ppm // 10**6
    assert paid[2].amount_units == value * header.rate_ppm // 10**6
    assert sum(e.amount_units for e in paid.values()) + header.rounding_units == 0
    for account in (1, 2):
        after = desk.balance(account, USDT)[0]
        assert after == before[account] + paid[account].amount_units
    assert desk.engine.dust() == header.rounding_units >= 0
    assert desk.is_conserved()


def test_dust_goes_to_the_rounding_account(desk: PerpetualDesk) -> None:
    """Three positions that do not divide: payers pay the unit, receivers go without it."""
    desk.pair(1, 3, 7)
    premium(desk)
    until(desk, NEXT_US)
    header, *entries = settle(desk)
    assert isinstance(header, FundingSettled)
    assert header.rounding_units == -sum(e.amount_units for e in only(tuple(entries), FundingPaid))
    assert 0 <= header.rounding_units < 3
    assert desk.is_conserved()


def test_a_funding_is_paid_once(desk: PerpetualDesk) -> None:
    """Not before its instant, not off the grid, not twice; a repeat has the first outcome."""
    until(desk, NEXT_US - 60_000_000)
    assert reason(settle(desk, key=10**6 + 1)) is R.FUNDING_NOT_DUE
    until(desk, NEXT_US)
    assert reason(settle(desk, NEXT_US - 1, key=10**6 + 2)) is R.FUNDING_NOT_DUE
    assert reason(settle(desk, NEXT_US + HOUR_US, key=10**6 + 3)) is R.FUNDING_NOT_DUE
    assert reason(desk.run(r.SettleFunding(10**6 + 4, ETH_USDT, NEXT_US))) is R.NOT_A_PERPETUAL
    assert reason(desk.run(r.SettleFunding(0, PERP, NEXT_US))) is R.MALFORMED_COMMAND
    assert refusal(settle(desk)) is R.NONE
    (again,) = settle(desk)
    assert isinstance(again, KeyDuplicate)
    assert again.same_body
    assert reason(settle(desk, key=78)) is R.FUNDING_NOT_DUE
    (first,) = settle(desk, key=10**6 + 1)
    assert isinstance(first, KeyDuplicate)
    assert first.first_reason is R.FUNDING_NOT_DUE


def test_guarded_minutes_sample_nothing(desk: PerpetualDesk) -> None:
    """With one side empty the market is guarded: its samples are 0, and so is the rate."""
    premium(desk)
    desk.cancel_all(90, PERP, Side.SELL)
    desk.stand(1_000, 20)
    assert desk.phase is S.GUARDED
    until(desk, NEXT_US)
    header = settle(desk)[0]
    assert isinstance(header, FundingSettled)
    assert header.premium_ppm < 200


def test_order_of_funding_and_close_decides_by_sequence_alone(desk: PerpetualDesk) -> None:
    """Who closed before the command pays nothing, who closes after it has paid."""
    premium(desk)
    until(desk, NEXT_US)
    desk.sell(3, 1_025, 30)
    desk.buy(2, 1_025, 30)
    paid = {e.account_id for e in only(settle(desk), FundingPaid)}
    assert paid == {1, 3}


def test_the_fund_that_cannot_pay_is_deleveraged_first() -> None:
    """Tested with a position of the fund in `test_liquidations`; without one nothing happens."""
    desk = PerpetualDesk(terms(funding_interval_seconds=3_600))
    until(desk, NEXT_US)
    header, *entries = settle(desk)
    assert isinstance(header, FundingSettled)
    assert (header.entries, entries) == (0, [])
    assert header.rate_ppm == 100  # the interest
