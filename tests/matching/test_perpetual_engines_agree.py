"""Perpetuals in both engines: same commands, same bytes, same state, same answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from domain.events import CommandRejected
from domain.risk_commands import FUND_ACCOUNT
from matching.codec import decode_events
from matching.engine import create_engine, restore_engine
from matching.reference import ReferenceEngine
from tests.matching.perpetual_stream import PerpetualStream
from tests.matching.test_engines_agree import ACCOUNTS

EVERY_SEQUENCES = 25
_COMMANDS = 700
_QUESTIONS = (
    *("balances", "fees", "issued", "trades", "symbols"),
    *("perpetuals", "seats", "frozen", "dust"),
)


@pytest.mark.parametrize("seed", range(40))
def test_same_commands_same_bytes_and_digest(seed: int) -> None:
    """Events are equal byte for byte after every batch, states at every few; restores both ways."""
    _agree(seed, _COMMANDS)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1_000, 1_200))
def test_the_same_of_longer_streams(seed: int) -> None:
    """More seeds, and streams in which more orders, positions and liquidations have come about."""
    _agree(seed, 4 * _COMMANDS)


def _agree(seed: int, commands: int) -> None:
    stream = PerpetualStream(seed)
    core: Any = create_engine(kind="core")
    opening = b"".join(stream.opening())
    assert stream.engine.apply(opening) == core.apply(opening)
    for _ in range(commands // 4):
        batch = b"".join(stream.next() for _ in range(stream.random.randint(1, 7)))
        assert stream.engine.apply(batch) == core.apply(batch), f"before {stream.sequence}"
        if stream.random.random() < 1 / EVERY_SEQUENCES:
            snapshot = stream.engine.snapshot()
            assert snapshot == core.snapshot()
            core = restore_engine(snapshot, kind="core")
            stream.engine = ReferenceEngine.restore(core.snapshot())
    assert stream.engine.digest() == core.digest()
    _same_answers(stream.engine, core)


def _same_answers(reference: Any, core: Any) -> None:
    for question in (
        "balances",
        "fees",
        "issued",
        "trades",
        "symbols",
        "perpetuals",
        "dust",
        "seats",
        "frozen",
    ):
        assert getattr(reference, question)() == getattr(core, question)(), question
    for account in (*ACCOUNTS, FUND_ACCOUNT, 99):
        assert reference.positions(account) == core.positions(account)
        assert reference.open_orders(account) == core.open_orders(account)
        for symbol_id in (0, *(view.symbol_id for view in core.perpetuals())):
            assert reference.scope(account, symbol_id) == core.scope(account, symbol_id)


def test_the_streams_meet_most_of_what_there_is() -> None:
    """Trades, closings and refusals of many kinds happen in a few streams."""
    told = Counter[str]()
    for seed in range(6):
        stream = PerpetualStream(seed)
        stream.engine.apply(b"".join(stream.opening()))
        for _ in range(_COMMANDS):
            for event in decode_events(stream.engine.apply(stream.next())):
                reason = event.reason.name if isinstance(event, CommandRejected) else ""
                told[f"{event.event_type.name} {reason}".strip()] += 1
    missing = {name for name in _EXPECTED if not told[name]}
    assert not missing, told


_EXPECTED = (
    "PERPETUAL_TRADE",
    "INDEX_SET",
    "PERPETUAL_STATE_SET",
    "LEVERAGE_SET",
    "RISK_PARAMETERS_SET",
    "COMMAND_REJECTED NOTHING_TO_REDUCE",
    "COMMAND_REJECTED INSUFFICIENT_MARGIN",
    "COMMAND_REJECTED MARKET_GUARDED",
    "COMMAND_REJECTED POSITION_LIMIT",
)
