"""What charging a rate limit asks and answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Charge:
    """One bucket to charge: `subject` may use `quota` units a window; this costs `cost`."""

    bucket: str
    subject: str
    cost: int
    quota: int


@dataclass(frozen=True, slots=True)
class Charged:
    """The verdict, what remains per bucket, and when the window ends."""

    allowed: bool
    remaining: tuple[int, ...]
    reset_seconds: int
    shared: bool = True  # False: counted by this gateway alone, because the shared store is away
