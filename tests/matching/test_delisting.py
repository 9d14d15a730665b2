"""A delisted market: its orders are cancelled, nothing opens it again, money stays where it is."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from domain import limits
from domain.commands import DelistSymbol, SetParameters, SetShardMode, SetSymbolState
from domain.errors import RejectReason as R
from domain.events import OrderClosed, ParametersSet, SymbolDelisted
from domain.order import OrderStatus, ShardMode, Side, StateCause, SymbolState
from matching.engine import restore_engine
from tests.matching.desk import (
    BTC,
    BTC_USDT,
    ETH,
    ETH_USDT,
    LISTING,
    USDT,
    Desk,
    closes,
    only,
    order_id,
    reason,
)

pytestmark = pytest.mark.usefixtures("each_engine")

OTHER = replace(LISTING, symbol_id=BTC_USDT, base_asset_id=BTC)
RULE_NAMES = [field.name for field in fields(SetParameters)]
DELIST = DelistSymbol(ETH_USDT, "ada", "it is over")


@pytest.fixture
def desk() -> Desk:
    """Give two markets and two funded accounts."""
    desk = Desk(listings=(LISTING, OTHER))
    desk.fund(1, 2)
    return desk


def test_every_order_is_cancelled_at_once(desk: Desk) -> None:
    """Both sides, icebergs and those that wait, by id; other markets and all balances stay."""
    before = [desk.balance(account, asset)[0] for account in (1, 2) for asset in (USDT, ETH)]
    mine = [
        order_id(desk.buy(1, 990, 5)),
        order_id(desk.sell(2, 1_010, 7)),
        order_id(desk.sell(1, 1_020, 9, display_lots=3)),
        desk.stop(2, Side.BUY, 1_050, 4),
    ]
    other = order_id(desk.buy(1, 990, 5, symbol_id=BTC_USDT))
    events = desk.run(DELIST)
    (outcome,) = only(events, SymbolDelisted)
    assert outcome.index == 0
    assert (outcome.closed_count, outcome.open_orders) == (4, 0)
    assert (outcome.actor, outcome.reason) == ("ada", "it is over")
    assert closes(events) == [(order, "CANCELLED_BY_ADMIN") for order in mine]
    for order in mine:
        found = desk.engine.order(1, order) or desk.engine.order(2, order)
        assert found is not None
        assert found.status is OrderStatus.CANCELLED
    after = [desk.balance(account, asset)[0] for account in (1, 2) for asset in (USDT, ETH)]
    assert after == before
    assert desk.balance(2, ETH)[1] == 0
    kept = desk.engine.order(1, other)
    assert kept is not None
    assert kept.status is OrderStatus.OPEN


def test_nothing_opens_it_again(desk: Desk) -> None:
    """Orders, parameters, states and a new listing are refused, also after a restore."""
    desk.run(DELIST)
    for _ in range(2):
        assert reason(desk.buy(1, 1_000, 1)) is R.SYMBOL_DELISTED
        opened = SetSymbolState(ETH_USDT, SymbolState.OPEN, StateCause.OPERATOR)
        assert reason(desk.run(opened)) is R.SYMBOL_DELISTED
        assert reason(desk.run(LISTING)) is R.SYMBOL_ALREADY_LISTED
        rules = {name: getattr(LISTING, name) for name in RULE_NAMES}
        assert reason(desk.run(SetParameters(**rules))) is R.SYMBOL_DELISTED
        desk.engine = restore_engine(desk.engine.snapshot(), desk.engine.kind)
    view = next(market for market in desk.engine.markets() if market.rules.symbol_id == ETH_USDT)
    assert view.state is SymbolState.DELISTED
    assert not isinstance(desk.debit(1, ETH, 5), R)


def test_a_halted_shard_and_market_can_be_delisted(desk: Desk) -> None:
    """Closing for good needs nobody to open first; a shard's mode comes before the market's."""
    order = order_id(desk.buy(1, 990, 5))
    desk.run(SetSymbolState(ETH_USDT, SymbolState.HALTED, StateCause.OPERATOR))
    desk.run(SetShardMode(ShardMode.HALTED, StateCause.OPERATOR))
    assert closes(desk.run(DELIST)) == [(order, "CANCELLED_BY_ADMIN")]
    assert reason(desk.buy(1, 1_000, 1)) is R.SHARD_HALTED


def test_what_makes_no_sense_is_refused(desk: Desk) -> None:
    """An unknown market, and text that does not print."""
    assert reason(desk.run(DelistSymbol(77, "ada", "why"))) is R.UNKNOWN_SYMBOL
    assert reason(desk.run(DelistSymbol(ETH_USDT, "ada", "two\nlines"))) is R.MALFORMED_COMMAND
    assert desk.engine.markets()[0].state is SymbolState.OPEN


def test_a_repeat_finds_nothing_left(desk: Desk) -> None:
    """The first one's who and why stay."""
    desk.buy(1, 990, 5)
    desk.run(DELIST)
    (outcome,) = desk.run(DelistSymbol(ETH_USDT, "bea", "again"))
    assert isinstance(outcome, SymbolDelisted)
    assert (outcome.closed_count, outcome.open_orders) == (0, 0)
    assert desk.engine.symbols()[0].status.actor == "ada"


@pytest.mark.long
def test_a_large_book_takes_several_commands() -> None:
    """The oldest go first, as many as one command's events can name; then the rest."""
    over = 5
    listing = replace(LISTING, max_open_orders=limits.MAX_CANCELS + over)
    desk = Desk(listings=(listing,))
    desk.fund(1)
    for number in range(limits.MAX_CANCELS + over):
        desk.buy(1, 950 + number % 40, 1)
    first = desk.run(DELIST)
    assert isinstance(first[0], SymbolDelisted)
    assert (first[0].closed_count, first[0].open_orders) == (limits.MAX_CANCELS, over)
    assert len(only(first, OrderClosed)) == limits.MAX_CANCELS
    second = desk.run(DELIST)
    assert len(only(second, OrderClosed)) == over
    assert desk.balance(1, USDT)[1] == 0


def test_parameters_of_another_market_still_change(desk: Desk) -> None:
    """Delisting one is none of the other's business."""
    desk.run(DELIST)
    rules = {name: getattr(OTHER, name) for name in RULE_NAMES}
    (event,) = desk.run(SetParameters(**{**rules, "band_ppm": 5}))
    assert isinstance(event, ParametersSet)
