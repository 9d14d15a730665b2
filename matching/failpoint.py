"""Named places at which a test lets the process die: `RIALTO_FAILPOINT=name:nth`.

Unset, as in every real run, a failpoint is one comparison with None.
"""

from __future__ import annotations

import os
import signal

_WANTED = os.environ.get("RIALTO_FAILPOINT")
_hits = 0


def hit(name: str) -> None:
    """Kill this process with SIGKILL at the nth passage of the wanted failpoint."""
    if _WANTED is None:
        return
    global _hits
    wanted, _, nth = _WANTED.partition(":")
    if name == wanted:
        _hits += 1
        if _hits >= int(nth or 1):
            os.kill(os.getpid(), signal.SIGKILL)
