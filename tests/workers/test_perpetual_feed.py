"""Mark, funding and liquidations of a perpetual as they are published."""

from __future__ import annotations

from domain import risk_commands as r
from domain.order import Side
from domain.perpetual_record import PerpetualNow
from tests.api.memory import ALICE
from tests.api.perpetual_exchange import ETH_PERP, MIDDLE, PerpetualExchange
from workers.market_books import MarketBooks
from workers.perpetual_feed import PerpetualFeed

SYMBOL_ID = ETH_PERP.symbol_id


def test_the_newest_mark_is_told_and_the_state_with_it() -> None:
    """Of many marks one message; a newcomer gets the same body."""
    perps = PerpetualExchange()
    feed = PerpetualFeed(ETH_PERP)
    for event in perps.door.events:
        if getattr(event, "symbol_id", 0) == SYMBOL_ID:
            feed.apply(event, perps.door.time_us)
    ((channel, body),) = feed.take()
    assert channel == "mark"
    assert (body["mark"]["state"], body["mark"]["mark_price"]) == ("open", "2500")
    assert body["mark"]["mark_is_fresh"] is True
    assert dict(feed.copies())["mark"] == body
    assert feed.take() == []
    (now,) = perps.door.engine.perpetuals()
    seeded = PerpetualFeed(ETH_PERP, PerpetualNow.of(now)).mark
    known = body["mark"]
    assert {**seeded, "sequence": 0, "time_us": 0} == {**known, "sequence": 0, "time_us": 0}


def test_a_liquidation_and_its_trades_are_told_without_names() -> None:
    """The fill in the book of a liquidation is one; a customer's trade is none."""
    perps = PerpetualExchange()
    perps.door.apply(r.SetLeverage(ALICE, SYMBOL_ID, 50))
    perps.limit(ALICE, Side.BUY, MIDDLE + 20, 70_000)
    books = MarketBooks()
    books.open(ETH_PERP, 0, (), ())
    fallen = MIDDLE * 955 // 1000
    perps.quote(fallen)
    perps.stand(fallen)
    (frozen, *_) = perps.door.apply(r.Freeze(5, ALICE, 0))
    assert type(frozen).__name__ == "ScopeFrozen", frozen
    version = perps.door.engine.scope(ALICE).version
    perps.door.apply(r.Liquidate(6, ALICE, SYMBOL_ID, 1_000, 0, version, fund_may_pay=False))
    mine = [event for event in perps.door.events if getattr(event, "symbol_id", 0) == SYMBOL_ID]
    books.apply(mine)
    told = b"\n".join(books.take_messages())
    assert told.count(b'"how":"book"') >= 1, told[-2000:]
    assert b'"side":"long"' in told
    assert b"account" not in told
    assert b'"channel":"trades"' in told  # its trades are on the tape, too
