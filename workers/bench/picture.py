"""`rialto bench picture`: a report of `rialto bench engine` as an SVG, engine beside control."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from typing import Any

_PANEL_WIDTH, _PANEL_HEIGHT = 400, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 30, 34, 40
_TITLE_HEIGHT = 46
_SHARES = (500_000, 900_000, 990_000, 999_000, 999_900, 999_990)  # of a million
_LEAST_SHARE = 10_000
_COLOURS = {"latency": "#1f5fa8", "control_latency": "#9a9a9a"}
_NAMES = {"latency": "engine", "control_latency": "control (bare echo)"}


def draw(report: dict[str, Any]) -> str:
    """Return the SVG: a panel for each scenario, both axes logarithmic.

    Rightwards the share of commands that were faster (each step is a tenth of those left),
    upwards the latency.
    """
    rows = report["scenarios"]
    columns = min(2, len(rows))
    width = columns * _PANEL_WIDTH
    height = _TITLE_HEIGHT + math.ceil(len(rows) / columns) * _PANEL_HEIGHT
    low, high = _span(rows)
    head = 'font-family="sans-serif" font-size="11" fill="#333"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {head}>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="14" y="20" font-size="14" font-weight="bold">{escape(_title(report))}</text>',
        *_legend(),
    ]
    for number, row in enumerate(rows):
        x = number % columns * _PANEL_WIDTH
        y = _TITLE_HEIGHT + number // columns * _PANEL_HEIGHT
        parts.append(f'<g transform="translate({x} {y})">')
        parts += _panel(row, low, high)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _title(report: dict[str, Any]) -> str:
    rate = report["offered_rate"]
    load = f"{rate:,.0f} commands a second" if rate != "max" else f"{report['in_flight']} in flight"
    return f"From client to acknowledgement: {load}, policy {report['policy']}"


def _legend() -> list[str]:
    parts = []
    for number, (curve, name) in enumerate(_NAMES.items()):
        x = 14 + number * 90
        parts.append(
            f'<line x1="{x}" y1="35" x2="{x + 18}" y2="35" stroke="{_COLOURS[curve]}" '
            f'stroke-width="2.5"/><text x="{x + 23}" y="39">{name}</text>'
        )
    return parts


def _span(rows: Iterable[dict[str, Any]]) -> tuple[int, int]:
    """Return the powers of ten, in microseconds, that hold every curve."""
    values = [us for row in rows for curve in _NAMES for us in _microseconds(row[curve])]
    low = math.floor(math.log10(max(0.1, min(values))))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def _microseconds(curve: dict[str, Any]) -> list[float]:
    return [float(us) for _, us in curve["points"]]


def _panel(row: dict[str, Any], low: int, high: int) -> list[str]:
    parts = [f'<text x="{_LEFT}" y="24" font-weight="bold">{escape(row["scenario"])}</text>']
    parts += _axes(low, high)
    for curve in ("control_latency", "latency"):
        places = " ".join(
            f"{_across(share):.1f},{_up(us, low, high):.1f}"
            for share, us in row[curve]["points"]
            if share >= _LEAST_SHARE
        )
        parts.append(
            f'<polyline points="{places}" fill="none" stroke="{_COLOURS[curve]}" stroke-width="2"/>'
        )
    return parts


def _axes(low: int, high: int) -> list[str]:
    bottom, right = _PANEL_HEIGHT - _BOTTOM, _PANEL_WIDTH - _RIGHT
    parts = []
    for power in range(low, high + 1):
        y = _up(10.0**power, low, high)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#e3e3e3"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_duration(power)}</text>'
        )
    for share in _SHARES:
        x = _across(share)
        parts.append(
            f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#e3e3e3"/>'
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{share / 10_000:g} %</text>'
        )
    return parts


def _duration(power: int) -> str:
    """Return a power of ten of microseconds with its usual unit."""
    for least, unit in ((6, "s"), (3, "ms"), (0, "us")):
        if power >= least:
            return f"{10 ** (power - least)} {unit}"
    return f"{10.0**power:g} us"


def _across(share: int) -> float:
    """Return x of a share: each tenth of the remainder takes the same width."""
    nines = -math.log10(1 - share / 1_000_000)
    most = -math.log10(1 - _SHARES[-1] / 1_000_000)
    return _LEFT + nines / most * (_PANEL_WIDTH - _LEFT - _RIGHT)


def _up(us: float, low: int, high: int) -> float:
    """Return y of a latency."""
    part = (math.log10(max(us, 10.0**low)) - low) / (high - low)
    return _PANEL_HEIGHT - _BOTTOM - part * (_PANEL_HEIGHT - _TOP - _BOTTOM)
