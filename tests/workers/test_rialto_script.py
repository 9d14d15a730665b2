"""The script at the root: what it installs, when it does not, and what it says when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_FAKE_UV = """#!/bin/sh
echo "$*" >> "{log}"
if [ "$1" = venv ]; then
    mkdir -p "{venv}/bin"
    printf '#!/bin/sh\\nif [ "$2" = "-m" ]; then echo "ran $*"; fi\\n' > "{venv}/bin/python"
    chmod +x "{venv}/bin/python"
fi
"""


class Script:
    """The script with an environment of its own, and a uv that only writes down its calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / "venv"
        self.log = folder / "uv.log"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.program("uv", _FAKE_UV.format(log=self.log, venv=self.venv))

    def program(self, name: str, text: str) -> None:
        """Put a program first on the PATH."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "RIALTO_VENV": str(self.venv),
            "RIALTO_PYTHON": os.environ.get("RIALTO_PYTHON", sys.executable),
        }
        return subprocess.run(
            [str(_ROOT / "rialto"), *arguments],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def installs(self) -> list[str]:
        """Return what uv was asked for since the last call."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line for line in lines if line]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Give the script in an empty environment."""
    return Script(tmp_path)


def test_first_run_installs_the_hashed_lock_then_rialto(script: Script) -> None:
    """Only the run-time lock, with hashes; Rialto itself without dependencies."""
    result = script.run("status")
    assert result.stdout == "ran -P -m workers status\n"
    venv, sync, install = script.installs()
    assert venv.startswith("venv ")
    assert "--require-hashes" in sync
    assert sync.endswith("/requirements.lock")
    assert "--no-deps -e" in install
    assert [line[:5] for line in result.stderr.splitlines()] == ["[1/3]", "[2/3]", "[3/3]"]


def test_later_run_installs_nothing_and_is_quick(script: Script) -> None:
    """A warm start costs no more than hashing two files."""
    script.run("status")
    script.installs()
    seconds = []
    for _ in range(5):  # the quickest: other tests use the machine too
        started = time.monotonic()
        result = script.run("status")
        seconds.append(time.monotonic() - started)
    assert min(seconds) < 0.3
    assert (result.stdout, result.stderr) == ("ran -P -m workers status\n", "")
    assert script.installs() == []


def test_tests_need_the_larger_lock_and_up_is_content_with_it(script: Script) -> None:
    """`test` adds the test tools; going back to `up` removes nothing."""
    script.run("up")
    script.installs()
    script.run("test")
    assert [line for line in script.installs() if line.endswith("requirements-test.lock")]
    script.run("up")
    assert script.installs() == []


def test_a_core_that_was_not_built_is_tried_again_with_another_compiler(script: Script) -> None:
    """The plain engine runs meanwhile, and nothing is installed anew without a reason."""
    without_core = _FAKE_UV.replace('if [ "$2" = "-m" ]', '[ "$2" = "-m" ] || exit 1; if true')
    script.program("uv", without_core.format(log=script.log, venv=script.venv))
    assert "the reference engine will run" in script.run("status").stderr
    assert len(script.installs()) == 3
    assert script.run("status").stderr == ""
    assert script.installs() == []
    script.program("c++", "#!/bin/sh\n")
    assert "the reference engine will run" in script.run("status").stderr
    assert script.installs()
    assert script.run("status").stderr == ""


def test_failed_install_is_told_and_repeated(script: Script) -> None:
    """Uv's own words, what may be the cause, exit code 1; the next run tries again."""
    script.program("uv", "#!/bin/sh\necho 'no route to the registry' >&2\nexit 3\n")
    result = script.run("up")
    assert result.returncode == 1
    assert "no route to the registry" in result.stderr
    assert "Usual causes" in result.stderr
    assert script.run("up").returncode == 1


def test_another_platform_gets_one_sentence(script: Script) -> None:
    """No stack trace, no half installation."""
    script.program("uname", '#!/bin/sh\n[ "$1" = -s ] && echo Darwin || echo arm64\n')
    result = script.run("up")
    assert result.returncode == 1
    assert result.stderr == "rialto: Rialto runs on Linux x86-64; this is Darwin arm64.\n"
    assert script.installs() == []


def test_old_python_is_told(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Python 3.11 the message says what to install."""
    old = script.bin / "python-old"
    script.program("python-old", "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("RIALTO_PYTHON", str(old))
    result = script.run("up")
    assert result.returncode == 1
    assert "Python 3.11 or newer is needed" in result.stderr
