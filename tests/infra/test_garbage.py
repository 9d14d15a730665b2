"""What a process has when it begins to serve is left alone by the collector."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import gc
from infra.garbage import set_aside

class Node:
    pass

kept = [Node() for _ in range(1_000)]
set_aside()
assert gc.get_freeze_count() > 1_000, gc.get_freeze_count()
assert not any(isinstance(one, Node) for one in gc.get_objects()), "it is walked"
circle = Node()
circle.itself = circle
del circle
assert gc.collect() >= 1, "what comes later is collected"
print("fine")
"""


def test_only_what_comes_later_is_walked() -> None:
    """In a process of its own, as it cannot be taken back."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)
    assert done.stdout == "fine\n", done.stderr
