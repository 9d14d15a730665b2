"""The load client counts every command, and a wrong answer ends the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.engine_frames import HEADER, encode_hello
from infra.engine_roles import Role
from workers.bench.native import native

HELLO = encode_hello(Role.GATEWAY, "", 0)


class Control:
    """An echo in a thread."""

    def __init__(self, folder: Path, fsync: bool) -> None:
        self.socket = str(folder / "echo.sock")
        self.counts: dict[str, int] = {}
        self._thread = threading.Thread(target=self._serve, args=(str(folder), fsync))
        self._thread.start()
        while not Path(self.socket).exists():
            time.sleep(0.001)

    def _serve(self, folder: str, fsync: bool) -> None:
        self.counts = native().serve_echo(self.socket, folder, fsync)

    def client(self, announce: bool = True) -> Any:
        """Return a client with a flow of its own."""
        flow = native().LoadFlow("normal", 1, 1)
        return native().LoadClient(self.socket, HELLO, flow, announce=announce)

    def end(self) -> dict[str, int]:
        """Return what came by, after the client is gone."""
        self._thread.join()
        return self.counts


@pytest.fixture(params=[False, True], ids=["os", "fsync"])
def control(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Control]:
    """Give an echo of each policy."""
    control = Control(tmp_path, request.param)
    yield control
    control.end()


def test_both_loops_count_every_command(control: Control, tmp_path: Path) -> None:
    """What is sent is acknowledged, measured without the opening, and written byte for byte."""
    client = control.client()
    client.open_book()
    client.run_open(20_000, 0.1)
    client.run_window(0.02, 1, 1)
    client.run_window(0.02, 400, 100)
    report = client.report()
    del client
    counts = control.end()
    assert report["sent"] == report["acknowledged"] == counts["commands"]
    assert report["measured"] == report["count"] == report["sent"] - 2_000
    assert report["measured"] > 2_000
    assert counts["bytes_in"] == report["sent"] * 64
    assert (tmp_path / "events").stat().st_size == report["bytes_in"] + HEADER.size  # WELCOME
    durations = [ns for _, ns in report["points"]]
    assert durations == sorted(durations)
    assert 0 < durations[0] <= durations[-1] <= report["most_ns"]


def test_a_wrong_answer_ends_the_run(control: Control) -> None:
    """An echo that is not told how long answers are gives none, and that is an error."""
    client = control.client(announce=False)
    with pytest.raises(RuntimeError, match="event 1 was expected"):
        client.open_book()
    del client


def test_a_door_that_is_not_there_is_named(tmp_path: Path) -> None:
    """No engine, no measurement."""
    flow = native().LoadFlow("normal", 1, 1)
    with pytest.raises(RuntimeError, match="connect"):
        native().LoadClient(str(tmp_path / "none.sock"), HELLO, flow, announce=False)
