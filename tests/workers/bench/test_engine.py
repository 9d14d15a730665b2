"""`rialto bench engine` measures the real process and trusts no figure that does not add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from matching.codec import encode_command
from matching.storage import FileStorage
from tests.matching.shard import Shard
from workers.__main__ import build
from workers.bench.engine import MeasurementFailedError, compare
from workers.bench.market import LISTING, payments
from workers.bench.native import native


def run(*arguments: str) -> dict[str, Any]:
    """Run the verb and return its report."""
    result = CliRunner().invoke(build(), ["bench", "engine", "--json", *arguments])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_an_open_loop_beside_its_control() -> None:
    """Every command is acknowledged and journalled, and the digest is that of a replay."""
    report = run("--rate", "2000", "--seconds", "0.3", "--scenario", "swings", "--policy", "fsync")
    (row,) = report["scenarios"]
    assert row["commands"] == 600
    assert row["checks"]["acknowledged"] == row["checks"]["journalled"] == 600 + 5_000
    assert row["checks"]["digest_equal"] is True
    assert 0 < row["p50_us"] <= row["p99_us"] <= row["p999_us"]
    assert row["rounds"] == 1
    assert (row["round_p50_us"], row["round_p99_us"]) == (row["p50_us"], row["p99_us"])
    assert 0 < row["control_p50_us"] <= row["control_p99_us"] <= row["control_p999_us"]
    assert (row["engine_kind"], row["engine_loop"]) == ("core", "native")
    assert 0 < row["service_p50_us"] <= row["service_p99_us"]
    assert row["loop_priority"] == row["client_priority"] in ("real time", "short slices", "normal")
    assert row["loop_queued_ms"] >= 0
    assert row["loop_page_faults"] >= 0
    for stall in row["stalls"].values():
        assert 50 * stall["count"] <= stall["total_us"] <= stall["longest_us"] * stall["count"]
    assert (report["worst"], report["p99_us"]) == ("swings", row["p99_us"])
    assert (report["policy"], report["load"], report["in_flight"]) == ("fsync", "open loop", None)


def test_one_order_in_flight() -> None:
    """The closed loop has as many commands on the way as it is told, at the priority it is told."""
    report = run(
        *("--in-flight", "1", "--seconds", "0.2", "--scenario", "normal", "--priority", "normal")
    )
    assert (report["loop_priority"], report["client_priority"]) == ("normal", "normal")
    assert (report["load"], report["in_flight"], report["commands_in_frame"]) == (
        "closed loop",
        1,
        1,
    )
    assert report["scenarios"][0]["commands"] > 10


def test_batches_over_grpc() -> None:
    """Every batch of the stream is answered, in order, with as many events as it must."""
    report = run("--door", "grpc", "--batch", "50", "--seconds", "0.3", "--scenario", "normal")
    (row,) = report["scenarios"]
    assert row["checks"]["journalled"] == row["commands"] + 2_000
    assert row["commands"] % 50 == 0
    assert report["achieved_rate"] == row["achieved_rate"] > 0
    assert 0 < report["p50_us"] <= report["p99_us"] <= report["p999_us"] == row["p999_us"]
    assert (report["load"], report["offered_rate"]) == ("closed loop", "max")


def test_wrong_options_are_usage_errors() -> None:
    """A scenario or rate that there is not ends with 2 before anything starts."""
    for options in (["--scenario", "calm"], ["--rate", "fast"], ["--rate", "0"]):
        result = CliRunner().invoke(build(), ["bench", "engine", *options])
        assert result.exit_code == 2, options


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    """Give a journal with a drawn flow."""
    shard = Shard(FileStorage(tmp_path))
    for batch in (encode_command(LISTING), *payments(shard.clock.now_us)):
        shard.sequencer.submit(batch)
    return shard


def test_counts_that_disagree_void_the_run(shard: Shard, tmp_path: Path) -> None:
    """The journal is right with the client's counts only; each other count is refused."""
    flow = native().LoadFlow("normal", 1, 1)
    shard.sequencer.submit(flow.take(4_000)[0])
    shard.sequencer.sync()
    engine = shard.sequencer.engine
    sent = {
        "sent": 4_000,
        "acknowledged": 4_000,
        "trades": flow.trades,
        "resting": flow.resting,
    }
    digest = engine.digest().hex()
    assert compare(tmp_path, engine.sequence, digest, sent)["digest_equal"] is True
    for name in sent:
        with pytest.raises(MeasurementFailedError, match="disagree"):
            compare(tmp_path, engine.sequence, digest, {**sent, name: sent[name] + 1})
    with pytest.raises(MeasurementFailedError, match="disagree"):
        compare(tmp_path, engine.sequence, "00", sent)
