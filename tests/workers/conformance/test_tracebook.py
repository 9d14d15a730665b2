"""Our engines as candidates of `tracebook-conformance`: its suite and its generated traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tracebook.conformance.campaign import run_campaign
from tracebook.conformance.compare import run_conformance
from tracebook.conformance.model import BookState, ConformanceConfig, EngineMetadata, Observation
from tracebook.conformance.suite import copy_bundled_conformance_suite, load_conformance_suite
from tracebook.events import MarketEvent

from tests.recorded import recorded
from workers.conformance.tracebook import ProtocolError, TracebookDesk, serve
from workers.conformance.tracebook_run import program, run

HELLO = {
    "type": "hello",
    "protocol": "tracebook.conformance",
    "protocol_version": 1,
    "config": ConformanceConfig().to_dict(),
}


class Candidate:
    """The adapter in this process: the same messages, without pipes."""

    metadata = EngineMetadata("rialto", "test", "C++")

    def __init__(self, config: ConformanceConfig, kind: str) -> None:
        self.desk = TracebookDesk(config.to_dict(), kind)

    def apply(self, event: MarketEvent, index: int) -> Observation:
        """Carry out one event."""
        return Observation.from_dict(
            self.desk.observe(index, json.loads(json.dumps(event.to_dict())))
        )

    def snapshot(self) -> BookState:
        """Return the resting orders."""
        return BookState.from_dict(self.desk.state())

    def close(self) -> None:
        """Nothing is open."""


def _suite_conforms(folder: Path, kind: str) -> int:
    cases = [c for c in load_conformance_suite(folder).cases if "pro-rata" not in c.tags]
    for case in cases:
        report = run_conformance(case.load_events(), lambda c: Candidate(c, kind), case.config)
        assert report.conformant, (case.name, report.divergence)
    return len(cases)


@pytest.mark.parametrize("kind", ["core", "reference"])
def test_the_suite(tmp_path: Path, kind: str) -> None:
    """All cases of the package but pro-rata: life cycle, instructions, self-trade, tick grid."""
    copy_bundled_conformance_suite(tmp_path / "suite")
    assert _suite_conforms(tmp_path / "suite", kind) == 8


@pytest.mark.recorded
@pytest.mark.parametrize("kind", ["core", "reference"])
def test_the_recorded_suite(kind: str) -> None:
    """The recorded copy of the suite, with the hashes of its manifest."""
    assert _suite_conforms(recorded("tracebook_v2"), kind) == 8


@pytest.mark.parametrize(("kind", "seed"), [("core", 42), ("core", 7), ("reference", 42)])
def test_generated_traces(kind: str, seed: int) -> None:
    """Ten traces of two hundred events: outcome, trades and all queues after each event."""
    found = run_campaign(
        lambda config: Candidate(config, kind),
        "fifo-full-v1",
        seed,
        traces=10,
        events_per_trace=200,
    )
    assert found.conformant, found.to_dict()


def _talk(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in serve(map(json.dumps, messages), "1.0")]


def test_the_protocol() -> None:
    """Hello, an event, a snapshot, finish: one answer each."""
    order = {"op": "new", "symbol": "X", "order_id": 7, "side": "BUY", "order_type": "LIMIT",
             "price": 100.004, "quantity": 1.5, "owner": 3}  # fmt: skip
    ready, seen, book, done = _talk(
        HELLO,
        {"type": "event", "index": 1, "event": order},
        {"type": "snapshot", "index": 1},
        {"type": "finish", "event_count": 1},
    )
    assert ready["engine"] == {"name": "rialto", "version": "1.0", "language": "C++"}
    assert (seen["outcome"]["status"], seen["resting_order_count"]) == ("applied", 1)
    (line,) = book["state"]["books"][0]["bids"]
    assert (line["order_id"], line["price"], line["remaining_quantity"]) == (7, "100", "1.5")
    assert done == {"type": "complete", "event_count": 1}


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([], "ended before finish"),
        ([{"type": "event", "index": 1, "event": {}}], "not expected"),
        ([{**HELLO, "protocol_version": 2}], "this is tracebook.conformance 1"),
        ([{**HELLO, "config": {"matching_algorithm": "pro_rata"}}], "not pro rata"),
        ([{**HELLO, "config": {"self_trade_policy": "OTHER"}}], "OTHER"),
    ],
)
def test_a_peer_that_is_not_one(messages: list[dict[str, Any]], text: str) -> None:
    """Broken talk and semantics that Rialto does not have end by name."""
    with pytest.raises(ProtocolError, match=text):
        _talk(*messages)


@pytest.mark.parametrize("quantity", [0, -1, "x", float("nan"), 1e-11])
def test_quantities_that_are_none(quantity: Any) -> None:
    """A quantity that is no positive number of lots is refused, not rounded."""
    order = {"op": "new", "symbol": "X", "order_id": 7, "side": "BUY", "order_type": "LIMIT",
             "price": 100, "quantity": quantity, "owner": 3}  # fmt: skip
    seen = TracebookDesk(ConformanceConfig().to_dict()).observe(1, order)
    assert seen["outcome"]["reason"] == "INVALID_ORDER"


def test_the_programs_end_to_end(tmp_path: Path) -> None:
    """The package starts our verb as its candidate over pipes, and both end with a verdict."""
    copy_bundled_conformance_suite(tmp_path / "whole")
    manifest = json.loads((tmp_path / "whole" / "manifest.json").read_text())
    manifest["cases"] = [c for c in manifest["cases"] if c["name"] == "stp-cancel-resting"]
    (tmp_path / "whole" / "manifest.json").write_text(json.dumps(manifest))
    command = program()
    assert command is not None
    rows = run(command, tmp_path / "whole", "core", traces=1, events=30, seed=1)
    assert [(row["case"], row["ok"]) for row in rows] == [
        ("stp-cancel-resting", True),
        ("campaign of 1 traces", True),
    ]
