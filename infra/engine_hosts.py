"""Which loop drives an engine: the C++ one with the C++ core, the Python one with the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from infra.door_limits import DEFAULT_LIMITS, DoorLimits
from infra.engine_host import EngineHost
from infra.engine_roles import Tokens
from infra.engine_server import FrameDoor
from infra.native_host import NativeDoor, NativeHost
from matching.core_engine import CoreEngine
from matching.engine import EngineKindError
from matching.sequencer import Sequencer

Host = EngineHost | NativeHost
Door = FrameDoor | NativeDoor
LoopKind = Literal["auto", "native", "python"]


def host_for(
    sequencer: Sequencer,
    directory: Path,
    tokens: Tokens,
    *,
    kind: LoopKind = "auto",
    limits: DoorLimits = DEFAULT_LIMITS,
    busy_poll_us: int = 0,
    hurry: bool = False,
) -> tuple[Host, Door]:
    """Return the host of a recovered sequencer and its binary door, neither started.

    "native" without the C++ core is `EngineKindError`. `hurry`: its threads go before others, as
    far as the system lets them. What is not said here about either loop is the same for both.
    """
    is_core = isinstance(sequencer.engine, CoreEngine)
    if kind == "native" and not is_core:
        raise EngineKindError("the native loop needs the C++ core")
    if kind == "python" or not is_core:
        host = EngineHost(sequencer, directory)
        return host, FrameDoor(host, tokens, limits)
    native = NativeHost(
        sequencer, directory, tokens, limits=limits, busy_poll_us=busy_poll_us, hurry=hurry
    )
    return native, NativeDoor(native)
