"""`rialto simulate --plot`: marks, fund, open interest, liquidations and deleveraging as an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from workers.simulation.market import PERPETUALS, WHOLE
from workers.simulation.prices import STEP_US
from workers.simulation.run import Curve

_WIDTH, _PANEL = 920, 150
_LEFT, _RIGHT, _TOP, _HEAD = 84, 84, 26, 44
_GRID, _CRASH, _GAP = "#e3e3e3", "#b3261e", "#f1e4c8"
_COLOURS = ("#1f5fa8", "#c77700", "#3b7d3b", "#7a3fa0")
_POINTS = 700  # of a line; more than can be seen
_Line = tuple[str, Sequence[float]]


def draw(report: dict[str, Any], curve: Curve) -> str:
    """Return the SVG: four panels over time, gaps shaded, crashes as red lines."""
    marks: list[_Line] = [
        (f"{market.base.code} mark", _in_percent(curve.marks[market.symbol_id]))
        for market in PERPETUALS
    ]
    panels: list[tuple[str, list[_Line]]] = [
        ("mark, % of the first", marks),
        ("insurance fund, USDT", [("fund", _in_whole(curve.fund_units))]),
        ("open interest, USDT", [("open interest", _in_whole(curve.open_units))]),
        (
            "since the beginning",
            [("liquidations", curve.liquidations), ("pairs closed", curve.pairs)],
        ),
    ]
    height = _HEAD + len(panels) * _PANEL + 24
    head = 'font-family="sans-serif" font-size="11" fill="#333"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {head}>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="14" y="20" font-size="14" font-weight="bold">{escape(_title(report))}</text>',
        f'<text x="14" y="36">{escape(_note(report))}</text>',
    ]
    for number, (title, lines) in enumerate(panels):
        parts.append(f'<g transform="translate(0 {_HEAD + number * _PANEL})">')
        parts += _panel(title, lines, curve, report["steps"])
        parts.append("</g>")
    parts += _hours(report["steps"], height)
    return "\n".join([*parts, "</svg>", ""])


def _title(report: dict[str, Any]) -> str:
    return (
        f"Seed {report['seed']}: {report['accounts']:,} accounts, {report['steps']:,} steps of "
        f"{STEP_US // 1_000_000} s, {report['trades']:,} trades"
    )


def _note(report: dict[str, Any]) -> str:
    broken = "all invariants hold" if report["ok"] else "INVARIANTS VIOLATED"
    return (
        f"{report['liquidations']:,} liquidations, {report['takeovers']:,} takeovers, "
        f"{report['adl_fills']:,} deleveraged pairs, {report['funding_batches']} fundings; "
        f"{broken}. Shaded: index sources missing, stale, silent or astray. Red: crash."
    )


def _in_percent(values: Sequence[int]) -> list[float]:
    return [100 * value / values[0] for value in values]


def _in_whole(values: Sequence[int]) -> list[float]:
    return [value / WHOLE for value in values]


def _panel(title: str, lines: list[_Line], curve: Curve, steps: int) -> list[str]:
    """Return one panel: a title, a scale, what happened from outside, and its lines."""
    low = min(min(values) for _, values in lines)
    high = max(max(values) for _, values in lines)
    high = high if high > low else low + 1
    bottom = _PANEL - 12
    parts = [f'<text x="{_LEFT}" y="18" font-weight="bold">{escape(title)}</text>']
    width = max(1.0, (_WIDTH - _LEFT - _RIGHT) / steps)
    parts += [
        f'<rect x="{_across(step, steps):.1f}" y="{_TOP}" width="{width:.1f}" '
        f'height="{bottom - _TOP}" fill="{_GAP}"/>'
        for step in curve.gaps
    ]
    for part in (0, 1, 2):
        value = low + (high - low) * part / 2
        y = _up(value, low, high)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" '
            f'stroke="{_GRID}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>'
        )
    parts += [
        f'<line x1="{_across(step, steps):.1f}" y1="{_TOP}" x2="{_across(step, steps):.1f}" '
        f'y2="{bottom}" stroke="{_CRASH}"/>'
        for step in curve.crashes
    ]
    for number, (name, values) in enumerate(lines):
        colour = _COLOURS[number]
        parts.append(
            f'<polyline points="{_places(values, low, high, steps)}" fill="none" '
            f'stroke="{colour}" stroke-width="1.4"/>'
            f'<text x="{_WIDTH - _RIGHT + 4}" y="{_TOP + 10 + 14 * number}" fill="{colour}">'
            f"{escape(name)}</text>"
        )
    return parts


def _places(values: Sequence[float], low: float, high: float, steps: int) -> str:
    """Return a line's points; of a long run the lowest and the highest of each stretch."""
    stretch = max(1, 2 * len(values) // _POINTS)
    found = []
    for start in range(0, len(values), stretch):
        part = values[start : start + stretch]
        ends = sorted({part.index(min(part)), part.index(max(part)), len(part) - 1})
        found += [(start + place, part[place]) for place in ends]
    return " ".join(f"{_across(step, steps):.1f},{_up(v, low, high):.1f}" for step, v in found)


def _hours(steps: int, height: int) -> list[str]:
    """Return the time axis."""
    parts = []
    for part in range(5):
        step = (steps - 1) * part // 4
        minutes = step * STEP_US // 60_000_000
        text = f"{minutes / 60:.1f} h" if steps * STEP_US > 7_200_000_000 else f"{minutes} min"
        parts.append(
            f'<text x="{_across(step, steps):.1f}" y="{height - 8}" text-anchor="middle">{text}'
            "</text>"
        )
    return parts


def _short(value: float) -> str:
    """Return a number in a few characters."""
    for least, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= least:
            return f"{value / least:.1f} {unit}"
    return f"{value:.0f}"


def _across(step: int, steps: int) -> float:
    return _LEFT + step / max(1, steps - 1) * (_WIDTH - _LEFT - _RIGHT)


def _up(value: float, low: float, high: float) -> float:
    part = (value - low) / (high - low)
    return _PANEL - 12 - part * (_PANEL - 12 - _TOP)
