"""The two engines behind one face: bytes in, bytes out, and read-only questions to the state.

`ReferenceEngine` is the specification in plain Python, `CoreEngine` the same in C++: the same
commands give the same event bytes and the same digest. Tests run one suite against both.
"""

from __future__ import annotations

from types import ModuleType

from matching.core_engine import CoreEngine, load_core
from matching.reference import ReferenceEngine

Engine = CoreEngine | ReferenceEngine


class EngineKindError(RuntimeError):
    """The wanted implementation is not available here."""


def create_engine(shard: int = 0, kind: str = "auto") -> Engine:
    """Return an empty engine. `kind`: "core", "reference", or "auto" for the best there is."""
    if kind == "reference":
        return ReferenceEngine(shard)
    core = _core_for(kind)
    return ReferenceEngine(shard) if core is None else CoreEngine(core, shard)


def restore_engine(data: bytes, kind: str = "auto") -> Engine:
    """Return the engine whose `snapshot()` is `data`; else `SnapshotError`."""
    if kind == "reference":
        return ReferenceEngine.restore(data)
    core = _core_for(kind)
    return ReferenceEngine.restore(data) if core is None else CoreEngine(core, data=data)


def _core_for(kind: str) -> ModuleType | None:
    if kind not in ("auto", "core"):
        raise EngineKindError(f"unknown engine kind {kind!r}: auto, core or reference")
    core = load_core()
    if core is None and kind == "core":
        raise EngineKindError(
            "the C++ core is not built here: install a C++ compiler and run ./rialto again, "
            "or choose the reference engine"
        )
    return core
