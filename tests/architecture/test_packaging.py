"""What is installed: one top-level name in a wheel, the folders themselves in a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGES, ROOT, project_files

_BUILD = """
import sys
from scikit_build_core import build
getattr(build, sys.argv[1])(sys.argv[2])
"""

pytestmark = pytest.mark.long  # a whole compilation; the editable kind is what all tests run in


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the project's files, to build in."""
    folder = tmp_path_factory.mktemp("checkout")
    for path in project_files():
        if not path.startswith("tests/"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    return folder


def _build(checkout: Path, what: str, target: Path) -> zipfile.ZipFile:
    target.mkdir()
    subprocess.run(
        [sys.executable, "-c", _BUILD, what, str(target)],
        cwd=checkout,
        env={
            **os.environ,
            "SKBUILD_BUILD_DIR": str(checkout / "build"),  # both tests compile once
            "SKBUILD_CMAKE_DEFINE": "RIALTO_OPTIMISE=-O0",
        },
        check=True,
        capture_output=True,
    )
    return zipfile.ZipFile(next(target.glob("*.whl")))


def _python(*arguments: str, folder: Path) -> str:
    """Run Python with `folder` as its only site directory beside the standard library."""
    program = f"import site, sys; site.addsitedir({str(folder)!r}); " + arguments[0]
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_wheel_has_one_top_level_name(checkout: Path, tmp_path: Path) -> None:
    """Nothing generic (`api`, `domain`) lands in a site-packages, and the imports still work."""
    with _build(checkout, "build_wheel", tmp_path / "dist") as wheel:
        tops = {name.split("/")[0] for name in wheel.namelist()}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"rialto"}
        assert not any(name.endswith((".cpp", ".hpp")) for name in wheel.namelist())
        wheel.extractall(tmp_path / "site")
    found = _python(
        "import rialto, domain.money; print(domain.money.__file__)", folder=tmp_path / "site"
    )
    assert Path(found) == tmp_path / "site" / "rialto" / "domain" / "money.py"


def test_editable_install_is_the_checkout(checkout: Path, tmp_path: Path) -> None:
    """In a checkout the folders are imported by their own names, from where they are edited."""
    with _build(checkout, "build_editable", tmp_path / "dist") as wheel:
        wheel.extractall(tmp_path / "site")
    for package in PACKAGES:
        found = _python(f"import {package}; print({package}.__file__)", folder=tmp_path / "site")
        assert Path(found) == checkout / package / "__init__.py"
