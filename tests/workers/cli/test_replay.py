"""`rialto replay` names the state that a journal gives."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from matching.segments import HEADER_BYTES
from matching.shadow import take_snapshot
from matching.storage import FileStorage
from tests.matching.shard import Shard
from workers.cli.replay import register


def _run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    result = CliRunner().invoke(app, ["replay", *arguments])
    return result.exit_code, result.output


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    """Give a shard folder with some history."""
    shard = Shard(FileStorage(tmp_path))
    shard.open_market()
    for _ in range(10):
        shard.flow(random.Random(4), 20)
        shard.sequencer.sync()
    return shard


def test_it_prints_counts_and_digest(shard: Shard, tmp_path: Path) -> None:
    """From genesis and from a snapshot the digest is the live engine's."""
    sequence = shard.sequencer.sequence
    take_snapshot(tmp_path, sequence - 30)
    for options in ([], ["--snapshot"]):
        code, text = _run(str(tmp_path), "--json", *options)
        found = json.loads(text)
        assert code == 0
        assert found["digest"] == shard.sequencer.engine.digest().hex()
        assert found["sequence"] == sequence
        assert found["commands"] == (30 if options else sequence)
    assert "digest" in _run(str(tmp_path))[1]


def test_it_finds_the_journal_of_a_data_folder(tmp_path: Path) -> None:
    """`--data` as for the other verbs; a folder besides it is one too many."""
    folder = tmp_path / "engine" / "shard-1"
    folder.mkdir(parents=True)
    shard = Shard(FileStorage(folder))
    shard.open_market()
    shard.sequencer.sync()
    code, text = _run("--data", str(tmp_path), "--shard", "1", "--json")
    assert (code, json.loads(text)["directory"]) == (0, str(folder))
    assert _run("--data", str(tmp_path))[0] == 3
    assert _run(str(folder), "--data", str(tmp_path))[0] == 2


def test_it_stops_where_it_is_told(shard: Shard, tmp_path: Path) -> None:
    """`--until` gives the state after exactly that command."""
    code, text = _run(str(tmp_path), "--until", "57", "--json")
    assert (code, json.loads(text)["sequence"]) == (0, 57)
    code, text = _run(str(tmp_path), "--until", "100000")
    assert code == 1
    assert "NOT_IN_JOURNAL" in text
    assert [_run(option, "-1")[0] for option in ("--until", "--shard")] == [2, 2]


def test_damage_is_a_failure_and_nothing_is_not_running(shard: Shard, tmp_path: Path) -> None:
    """Exit code 1 names a damaged journal, 3 a folder without one."""
    assert _run(str(tmp_path / "none"))[0] == 3
    name = shard.storage.names("journal")[0]
    shard.storage.write(name, HEADER_BYTES + 70, b"\xff")
    code, text = _run(str(tmp_path))
    assert code == 1
    assert "CORRUPT_BLOCK" in text
