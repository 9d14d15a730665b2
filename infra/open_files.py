"""How many files this process may open: a socket is one, too."""

from __future__ import annotations

import resource

_OTHER_FILES = 200  # of databases, engines and logs


def room_for_sockets() -> int:
    """Open as many files as the system allows, and return how many of them may be clients'."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most == resource.RLIM_INFINITY:
        return 1 << 20
    return max(most // 2, most - _OTHER_FILES)
