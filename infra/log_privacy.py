"""Keeps what failed steps say out of the log: their words may name people, and logs travel far.

Temporal's SDK writes the message and the stack of every failed activity. The type is kept and the
place in the code; the message stands, sealed, in the workflow's history.
"""

from __future__ import annotations

import logging
import traceback

_SDK = "temporalio"


class WithoutMessages(logging.Filter):
    """For a handler: what the SDK logs loses the messages of exceptions, never the line itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the messages out, and let the record pass."""
        if record.name == _SDK or record.name.startswith(f"{_SDK}."):
            if isinstance(record.args, tuple):
                record.args = tuple(_named(value) for value in record.args)
            if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
                record.msg = f"{record.getMessage()}; {_places(record.exc_info[1])}"
                record.args, record.exc_info, record.exc_text = (), None, None
        return True


def _named(value: object) -> object:
    return type(value).__name__ if isinstance(value, BaseException) else value


def _places(error: BaseException) -> str:
    """Return the types of an error and its causes, each with the line that raised it."""
    found = []
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        kind = getattr(now, "type", None)
        name = f"{type(now).__name__}({kind})" if isinstance(kind, str) else type(now).__name__
        frames = traceback.extract_tb(now.__traceback__)
        where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        found.append(f"{name}{where}")
        now = now.__cause__ or now.__context__
    return " caused by ".join(found)
