"""What a demonstration asks of the synthetic prices: a fall, a spike, a lie, a silence.

A small file in the run folder is the door: one process writes it whole, the one that makes the
prices reads it when it has changed. What is over is dropped at the next write.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import structlog

_FILE = "price-shocks.json"
_MAX_PPM = 10_000_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shock:
    """From `start_us` on, prices go by `ppm` within `ramp_us`, stay, and come back as quickly.

    `source` "" means all of them; one alone is a venue that lies. A `silent` shock moves nothing:
    the sources say nothing new while it lasts.
    """

    symbol: str
    start_us: int
    ppm: int
    ramp_us: int
    hold_us: int
    source: str = ""
    silent: bool = False

    def __post_init__(self) -> None:
        """Refuse what no price could follow."""
        if not -1_000_000 < self.ppm <= _MAX_PPM:
            raise ValueError("a shock is more than -100 % and at most +1000 %")
        if self.ramp_us < 0 or self.hold_us < 0:
            raise ValueError("a shock cannot last less than no time")

    @property
    def end_us(self) -> int:
        """Return when nothing is left of it."""
        return self.start_us + 2 * self.ramp_us + self.hold_us

    def concerns(self, symbol: str, source: str) -> bool:
        """Return whether it is about a market's prices from a source."""
        return self.symbol == symbol and self.source in ("", source)

    def silences(self, time_us: int) -> bool:
        """Return whether its sources say nothing at a time."""
        return self.silent and self.start_us <= time_us < self.end_us

    def ppm_at(self, time_us: int) -> int:
        """Return its part in a price at a time; straight up and down, rounded down."""
        if self.silent or not self.start_us <= time_us < self.end_us:
            return 0
        near_us = min(time_us - self.start_us, self.end_us - time_us)
        return self.ppm if near_us >= self.ramp_us else self.ppm * near_us // self.ramp_us


class ShockFile:
    """The file of a run folder."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / _FILE
        self._version: tuple[int, int] = (0, 0)
        self._shocks: tuple[Shock, ...] = ()

    def add(self, shock: Shock, now_us: int) -> None:
        """Add one and drop those that are over; readers see all of it or nothing."""
        kept = [one for one in self.read() if one.end_us > now_us]
        fresh = self._path.with_suffix(f".{os.getpid()}.new")
        fresh.write_bytes(msgspec.json.encode([asdict(one) for one in (*kept, shock)]))
        fresh.replace(self._path)

    def read(self) -> Sequence[Shock]:
        """Return what is asked for; no file asks for nothing, a broken one is said once."""
        try:
            stat = self._path.stat()
            version = (stat.st_mtime_ns, stat.st_size)
            if version != self._version:
                self._version, self._shocks = version, ()
                rows = msgspec.json.decode(self._path.read_bytes(), type=list[Shock])
                self._shocks = tuple(rows)
        except FileNotFoundError:
            self._version, self._shocks = (0, 0), ()
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("the file of price shocks is broken", error=str(error))
        return self._shocks
