"""Where recorded order flows lie, on machines that have them; tests on them are marked `recorded`.

`RIALTO_RECORDED_DATA` names the folder; without it, `shared/data` beside the project is looked at.
Where there is none these tests are deselected, and the head of the report says so.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "RIALTO_RECORDED_DATA"
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def folder() -> Path | None:
    """Return the folder of recorded data; None where there is none."""
    found = Path(os.environ.get(VARIABLE) or _BESIDE)
    return found if found.is_dir() else None


def recorded(name: str) -> Path:
    """Return one file or folder of the recorded data; only in tests marked `recorded`."""
    found = folder()
    assert found is not None
    return found / name


def report() -> str:
    """Return one line for the head of the test report."""
    found = folder()
    if found is None:
        return f"recorded order flows: none ({VARIABLE} names their folder); their tests do not run"
    return f"recorded order flows: {found}"
