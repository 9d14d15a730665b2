"""`rialto bench api` measures every part with real processes, and refuses nothing."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from workers.__main__ import build


def test_an_unknown_part_is_said() -> None:
    """With the parts that there are."""
    result = CliRunner().invoke(build(), ["bench", "api", "--only", "speed"])
    assert result.exit_code == 2
    assert "rest, ws, fanout, idle, refusals, storm" in result.output


@pytest.mark.long
@pytest.mark.servers
def test_every_part_is_measured() -> None:
    """Orders are taken both ways, every subscriber hears, two thousand sockets may sit idle."""
    small = ["--seconds", "1", "--subscribers", "100", "--idle", "2000", "--batch-rate", "400"]
    result = CliRunner().invoke(build(), ["bench", "api", *small, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["rest_max_per_second"] > 0
    assert report["bare_rest_max_per_second"] > 0
    assert report["ws_max_per_second"] > 0
    assert report["fanout_messages_per_second"] > 0
    assert 0 < report["rest_p50_ms"] <= report["rest_p99_ms"]
    assert 0 < report["ws_p50_ms"] <= report["ws_p99_ms"]
    assert report["rest_refused"] == report["ws_refused"] == 0
    assert report["fanout_closed"] == report["idle_closed"] == 0
    assert report["idle_connections"] == 2_000
