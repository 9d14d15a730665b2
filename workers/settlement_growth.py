"""Measures what a trade costs as the books grow, beside new books of the same minute; draws it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from domain.settlement import MAX_BATCH_TRADES, Settled
from infra.postgres.engine import create
from infra.postgres.migrate import upgrade
from infra.postgres.settlement_store import SettlementStore
from matching.batches import split_by_trades
from workers.settlement_bench import prepare
from workers.settlement_flow import Flow

_CONTROLS = 10  # in all: the books are compared with new ones so many times
_NEAR = 5  # steps before a control that it is compared with
_NEW_BOOKS = "growth_control"
_CREATE = sa.text("CREATE DATABASE growth_control TEMPLATE template0")
_DROP = sa.text("DROP DATABASE growth_control WITH (FORCE)")


@dataclass(frozen=True, slots=True)
class Point:
    """What a trade cost, microseconds, in the step that ended with `rows` trades in the books.

    `control`: the same in new books right after it, on the same server; None between controls.
    """

    rows: int
    cost: float
    control: float | None


async def measure_growth(
    url: str, flow: Flow, young: Flow, rows: int, step: int, tell: Callable[[Point], None]
) -> list[Point]:
    """Settle up to `rows` trades of `flow`; at times those of `young`, into new books."""
    engine = create(url)
    found: list[Point] = []
    apart = max(1, rows // step // _CONTROLS)
    try:
        await prepare(engine, flow)
        store, after = SettlementStore(engine), flow.funded
        while flow.trades < rows or after < flow.last:
            if after == flow.last:
                flow.sequencer.events.drop_before(after)
                flow.extend(flow.trades + step)
            cost = await _settle(store, flow, after)
            after = flow.last
            is_control = len(found) % apart == apart - 1 or flow.trades >= rows
            control = await _in_new_books(url, young) if is_control else None
            found.append(Point(flow.trades, cost, control))
            tell(found[-1])
    finally:
        await engine.dispose()
    return found


async def _settle(store: SettlementStore, flow: Flow, after: int) -> float:
    """Settle all after `after`; return microseconds a trade.

    As the activity does when it is behind: a batch is prepared while the one before is written.
    """
    begun = time.monotonic()
    writing: asyncio.Task[Settled] | None = None
    while (part := flow.read(after, flow.last)) is not None:
        for batch in split_by_trades(part.data, MAX_BATCH_TRADES):
            prepared = await store.prepare(0, batch.first_sequence, batch.last_sequence, batch.raw)
            if writing is not None:
                await writing
            writing = asyncio.create_task(prepared.settle())
        after = part.last_sequence
    if writing is not None:
        await writing
    return (time.monotonic() - begun) / len(flow.sequences) * 1e6


async def _in_new_books(url: str, flow: Flow) -> float:
    """Return microseconds a trade in a database of its own, which goes again."""
    place = sa.make_url(url).set(database=_NEW_BOOKS).render_as_string(hide_password=False)
    server = create(url).execution_options(isolation_level="AUTOCOMMIT")
    async with server.connect() as conn:
        await conn.execute(_CREATE)
    await asyncio.to_thread(upgrade, place)
    engine = create(place)
    try:
        await prepare(engine, flow)
        return await _settle(SettlementStore(engine), flow, flow.funded)
    finally:
        await engine.dispose()
        async with server.connect() as conn:
            await conn.execute(_DROP)
        await server.dispose()


def summary(points: Sequence[Point]) -> dict[str, float]:
    """Return what a trade cost at first, at last and in new books, and three ratios.

    `ratio` is the medians of the last and the first steps: all that the machine did in between is
    in it. `ratio_to_new`: each control with the steps just before it, the median of the last
    three. `ratio_of_quickest`: the quickest step of the last third and the quickest control, which
    are those that were disturbed least.
    """
    first = statistics.median(point.cost for point in points[:_NEAR])
    last = statistics.median(point.cost for point in points[-_NEAR:])
    report = {
        "rows": points[-1].rows,
        "first_us_per_trade": round(first, 1),
        "last_us_per_trade": round(last, 1),
        "ratio": round(last / first, 2),
    }
    controls = [(n, point.control) for n, point in enumerate(points) if point.control is not None]
    if controls:
        ratios = [
            statistics.median(near.cost for near in points[max(0, n - _NEAR + 1) : n + 1]) / new
            for n, new in controls
        ]
        quickest = min(point.cost for point in points[len(points) * 2 // 3 :])
        new = min(new for _, new in controls)
        report |= {
            "ratio_to_new": round(statistics.median(ratios[-3:]), 2),
            "quickest_us_per_trade": round(quickest, 1),
            "quickest_new_us_per_trade": round(new, 1),
            "ratio_of_quickest": round(quickest / new, 2),
        }
    return report


def plot(points: Sequence[Point]) -> str:
    """Return an SVG of the cost a trade over the rows in the books; dots: in new books."""
    width, height, left, bottom = 640, 320, 60, 40
    most_rows = max(point.rows for point in points)
    costs = [point.cost for point in points]
    controls = [(point.rows, point.control) for point in points if point.control is not None]
    most_cost = max([*costs, *(cost for _, cost in controls)]) * 1.25

    def place(rows: float, cost: float) -> tuple[str, str]:
        x = left + (width - left - 20) * rows / most_rows
        y = height - bottom - (height - bottom - 30) * cost / most_cost
        return f"{x:.1f}", f"{y:.1f}"

    line = " ".join(",".join(place(point.rows, point.cost)) for point in points)
    axis = " L".join(
        ",".join(place(*corner)) for corner in ((0, most_cost), (0, 0), (most_rows, 0))
    )
    marks = "".join(
        f'<text x="{place(0, cost)[0]}" y="{place(0, cost)[1]}" dx="-8" '
        f'text-anchor="end">{cost:.0f}</text>'
        for cost in (0, most_cost / 2, most_cost)
    )
    dots = "".join(
        f'<circle cx="{place(*control)[0]}" cy="{place(*control)[1]}" r="4" fill="#d9480f"/>'
        for control in controls
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        f'<text x="{left}" y="18">Settlement: microseconds a trade, by trades in the books'
        " (dots: in new books, right after)</text>\n"
        f'<path d="M{axis}" fill="none" stroke="black"/>{marks}\n'
        f'<text x="{width - 20}" y="{height - 14}" text-anchor="end">{most_rows:,} trades</text>\n'
        f'<polyline points="{line}" fill="none" stroke="#1668c7" stroke-width="2"/>\n'
        f"{dots}\n</svg>\n"
    )
