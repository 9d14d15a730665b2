"""The garbage collector of a process that answers: it does not walk what was made at the start."""

from __future__ import annotations

import gc


def set_aside() -> None:
    """Keep the collector off everything there is; call it when the process is ready to serve.

    A full collection walks all objects: a gateway has half a million of them before its first
    request, and every customer waits meanwhile. What comes later is collected as ever, only not
    after every 700 objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)
