"""The drawn flows are exact: the engine answers every command with what the flow's book says."""

from __future__ import annotations

import numpy as np
import pytest

from domain.events import CommandRejected
from matching.codec import decode_events, encode_command
from matching.engine import create_engine
from matching.wire import STAMP
from workers.bench.market import LISTING, payments
from workers.bench.native import native

SCENARIOS = [scenario["name"] for scenario in native().load_scenarios()]
BATCH = 500


def stamped(commands: bytes, sequence: int) -> bytes:
    """Return one-stripe commands numbered from `sequence` on."""
    view = np.frombuffer(bytearray(commands), "<u8").reshape(-1, 8)
    view[:, 0] = np.arange(sequence, sequence + len(view))
    view[:, 1] = 2_000
    return view.tobytes()


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_engine_answers_as_the_flow_says(name: str) -> None:
    """Bytes of each batch, trades and open orders agree over the opening and two phases."""
    engine = create_engine(kind="core")
    listing = bytearray(encode_command(LISTING))
    STAMP.pack_into(listing, 0, 1, 2_000)
    engine.apply(bytes(listing))
    for batch in payments(2_000):
        engine.apply(stamped(batch, engine.sequence + 1))
    flow = native().LoadFlow(name, 7, 1)
    for _ in range((flow.opening_quotes + 60_000) // BATCH):
        commands, answer_bytes = flow.take(BATCH)
        out = engine.apply(stamped(commands, engine.sequence + 1))
        if len(out) != answer_bytes:
            refused = [e for e in decode_events(out) if isinstance(e, CommandRejected)]
            pytest.fail(f"after {flow.commands} commands: {refused[:1]}")
    assert engine.trades() == flow.trades > 1_000
    assert engine.symbols()[0].open_orders == flow.resting > 100


def test_a_seed_names_a_flow() -> None:
    """The same seed draws the same commands, another one others."""
    first, again, other = (native().LoadFlow("normal", seed, 1).take(5_000) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_an_unknown_scenario_is_refused() -> None:
    """The message names what was asked for."""
    with pytest.raises(ValueError, match="no scenario calm"):
        native().LoadFlow("calm", 1, 1)
