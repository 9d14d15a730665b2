"""A child process that does not hear the signal is killed, whoever leads its group."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from infra.embedded.server import stop_process

_DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("leads_a_session", [True, False])
def test_a_deaf_process_is_killed(leads_a_session: bool) -> None:
    """Stopping never waits for ever, also for a process in our own group."""
    process = subprocess.Popen(
        [sys.executable, "-c", _DEAF],
        stdout=subprocess.PIPE,
        start_new_session=leads_a_session,
    )
    assert process.stdout is not None
    with process.stdout as stdout:
        assert stdout.readline() == b"deaf\n"
        stop_process(process, timeout_seconds=0.2)
    assert process.returncode == -signal.SIGKILL
