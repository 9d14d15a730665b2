"""Who set a market's state or the shard's mode, when and why: engine state like any other."""

from __future__ import annotations

from typing import cast

import pytest

from domain.commands import SetShardMode, SetSymbolState
from domain.errors import RejectReason as R
from domain.events import CommandRejected, Event, ShardModeSet, SymbolStateSet
from domain.order import ShardMode, StateCause, SymbolState
from domain.trading_status import StatusReason
from matching.codec import encode_command
from matching.engine import restore_engine
from matching.wire import WireError
from tests.matching.desk import ETH_USDT, Desk

pytestmark = pytest.mark.usefixtures("each_engine")

BEHIND, OPERATOR, FAILED = (
    StateCause.SETTLEMENT_BEHIND,
    StateCause.OPERATOR,
    StateCause.SETTLEMENT_FAILED,
)


@pytest.fixture
def desk() -> Desk:
    """Return a desk with one market."""
    return Desk()


def _refusal(events: tuple[Event, ...]) -> R:
    assert isinstance(events[0], CommandRejected)
    return events[0].reason


def test_a_mode_keeps_who_set_it_and_why(desk: Desk) -> None:
    """Event and state carry cause, actor and a reason of full length; a snapshot keeps them."""
    reason = "w" * 96
    (event,) = desk.run(SetShardMode(ShardMode.CANCEL_ONLY, OPERATOR, "a" * 32, reason))
    assert isinstance(event, ShardModeSet)
    assert (event.mode, event.cause) == (ShardMode.CANCEL_ONLY, OPERATOR)
    assert (event.actor, event.reason) == ("a" * 32, reason)
    expected = StatusReason(OPERATOR, desk.engine.sequence, desk.time_us, "a" * 32, reason)
    assert desk.engine.status == expected
    assert restore_engine(desk.engine.snapshot(), desk.engine.kind).status == expected


def test_a_market_keeps_who_halted_it_and_why(desk: Desk) -> None:
    """The state of one market, as of the shard."""
    (event,) = desk.run(SetSymbolState(ETH_USDT, SymbolState.HALTED, OPERATOR, "ada", "a glitch"))
    assert isinstance(event, SymbolStateSet)
    expected = StatusReason(OPERATOR, desk.engine.sequence, desk.time_us, "ada", "a glitch")
    restored = restore_engine(desk.engine.snapshot(), desk.engine.kind)
    for engine in (desk.engine, restored):
        (market,) = engine.symbols()
        assert (market.state, market.status) == (SymbolState.HALTED, expected)
    assert desk.engine.status == StatusReason()


@pytest.mark.parametrize("mode", [ShardMode.CANCEL_ONLY, ShardMode.HALTED])
@pytest.mark.parametrize("cause", [OPERATOR, FAILED])
def test_backpressure_lifts_only_its_own_mode(
    desk: Desk, mode: ShardMode, cause: StateCause
) -> None:
    """What somebody else restricted stays so, whatever settlement's lag does, also restored."""
    desk.run(SetShardMode(ShardMode.CANCEL_ONLY, BEHIND))
    desk.run(SetShardMode(mode, cause, "ada", "why"))
    for wanted in (ShardMode.NORMAL, ShardMode.CANCEL_ONLY):
        assert _refusal(desk.run(SetShardMode(wanted, BEHIND))) is R.SHARD_MODE_HELD
    desk.engine = restore_engine(desk.engine.snapshot(), desk.engine.kind)
    assert _refusal(desk.run(SetShardMode(ShardMode.NORMAL, BEHIND))) is R.SHARD_MODE_HELD
    assert (desk.engine.mode, desk.engine.status.actor) == (mode, "ada")
    desk.run(SetShardMode(ShardMode.NORMAL, OPERATOR))
    desk.run(SetShardMode(ShardMode.CANCEL_ONLY, BEHIND))
    desk.run(SetShardMode(ShardMode.NORMAL, BEHIND))
    assert desk.engine.mode is ShardMode.NORMAL


@pytest.mark.parametrize(
    "said",
    [
        (StateCause.NONE, "", ""),
        (cast("StateCause", 4), "", ""),
        (cast("StateCause", -1), "", ""),
        (OPERATOR, "a\0b", ""),
        (OPERATOR, "", "line\nbreak"),
        (OPERATOR, "", "\x7f"),
    ],
)
def test_an_unknown_cause_or_unprintable_text_changes_nothing(
    desk: Desk, said: tuple[StateCause, str, str]
) -> None:
    """What could not be shown or stored is refused, for the shard and for a market."""
    assert _refusal(desk.run(SetShardMode(ShardMode.HALTED, *said))) is R.MALFORMED_COMMAND
    market = SetSymbolState(ETH_USDT, SymbolState.HALTED, *said)
    assert _refusal(desk.run(market)) is R.MALFORMED_COMMAND
    assert desk.engine.mode is ShardMode.NORMAL
    assert desk.engine.symbols()[0].state is SymbolState.OPEN


@pytest.mark.parametrize("texts", [("a" * 33, ""), ("", "r" * 97), ("", "€")])
def test_text_that_does_not_fit_is_not_sent(texts: tuple[str, str]) -> None:
    """The encoder refuses what the stripes cannot hold, and never cuts it."""
    with pytest.raises(WireError):
        encode_command(SetShardMode(ShardMode.HALTED, OPERATOR, *texts))
