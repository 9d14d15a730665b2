"""Seeds of the fuzz target: streams of commands of every kind, as the agreement test draws them.

`python -m tests.fuzz.seeds FOLDER` writes them; they follow the byte table, as it is today.
"""

from __future__ import annotations

import sys
from pathlib import Path

from domain import commands as c
from domain.order import OrderType, Side, TimeInForce
from matching.codec import encode_command
from matching.wire import MAX_TIME_US
from tests.matching.test_engines_agree import Stream
from workers.conformance.desk import market

COUNT = 16
START_US = 10**12  # where the target's clock begins
_COMMANDS = 60


def write_seeds(folder: Path) -> None:
    """Write the seeds as files of records; their numbers become control bytes of the target."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(COUNT):
        stream = Stream(seed)
        commands = stream.opening() + [stream.next() for _ in range(_COMMANDS)]
        (folder / f"stream-{seed:02d}").write_bytes(b"".join(commands))
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


if __name__ == "__main__":
    write_seeds(Path(sys.argv[1]))
