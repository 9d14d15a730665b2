"""Which process of pytest's runs which tests: a file stays together, and so do those that share."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadFileScheduling

_ROOT = Path(__file__).parents[1]
_SHARES = re.compile(r"\brunning: RunningExchange\b")  # the fixture of tests/api/conftest.py
EXCHANGE = "tests that share the running exchange"


@cache
def group_of(path: str) -> str:
    """Return what a test file is run together with: itself, or all that use one exchange.

    An exchange takes ten seconds of processor time to start and a twentieth of a core to keep.
    """
    return EXCHANGE if _SHARES.search((_ROOT / path).read_text()) else path


def shares_exchange(nodeid: str) -> bool:
    """Tell whether a test's file has tests that share the running exchange."""
    return group_of(nodeid.split("::", 1)[0]) == EXCHANGE


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # it carries no types
    """Hands files, or the group of them that share one exchange, to the processes."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.split("::", 1)[0])
