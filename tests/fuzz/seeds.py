"""Seeds of the fuzz targets: commands of every kind as the agreement test draws them, and frames.

`python -m tests.fuzz.seeds TARGET FOLDER` writes them; they follow the byte tables of today.
"""

from __future__ import annotations

import sys
from pathlib import Path

from domain import commands as c
from domain.order import OrderType, Side, TimeInForce
from infra.engine_frames import FrameKind, encode_frame, encode_hello
from matching.codec import encode_command
from matching.wire import MAX_TIME_US
from tests.matching.perpetual_stream import PerpetualStream
from tests.matching.test_engines_agree import Stream
from workers.conformance.desk import market

COUNT = 16
START_US = 10**12  # where the target's clock begins
_COMMANDS = 60


def write_core_seeds(folder: Path) -> None:
    """Write files of records; their numbers become control bytes of the target."""
    for seed in range(COUNT):
        stream = Stream(seed)
        commands = stream.opening() + [stream.next() for _ in range(_COMMANDS)]
        (folder / f"stream-{seed:02d}").write_bytes(b"".join(commands))
    for seed in range(COUNT // 2):
        perpetual = PerpetualStream(seed)
        commands = perpetual.opening(quick=True) + [perpetual.next() for _ in range(_COMMANDS)]
        (folder / f"perpetual-{seed:02d}").write_bytes(b"".join(commands))
    for name, records in _edges().items():
        (folder / name).write_bytes(b"".join(records))


def _edges() -> dict[str, list[bytes]]:
    """Return streams at the edges of the numbers, where arithmetic would overflow first."""
    lowest, highest = -(2**63), 2**63 - 1

    def order(key: int, price: int, lots: int = 1) -> c.PlaceOrder:
        limit, gtc = OrderType.LIMIT, TimeInForce.GTC
        return c.PlaceOrder(1, key, 1, Side.BUY, limit, gtc, price, lots)

    prices: list[c.Command] = [order(3, 10**6), order(4, lowest), order(5, highest)]
    sizes: list[c.Command] = [order(6, 1, highest), order(7, 10**6, 10**9)]
    late: list[c.Command] = [c.SetDeadMansSwitch(1, 24 * 3_600 * 10**6), order(3, 10), c.Tick()]
    return {
        "edge-prices": _stream(START_US, *prices, *sizes),
        "edge-times": _stream(MAX_TIME_US, *late),
        "edge-beyond": _stream(highest, *late),
    }


def _stream(time_us: int, *commands: c.Command) -> list[bytes]:
    """Return the commands behind a market and money, all at one time."""
    rules = market(1, listing_price_ticks=10**6, band_ppm=10**9)
    money = [c.Credit(asset, 1, asset, 10**15, time_us) for asset in (1, 2)]
    return [
        encode_command(command, sequence=sequence, time_us=time_us)
        for sequence, command in enumerate([rules, *money, *commands], 1)
    ]


def write_frame_seeds(folder: Path) -> None:
    """Write what well-behaved clients send, cut in three ways."""
    hello = encode_hello(1, "token", 1)
    orders = [Stream(seed).opening() for seed in range(3)]
    frames = [encode_frame(FrameKind.COMMANDS, n, b"".join(o)) for n, o in enumerate(orders)]
    for number, cuts in enumerate((b"\x00" * 8, b"\xff" * 8, bytes(range(1, 9)))):
        (folder / f"client-{number}").write_bytes(cuts + hello + b"".join(frames))


WRITERS = {"core": write_core_seeds, "frames": write_frame_seeds}

if __name__ == "__main__":
    target, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    WRITERS[target](folder)
