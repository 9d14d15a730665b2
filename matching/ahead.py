"""Doing the next piece of work in a thread while this one uses the last."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import TypeVar

T = TypeVar("T")
_DEPTH = 8


@contextmanager
def ahead(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """Give the items, drawn a few at a time in a thread of their own; errors come with them.

    After the block the thread is gone, whether or not all items were taken, and `items` belongs to
    the caller again.
    """
    ready: Queue[tuple[T] | Exception | None] = Queue(_DEPTH)
    stop = threading.Event()

    def draw() -> None:
        try:
            for item in items:
                ready.put((item,))
                if stop.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - raised where the items are taken
            ready.put(error)
        else:
            ready.put(None)

    def taken() -> Iterator[T]:
        while (found := ready.get()) is not None:
            if isinstance(found, Exception):
                raise found
            yield found[0]

    thread = threading.Thread(target=draw, name="ahead")
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        _empty(ready)  # it puts at most one more, for which there is room now
        thread.join()


def _empty(queue: Queue[tuple[T] | Exception | None]) -> None:
    while not queue.empty():
        queue.get()
