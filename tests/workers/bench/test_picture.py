"""The picture of a report is a drawing with every curve in it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from workers.__main__ import build
from workers.bench.picture import draw

SVG = "{http://www.w3.org/2000/svg}"


def report(scenarios: int) -> dict[str, Any]:
    """Return what a run with so many scenarios might report."""
    fast = {"points": [[10_000, 8.0], [500_000, 20.0], [990_000, 90.0], [999_990, 700.0]]}
    slow = {"points": [[10_000, 9.0], [500_000, 30.0], [990_000, 400.0], [999_990, 12_000.0]]}
    rows = [
        {"scenario": f"<{number}>", "latency": slow, "control_latency": fast}
        for number in range(scenarios)
    ]
    return {"offered_rate": 100_000.0, "policy": "os", "scenarios": rows}


def test_every_curve_is_inside_the_drawing() -> None:
    """Two curves a panel, higher latencies higher up, later shares further right."""
    drawing = ElementTree.fromstring(draw(report(3)))
    curves = [line.attrib["points"] for line in drawing.iter(f"{SVG}polyline")]
    assert len(curves) == 6
    for curve in curves:
        places = [tuple(map(float, place.split(","))) for place in curve.split()]
        assert places == sorted(places)
        assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
        assert all(0 <= x <= 400 and 0 <= y <= 250 for x, y in places)


def test_the_verb_writes_it_and_refuses_what_is_no_report(tmp_path: Path) -> None:
    """A wrong file ends with 2 and writes nothing."""
    source, out = tmp_path / "report.json", tmp_path / "latency.svg"
    source.write_text(json.dumps(report(1)))
    arguments = ["bench", "picture", str(source), "--out", str(out)]
    assert CliRunner().invoke(build(), arguments).exit_code == 0
    assert "&lt;0&gt;" in out.read_text()
    out.unlink()
    for wrong in ("{}", "no json"):
        source.write_text(wrong)
        assert CliRunner().invoke(build(), arguments).exit_code == 2
    assert not out.exists()
