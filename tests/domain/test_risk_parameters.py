"""The published parameters are those of the code."""

from __future__ import annotations

import re
from dataclasses import asdict

from domain.risk_parameters import RiskParameters
from tests.architecture.sources import text_of

ROW = re.compile(r"^\| `(?P<name>[a-z_.]+)` \| (?P<value>-?[0-9,]+) \|$", re.MULTILINE)


def test_the_document_lists_every_parameter() -> None:
    """With its default, in the order of the code."""
    expected = []
    for name, value in asdict(RiskParameters()).items():
        if isinstance(value, dict):
            expected += [(f"{name}.{inner}", number) for inner, number in value.items()]
        else:
            expected.append((name, value))
    found = [
        (row["name"], int(row["value"].replace(",", "")))
        for row in ROW.finditer(text_of("docs/risk.md"))
    ]
    assert found == expected
