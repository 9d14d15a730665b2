"""Recorded order flows give the same events and state in both engines."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from matching.engine import create_engine
from tests.recorded import recorded
from workers.conformance import desk
from workers.conformance.flow import play

OWN = Path(__file__).resolve().parents[3] / "workers" / "flows" / "demo.csv.xz"


def test_our_own_flow() -> None:
    """The flow that comes with Rialto: all its trades, in both engines."""
    played = play(OWN)
    log = lzma.decompress(OWN.with_name("demo.log.xz").read_bytes()).decode()
    assert played.trades == sum(" trade " in line for line in log.splitlines())
    assert play(OWN, ("reference",)) == played


def test_a_part_of_a_flow() -> None:
    """A limit plays the first commands only."""
    assert play(OWN, ("core",), limit=100).commands == 100


def test_an_engine_that_differs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second engine of another shard numbers its orders otherwise: the first batch tells."""
    monkeypatch.setattr(desk, "create_engine", lambda kind: create_engine(int(kind), "core"))
    with pytest.raises(desk.DivergenceError, match="differ after command"):
        play(OWN, ("0", "1"))


@pytest.mark.recorded
def test_the_recorded_day() -> None:
    """49,630 commands of a real market: equal events byte for byte, equal digest, few trades."""
    played = play(recorded("bitstamp_l3") / "orders.csv.xz")
    assert json.dumps([played.commands, played.trades]) == "[49630, 517]"
    assert played.refused < 1_000
