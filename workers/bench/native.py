"""The C++ side of the measurements: flows, load client, echo."""

from __future__ import annotations

from typing import Any

from matching.core_engine import load_core


class NothingToMeasureError(RuntimeError):
    """The C++ core is not built here, or there is nothing else to measure with."""


def native() -> Any:
    """Return the native module; `NothingToMeasureError` where it was not built."""
    module = load_core()
    if module is None:
        raise NothingToMeasureError("the C++ core is not built here; install a C++ compiler")
    return module
