"""A drawn flow as the lines that `rialto bench core` takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from domain.commands import Opcode
from matching.wire import STRIPE
from workers.bench.native import native

_LINE_DTYPE = np.dtype("<u1,<u1,<u2,<u4,<u8,<i8")  # op, side, flags, lots, id, price
_WORDS = STRIPE // 8
_KEY, _PRICE, _LOTS = 4, 6, 7  # words of a command


def drawn_flow(commands: int, seed: int = 1) -> tuple[bytes, dict[str, Any]]:
    """Return lines of the flow `normal` and the trades and volume that must come of them."""
    flow = native().LoadFlow("normal", seed, 1)
    raw, _ = flow.take(commands)
    words = np.frombuffer(raw, "<u8").reshape(-1, _WORDS)
    heads = np.frombuffer(raw, np.uint8).reshape(-1, STRIPE)
    cancels = heads[:, 16] == Opcode.CANCEL_ORDER
    lines = np.zeros(commands, _LINE_DTYPE)
    lines["f0"] = cancels
    lines["f1"] = heads[:, 22] & 1
    lines["f3"] = words[:, _LOTS]
    lines["f4"] = words[:, _KEY]
    lines["f5"] = words[:, _PRICE]
    lines["f5"][cancels] = lines["f5"][~cancels][0]  # a price of the flow: the window is theirs
    return lines.tobytes(), {"trades": flow.trades, "volume": flow.volume_lots}
