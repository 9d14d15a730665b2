"""What Temporal shows to everybody is said to be for everybody, at the place where it is said."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SHOWN = {"summary", "timeout_summary", "static_summary", "static_details"}


def _is_text(value: ast.expr) -> bool:
    literal = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return literal or isinstance(value, ast.JoinedStr | ast.BinOp)


def _bare(path: Path) -> list[str]:
    """Return where a bare text is given to Temporal as a summary."""
    return [
        f"{path.name}:{keyword.value.lineno}"
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        for keyword in call.keywords
        if keyword.arg in _SHOWN and _is_text(keyword.value)
    ]


def test_summaries_are_plain_text() -> None:
    """A bare text would be sealed, and the timeline be unreadable."""
    files = [
        path
        for folder in ("workflows", "infra", "workers")
        for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    assert len(files) > 100
    assert [found for path in files for found in _bare(path)] == []


def test_the_check_finds_bare_texts(tmp_path: Path) -> None:
    """Literals and f-strings, not `PlainText(...)`."""
    sample = tmp_path / "sample.py"
    sample.write_text(
        "workflow.sleep(1, summary='x')\n"
        "workflow.sleep(1, summary=f'{x}')\n"
        "workflow.sleep(1, summary=PlainText('x'))\n"
    )
    assert _bare(sample) == ["sample.py:1", "sample.py:2"]
