"""What the tidy tests look at: the files that belong to the project, parsed once."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("domain", "matching", "infra", "activities", "workflows", "api", "workers")
_BINARY = {".png", ".ico", ".woff2", ".xz", ".bin", ".gz"}


@cache
def project_files() -> tuple[str, ...]:
    """Return the paths of the project's files: what git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        found = result.stdout.splitlines()
    else:  # an unpacked archive without git: then nothing else lies here
        hidden = (".venv", ".git", "build", "dist")
        found = [
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*")
            if path.is_file() and path.relative_to(ROOT).parts[0] not in hidden
        ]
    return tuple(sorted(path for path in set(found) if (ROOT / path).is_file()))


@cache
def text_of(path: str) -> str:
    """Return a file's text; empty for a binary file."""
    if Path(path).suffix in _BINARY:
        return ""
    try:
        return (ROOT / path).read_text()
    except UnicodeDecodeError:
        return ""


def python_files(*folders: str) -> list[str]:
    """Return the Python files below `folders`, without generated ones."""
    return [
        path
        for path in project_files()
        if path.endswith(".py") and path.startswith(tuple(f"{f}/" for f in folders))
        if "_pb2" not in path
    ]


@cache
def tree_of(path: str) -> ast.Module:
    """Return the syntax tree of a Python file."""
    return ast.parse(text_of(path), filename=path)


def module_of(path: str) -> str:
    """Return the module name of a Python file."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
