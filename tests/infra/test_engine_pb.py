"""The committed stubs are those of the proto file."""

from __future__ import annotations

from pathlib import Path

from infra.engine_pb.__main__ import FILES, HERE, generate


def test_stubs_are_current(tmp_path: Path) -> None:
    """Generating anew gives the committed files, byte for byte."""
    generate(tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_text() == (HERE / name).read_text(), name
