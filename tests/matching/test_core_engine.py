"""What the core has beside the plain Python engine: batches that are replayed for their state."""

from __future__ import annotations

import pytest

from domain.commands import Tick
from matching.codec import encode_command
from matching.engine import Engine, create_engine
from matching.wire import SequenceError, WireError


def ticks(first: int, count: int) -> bytes:
    """Return numbered ticks."""
    return b"".join(
        encode_command(Tick(), sequence=number, time_us=number)
        for number in range(first, first + count)
    )


@pytest.fixture(params=["core", "reference"])
def pair(request: pytest.FixtureRequest) -> tuple[Engine, Engine]:
    """Give two empty engines of a kind."""
    return create_engine(kind=request.param), create_engine(kind=request.param)


def test_a_replay_gives_the_state_and_counts_the_events(pair: tuple[Engine, Engine]) -> None:
    """Also of a batch that is cut into pieces inside."""
    replayed, applied = pair
    batch = ticks(1, 5_000)
    assert replayed.replay(batch) == len(applied.apply(batch))
    assert replayed.digest() == applied.digest()
    assert replayed.replay(b"") == 0


def test_a_replay_refuses_what_an_application_refuses(pair: tuple[Engine, Engine]) -> None:
    """A gap, a cut command and a command without stripes."""
    engine, _ = pair
    with pytest.raises(SequenceError):
        engine.replay(ticks(2, 1))
    with pytest.raises(WireError):
        engine.replay(ticks(1, 1)[:40])
    shapeless = bytearray(ticks(1, 1))
    shapeless[18] = 0
    with pytest.raises(WireError):
        engine.replay(bytes(shapeless))
    assert engine.sequence == 0
