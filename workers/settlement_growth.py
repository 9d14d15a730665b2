"""Measures what a trade costs as the books grow, and draws it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from domain.settlement import MAX_BATCH_TRADES
from infra.postgres.engine import create
from infra.postgres.settlement_store import SettlementStore
from matching.batches import split_by_trades
from workers.settlement_bench import prepare
from workers.settlement_flow import Flow


async def measure_growth(
    url: str, flow: Flow, rows: int, step: int, tell: Callable[[int, float], None]
) -> list[tuple[int, float]]:
    """Settle up to `rows` trades; return (rows, microseconds a trade of the last `step`)."""
    engine = create(url)
    found: list[tuple[int, float]] = []
    try:
        await prepare(engine, flow)
        store, after = SettlementStore(engine), flow.funded
        while flow.trades < rows or after < flow.last:
            if after == flow.last:
                flow.sequencer.events.drop_before(after)
                flow.extend(flow.trades + step)
            begun, trades = time.monotonic(), len(flow.sequences)
            while (part := flow.read(after, flow.last)) is not None:
                for batch in split_by_trades(part.data, MAX_BATCH_TRADES):
                    await store.settle(0, batch.first_sequence, batch.last_sequence, batch.raw)
                after = part.last_sequence
            found.append((flow.trades, (time.monotonic() - begun) / trades * 1e6))
            tell(*found[-1])
    finally:
        await engine.dispose()
    return found


def plot(points: Sequence[tuple[int, float]]) -> str:
    """Return an SVG of the cost a trade over the rows in the books."""
    width, height, left, bottom = 640, 320, 60, 40
    most_rows = max(rows for rows, _ in points)
    most_cost = max(cost for _, cost in points) * 1.25

    def place(rows: float, cost: float) -> str:
        x = left + (width - left - 20) * rows / most_rows
        y = height - bottom - (height - bottom - 30) * cost / most_cost
        return f"{x:.1f},{y:.1f}"

    line = " ".join(place(rows, cost) for rows, cost in points)
    axis = f"M{place(0, most_cost)} L{place(0, 0)} L{place(most_rows, 0)}"
    marks = "".join(
        f'<text x="{place(0, cost).split(",")[0]}" y="{place(0, cost).split(",")[1]}" dx="-8" '
        f'text-anchor="end">{cost:.0f}</text>'
        for cost in (0, most_cost / 2, most_cost)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        f'<text x="{left}" y="18">Settlement: microseconds a trade, by trades in the books</text>\n'
        f'<path d="{axis}" fill="none" stroke="black"/>{marks}\n'
        f'<text x="{width - 20}" y="{height - 14}" text-anchor="end">{most_rows:,} trades</text>\n'
        f'<polyline points="{line}" fill="none" stroke="#1668c7" stroke-width="2"/>\n</svg>\n'
    )
