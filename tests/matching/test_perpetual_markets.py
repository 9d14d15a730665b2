"""Perpetual markets: listing and terms, index and mark, states, what a snapshot holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import risk_commands as r
from domain.circuit_breaker import Trip
from domain.commands import AmendOrder, SetParameters, Started, Tick
from domain.errors import RejectReason as R
from domain.events import (
    IndexSet,
    PerpetualStateSet,
    RiskParametersSet,
    SymbolListed,
)
from domain.order import OrderType, Side
from domain.perpetual_state import PerpetualState as S
from domain.perpetual_state import StateTrigger
from domain.perpetual_terms import BracketRow
from domain.risk_bounds import MAX_PRICE_TICKS
from matching.codec import encode_events
from matching.engine import restore_engine
from tests.matching.desk import BTC, ETH_USDT, USDT, Desk, order_id, reason
from tests.matching.perpetual_desk import PERP, RULES, TERMS, PerpetualDesk, refusal, terms

pytestmark = pytest.mark.usefixtures("each_engine")


@pytest.fixture
def desk() -> PerpetualDesk:
    """Return an open perpetual; accounts 1 to 3 have 1,000 USDT each, at a leverage of 20."""
    made = PerpetualDesk()
    made.fund(1, 2, 3)
    for account in (1, 2, 3):
        made.leverage(account, 20)
    return made


# -- listing ----------------------------------------------------------------------------


def test_a_listing_says_rules_and_terms() -> None:
    """A market comes with its terms, guarded, and without a mark takes no order."""
    desk = Desk(listings=())
    listed, told = desk.run(r.ListPerpetual(RULES, TERMS))
    assert isinstance(listed, SymbolListed)
    assert isinstance(told, RiskParametersSet)
    assert told.terms == TERMS
    (market,) = desk.engine.perpetuals()
    assert (market.phase, market.mark_ticks) == (S.GUARDED, 0)
    desk.credit(1, USDT, 10**9)
    assert reason(desk.buy(1, 1_000, 1, symbol_id=PERP)) is R.MARK_UNKNOWN


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"brackets": ()}, R.BRACKETS_EMPTY),
        ({"brackets": (BracketRow(5, 1, 2),)}, R.BRACKETS_FIRST_FLOOR),
        ({"brackets": (BracketRow(0, 5, 9), BracketRow(0, 6, 9))}, R.BRACKETS_FLOORS),
        ({"cap_units": 50_000_000}, R.BRACKETS_CAP),
        ({"brackets": (BracketRow(0, 0, 9),)}, R.BRACKETS_RATES),
        ({"brackets": (BracketRow(0, 5, 9), BracketRow(10**6, 5, 9))}, R.BRACKETS_MMR_FALLS),
        ({"brackets": (BracketRow(0, 5, 9), BracketRow(10**6, 6, 8))}, R.BRACKETS_IMR_FALLS),
        ({"brackets": (BracketRow(0, 9, 9),)}, R.BRACKETS_MMR_ABOVE_IMR),
        ({"brackets": (BracketRow(0, 5, 9), BracketRow(7, 6, 9))}, R.BRACKETS_AMOUNT),
        ({"max_leverage": 0}, R.INVALID_RISK_PARAMETERS),
        ({"fund_stop_ppm": 1}, R.INVALID_RISK_PARAMETERS),
        ({"funding_interval_seconds": 61}, R.INVALID_RISK_PARAMETERS),
        ({"index_min_sources": 9}, R.INVALID_RISK_PARAMETERS),
        ({"basis_window_us": 0}, R.INVALID_RISK_PARAMETERS),
        ({"basis_window_us": 3_600_000_001}, R.INVALID_RISK_PARAMETERS),
        ({"impact_units": 2**60}, R.INVALID_RISK_PARAMETERS),
        ({"oi_lower_units": 5, "oi_upper_units": 5}, R.INVALID_RISK_PARAMETERS),
    ],
)
def test_unlawful_terms_are_refused_by_name(changed: dict[str, object], why: R) -> None:
    """Each fault has its number, at the listing and when terms change; nothing is listed."""
    desk = PerpetualDesk(is_open=False)
    before = desk.perpetual
    rules = replace(RULES, symbol_id=8)
    assert reason(desk.run(r.ListPerpetual(rules, replace(TERMS, **changed)))) is why  # type: ignore[arg-type]
    assert reason(desk.run(r.SetRiskParameters(PERP, replace(TERMS, **changed)))) is why  # type: ignore[arg-type]
    assert [one.symbol_id for one in desk.engine.perpetuals()] == [PERP]
    assert desk.perpetual == before


def test_rules_that_perpetuals_cannot_have() -> None:
    """A wide band, too many orders, too large a grid, another collateral."""
    desk = PerpetualDesk(is_open=False)
    other = replace(RULES, symbol_id=8)
    for changed, why in (
        ({"band_ppm": 10**6}, R.INVALID_RISK_PARAMETERS),
        ({"max_open_orders": 1_001}, R.INVALID_RISK_PARAMETERS),
        ({"quote_units_per_tick_lot": 2**17}, R.OVERFLOW),
        ({"base_asset_id": USDT, "quote_asset_id": BTC}, R.FIXED_PARAMETER),
        ({"symbol_id": ETH_USDT}, R.SYMBOL_ALREADY_LISTED),
    ):
        assert reason(desk.run(r.ListPerpetual(replace(other, **changed), TERMS))) is why  # type: ignore[arg-type]
    assert reason(desk.run(r.SetRiskParameters(ETH_USDT, TERMS))) is R.NOT_A_PERPETUAL
    assert reason(desk.run(r.SetRiskParameters(99, TERMS))) is R.UNKNOWN_SYMBOL
    wide = SetParameters(**{n: getattr(RULES, n) for n in RULES.__slots__} | {"band_ppm": 10**6})
    assert reason(desk.run(wide)) is R.INVALID_RISK_PARAMETERS


def test_terms_change_once_per_key() -> None:
    """A repeat is answered with the first outcome, another body under the key as a conflict."""
    desk = PerpetualDesk(is_open=False)
    (told,) = desk.run(r.SetRiskParameters(PERP, terms(max_leverage=5), key=9))
    assert isinstance(told, RiskParametersSet)
    (again,) = desk.run(r.SetRiskParameters(PERP, terms(max_leverage=5), key=9))
    (other,) = desk.run(r.SetRiskParameters(PERP, terms(max_leverage=6), key=9))
    assert (again.same_body, other.same_body) == (True, False)  # type: ignore[union-attr]
    assert desk.perpetual.terms.max_leverage == 5


# -- index, mark, states ----------------------------------------------------------------


def test_the_index_is_the_median_of_fresh_agreeing_sources(desk: PerpetualDesk) -> None:
    """Old and distant sources do not count; with too few the index stays as it was."""
    (told, *_) = desk.index(1_000, 1_004, 1_010, 700)
    assert isinstance(told, IndexSet)
    assert (told.index_ticks, told.sources) == (1_004, 3)
    (told, moved) = desk.index(1_000, 1_000, 500)
    assert isinstance(told, IndexSet)
    assert isinstance(moved, PerpetualStateSet)
    assert (told.index_ticks, told.sources) == (1_004, 2)
    assert (moved.state, moved.trip) == (S.GUARDED, Trip.TOO_FEW_SOURCES)
    assert desk.index(1_000, age_us=11_000_000)[0].sources == 0  # type: ignore[union-attr]


def test_our_own_wick_does_not_move_the_mark(desk: PerpetualDesk) -> None:
    """A third off in our book, others flat: the mark stays, and nobody is below margin."""
    desk.pair(1, 2, 100)
    desk.cancel_all(90)
    desk.buy(90, 700, 1)
    desk.sell(3, 910, 1)
    desk.buy(2, 910, 1)
    told = desk.index(1_000)[0]
    assert isinstance(told, IndexSet)
    assert 990 <= told.mark_ticks <= 1_000
    assert desk.scope(1).equity_units > desk.scope(1).maintenance_units


def test_after_a_start_the_mark_is_stale_for_a_window(desk: PerpetualDesk) -> None:
    """Restarted, a market is guarded; it opens when a whole basis window has passed."""
    *_, moved = desk.run(Started(2, 7))
    assert isinstance(moved, PerpetualStateSet)
    assert (moved.state, moved.trigger) == (S.GUARDED, StateTrigger.STARTED)
    desk.stand(1_000, 140)
    assert (desk.phase, desk.perpetual.mark_is_fresh) == (S.GUARDED, False)
    desk.stand(1_000, 20)
    assert (desk.phase, desk.perpetual.mark_is_fresh) == (S.OPEN, True)


def test_the_basis_window_is_a_term_of_the_market() -> None:
    """With one of ten seconds the mark is fresh after ten, and the basis forgets as quickly."""
    desk = PerpetualDesk(terms(basis_window_us=10_000_000), is_open=False)
    desk.fund(90)
    desk.index(1_000)
    desk.sell(90, 1_040, 1)
    desk.buy(90, 1_000, 1)
    desk.stand(1_000, 5)
    assert (desk.phase, desk.perpetual.mark_is_fresh) == (S.GUARDED, False)
    desk.stand(1_000, 5)
    assert (desk.phase, desk.perpetual.mark_is_fresh) == (S.OPEN, True)
    desk.run(Started(2, 7))
    desk.stand(1_000, 15)
    assert (desk.phase, desk.perpetual.mark_is_fresh) == (S.OPEN, True)


def test_silence_guards_a_market(desk: PerpetualDesk) -> None:
    """No index for longer than it may be old: guarded by a tick; then no market orders."""
    desk.time_us += 10_000_000
    *_, moved = desk.run(Tick())
    assert isinstance(moved, PerpetualStateSet)
    assert moved.trip is Trip.TOO_FEW_SOURCES
    assert reason(desk.market(1, Side.BUY, 1)) is R.MARKET_GUARDED
    assert reason(desk.buy(1, 1_060, 1)) is R.PRICE_OUTSIDE_BAND  # half of 10 %
    assert refusal(desk.buy(1, 1_050, 1)) is R.NONE


def test_a_moving_mark_trips_the_breaker(desk: PerpetualDesk) -> None:
    """More than a tenth within a minute."""
    desk.cancel_all(90)
    desk.buy(90, 1_090, 1)
    desk.sell(90, 1_100, 1)
    events: list[object] = []
    for _ in range(30):
        desk.time_us += 1_000_000
        events += desk.index(1_130)
    moved = next(e for e in events if isinstance(e, PerpetualStateSet))
    assert moved.trip is Trip.MARK_MOVED


def test_an_empty_side_trips_the_breaker(desk: PerpetualDesk) -> None:
    """For ten seconds; the market is calm again when both sides are quoted."""
    desk.cancel_all(90, PERP, Side.SELL)
    phases = []
    for seconds in (10, 5):
        desk.stand(1_000, seconds)
        phases.append(desk.phase)
    desk.sell(90, 1_020, 1)
    desk.index(1_000)
    assert [*phases, desk.phase] == [S.OPEN, S.GUARDED, S.OPEN]


def test_operators_move_a_market(desk: PerpetualDesk) -> None:
    """Reduce, halt, resume, settle; what changes nothing is refused; who and why is said."""
    desk.pair(1, 2, 10)
    (moved,) = desk.run(r.SetPerpetualState(PERP, r.Trigger.REDUCE, "ada", "a shortfall"))
    assert isinstance(moved, PerpetualStateSet)
    assert (moved.state, moved.actor, moved.reason) == (S.REDUCE_ONLY, "ada", "a shortfall")
    assert reason(desk.buy(1, 990, 1)) is R.MARKET_REDUCE_ONLY
    assert refusal(desk.sell(1, 1_000, 10)) is R.NONE
    assert reason(desk.sell(1, 1_000, 1)) is R.MARKET_REDUCE_ONLY
    assert reason(desk.run(r.SetPerpetualState(PERP, r.Trigger.SETTLE))) is R.STATE_UNCHANGED
    desk.run(r.SetPerpetualState(PERP, r.Trigger.HALT))
    assert reason(desk.sell(2, 1_000, 1)) is R.MARKET_HALTED
    assert refusal(desk.cancel_all(1)) is R.NONE
    assert reason(desk.run(r.SetPerpetualState(ETH_USDT, r.Trigger.HALT))) is R.NOT_A_PERPETUAL
    desk.run(r.SetPerpetualState(PERP, r.Trigger.RESUME))
    assert desk.phase is S.GUARDED


def test_where_only_reducing_is_left_no_resting_order_opens_more(desk: PerpetualDesk) -> None:
    """One that stood before is not moved into the book; it may shrink, and who closes may move."""
    desk.pair(1, 2, 10)
    opening, closing = order_id(desk.buy(1, 985, 5)), order_id(desk.sell(1, 1_015, 10))
    desk.run(r.SetPerpetualState(PERP, r.Trigger.REDUCE))
    across = AmendOrder(1, PERP, opening, price_ticks=1_020)  # what account 90 asks
    assert reason(desk.run(across)) is R.MARKET_REDUCE_ONLY
    assert refusal(desk.run(AmendOrder(1, PERP, opening, quantity_lots=4))) is R.NONE
    assert refusal(desk.run(AmendOrder(1, PERP, closing, price_ticks=1_012))) is R.NONE
    assert desk.perpetual.open_lots == 10


def test_a_mark_beyond_what_is_counted_halts_the_market() -> None:
    """It is not adopted: open interest at it would not fit."""
    rules = replace(RULES, quote_units_per_tick_lot=2**16, max_order_lots=10**9)
    wide = terms(cap_units=2**56, index_max_deviation_ppm=10**6)
    desk = PerpetualDesk(wide, rules)
    desk.fund(1, 2, units=2**58)
    desk.pair(1, 2, 10**6)
    desk.sell(2, 2**39, 1)
    desk.cancel_all(90)
    desk.buy(90, 1_000, 1)
    told, halted = desk.index(2**39)
    assert isinstance(told, IndexSet)
    assert isinstance(halted, PerpetualStateSet)
    assert (told.index_ticks, told.mark_ticks) == (2**39, 1_000)
    assert (halted.state, halted.trigger) == (S.HALTED, StateTrigger.HALT)


@pytest.mark.parametrize("prices", [(-1, 1, 1), (MAX_PRICE_TICKS + 1,)])
def test_impossible_prices_are_refused(desk: PerpetualDesk, prices: tuple[int, ...]) -> None:
    """Nothing is heard of such a command."""
    before = desk.perpetual
    assert reason(desk.index(*prices)) is R.INVALID_PRICE
    assert desk.perpetual == before
    assert reason(desk.index(1_000, symbol_id=ETH_USDT)) is R.NOT_A_PERPETUAL
    assert reason(desk.index(1_000, symbol_id=99)) is R.UNKNOWN_SYMBOL


# -- the state itself -------------------------------------------------------------------


def test_snapshots_hold_all_of_it(desk: PerpetualDesk) -> None:
    """Restored, the engine is the same, and goes on the same."""
    desk.pair(1, 2, 5)
    desk.sell(1, 1_005, 3, reduce_only=True)
    desk.sell(1, 1_006, 3)
    desk.stop(2, Side.BUY, 1_015, 5, symbol_id=PERP, order_type=OrderType.STOP)
    copy = restore_engine(desk.engine.snapshot())
    assert copy.snapshot() == desk.engine.snapshot()
    first = desk.run(Tick())
    desk.engine, before = copy, desk.engine
    desk.time_us -= 1
    assert desk.run(Tick()) == first
    assert copy.digest() == before.digest()
    assert copy.positions(1) == before.positions(1)
    assert copy.scope(1) == before.scope(1)


def test_the_engine_writes_what_the_codec_writes(desk: PerpetualDesk) -> None:
    """Every event of perpetuals decodes and encodes to its own bytes."""
    desk.pair(1, 2, 5)
    desk.run(Started(3, 3))
    assert encode_events(desk.events) == bytes(desk.raw)
