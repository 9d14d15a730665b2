"""The last sign of life of one process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ProcessBeat:
    """What a heartbeat says; times in seconds since 1970."""

    process: str
    version: str
    started_at: float
    updated_at: float
    sequence: int | None = None
    lag: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def repeated_name(name: str, number: int) -> str:
    """Return the name of one of several processes of a kind, which count from 1."""
    return name if number == 1 else f"{name}-{number}"


def repeated_names(name: str, count: int) -> list[str]:
    """Return the names of all of several processes of a kind."""
    return [repeated_name(name, number) for number in range(1, count + 1)]
