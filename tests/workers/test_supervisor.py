"""The supervisor keeps its children alive while it lives, and not a moment longer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra.embedded.server import Child, ServerFailedError
from workers.supervisor import Supervisor

_ROOT = Path(__file__).resolve().parents[2]
_SLEEP = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"


class Sleeper(Child):
    """A child that says it is ready by a file and then sleeps."""

    def __init__(self, name: str, folder: Path, program: str = _SLEEP) -> None:
        super().__init__(name, folder / f"{name}.log")
        self._ready = folder / f"{name}.ready"
        self._program = program

    def prepare(self) -> None:
        """Forget the last start's sign."""
        self._ready.unlink(missing_ok=True)

    def command(self) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-c", self._program, str(self._ready)]

    def answers(self) -> bool:
        """Tell whether the file is there."""
        return self._ready.exists()


async def _until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.02)


async def test_dead_child_is_started_again(tmp_path: Path) -> None:
    """Kill -9 of a child gives a new one, and the state file counts it."""
    lines: list[str] = []
    supervisor = Supervisor(tmp_path / "state.json", lines.append)
    child = Sleeper("one", tmp_path)
    await supervisor.start(child, stage=0)
    first = child.pid
    os.kill(first, signal.SIGKILL)
    await _until(lambda: child.pid != first and child.alive() and "is back" in str(lines))
    await supervisor.stop()
    assert not psutil.pid_exists(child.pid)
    state = json.loads((tmp_path / "state.json").read_text())
    assert [(c["name"], c["restarts"], c["state"]) for c in state["children"]] == [
        ("one", 1, "stopped")
    ]
    assert any("died (code -9); again in 0.2 s" in line for line in lines)


async def test_backoff_grows_while_a_child_keeps_dying(tmp_path: Path) -> None:
    """A child that cannot live is tried less and less often."""
    lines: list[str] = []
    supervisor = Supervisor(tmp_path / "state.json", lines.append)
    child = Sleeper("short", tmp_path, _SLEEP.replace("600", "0.05"))
    await supervisor.start(child, stage=0)
    await _until(lambda: sum("again in" in line for line in lines) == 3)
    await supervisor.stop()
    waits = [line.rsplit("again in ", 1)[1] for line in lines if "again in" in line]
    assert waits == ["0.2 s", "0.5 s", "1 s"]


async def test_child_that_never_starts_is_an_error_with_its_log(tmp_path: Path) -> None:
    """The message carries the last lines of the log."""
    supervisor = Supervisor(tmp_path / "state.json", lambda _: None)
    with pytest.raises(ExceptionGroup) as caught:
        await supervisor.start(Sleeper("bad", tmp_path, "raise SystemExit('no way')"), stage=0)
    await supervisor.stop()
    error = caught.value.exceptions[0]
    assert isinstance(error, ServerFailedError)
    assert "no way" in str(error)


async def test_last_stage_stops_first(tmp_path: Path) -> None:
    """Whoever asks ends before whoever answers."""
    order = tmp_path / "order"
    program = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n"
        "    open({order!r}, 'a').write({name!r})\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "time.sleep(600)\n"
    )
    supervisor = Supervisor(tmp_path / "state.json", lambda _: None)
    for stage, name in enumerate("abc"):
        text = program.format(order=str(order), name=name)
        await supervisor.start(Sleeper(name, tmp_path, text), stage=stage)
    await supervisor.stop()
    assert order.read_text() == "cba"


class Beater(Sleeper):
    """A child whose file says when it last did something."""

    def sign_of_life(self) -> object:
        """Return the time in the file."""
        return self._ready.stat().st_mtime_ns if self._ready.exists() else None


_BEAT = "import pathlib, sys, time\nwhile True: pathlib.Path(sys.argv[1]).touch(); time.sleep(0.1)"
_BUSY = "import pathlib, sys\npathlib.Path(sys.argv[1]).touch()\nwhile True: pass"


async def test_hung_child_is_killed_and_started_again(tmp_path: Path) -> None:
    """A stopped process lives and does nothing; one that beats, or tells nothing, is left alone."""
    lines: list[str] = []
    state = tmp_path / "state.json"
    supervisor = Supervisor(state, lines.append, hang_seconds=2)
    hung, well = Beater("hung", tmp_path, _BEAT), Beater("well", tmp_path, _BEAT)
    mute = Sleeper("mute", tmp_path)
    await supervisor.start(hung, well, mute, stage=0)
    first, others = hung.pid, (well.pid, mute.pid)
    os.kill(first, signal.SIGSTOP)
    await _until(lambda: hung.pid != first and "hung is back" in str(lines))
    assert (well.pid, mute.pid) == others
    await supervisor.stop()
    told = {child["name"]: child for child in json.loads(state.read_text())["children"]}
    assert told["hung"]["restarts"] == 1
    assert "no heartbeat" in told["hung"]["note"]
    assert any("hung: no heartbeat for" in line for line in lines)


async def test_busy_child_has_more_time(tmp_path: Path) -> None:
    """One that computes without a beat is not taken for hung so soon."""
    supervisor = Supervisor(tmp_path / "state.json", lambda _: None, hang_seconds=2)
    child = Beater("busy", tmp_path, _BUSY)
    await supervisor.start(child, stage=0)
    first = child.pid
    await asyncio.sleep(4)
    assert child.pid == first
    await supervisor.stop()


async def test_watching_outlives_a_full_disk(tmp_path: Path) -> None:
    """The state cannot be written: it is said once, children are still looked after."""
    lines: list[str] = []
    folder = tmp_path / "run"
    folder.mkdir()
    supervisor = Supervisor(folder / "state.json", lines.append)
    child = Sleeper("one", tmp_path)
    await supervisor.start(child, stage=0)
    first = child.pid
    await _until(lambda: (folder / "state.json").exists())
    (folder / "state.json").unlink()
    (folder / "state.json").mkdir()  # which nothing can replace
    await _until(lambda: "writing state.json fails" in str(lines))
    os.kill(first, signal.SIGKILL)
    await _until(lambda: child.pid != first and "is back" in str(lines))
    (folder / "state.json").rmdir()
    await _until(lambda: "writing state.json works again" in str(lines))
    assert str(lines).count("fails") == 1
    await supervisor.stop()


async def test_logs_are_put_aside_while_they_are_written(tmp_path: Path) -> None:
    """A talkative child fills its log again and again; three files are kept, all small."""
    program = (
        "import pathlib, sys, time\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "while True: print('x' * 999, flush=True); time.sleep(0.02)"
    )
    supervisor = Supervisor(tmp_path / "state.json", lambda _: None, log_bytes=100_000)
    child = Sleeper("loud", tmp_path, program)
    await supervisor.start(child, stage=0)
    await _until(lambda: (tmp_path / "loud.log.2").exists())
    assert child.alive()
    before = child.log_path.stat().st_size
    await _until(lambda: child.log_path.stat().st_size > before)
    assert child.log_path.read_bytes()[:1] == b"x"
    await supervisor.stop()
    assert _logs(tmp_path) == ["loud.log", "loud.log.1", "loud.log.2"]


def _logs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("loud.log*"))


def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """Kill -9 of the supervisor leaves no child behind."""
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.workers.test_supervisor import Sleeper\n"
        "from workers.supervisor import Supervisor\n"
        "async def main():\n"
        "    folder = Path(sys.argv[1])\n"
        "    supervisor = Supervisor(folder / 'state.json', print)\n"
        "    child = Sleeper('one', folder)\n"
        "    await supervisor.start(child, stage=0)\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        assert psutil.pid_exists(child)
        supervisor.kill()
    deadline = time.monotonic() + 30
    while _runs(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has buried yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
