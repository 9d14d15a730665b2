"""House rules that a machine can hold."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.sources import (
    PACKAGES,
    ROOT,
    module_of,
    project_files,
    python_files,
    text_of,
    tree_of,
)

_LONGEST_FILE = 400
_LONGEST_NATIVE_FILE = 600
_LONGER_FILES: dict[str, str] = {
    "infra/postgres/migrations/versions/0001_first_schema.py": "a migration is never edited",
    "infra/postgres/tables.py": "one table after another; splitting it hides the foreign keys",
    "tests/architecture/test_tidy.py": "one rule after another",
}
_PURE = ("domain", "matching", "workflows", "activities", "api")
_CLOCKS = {"datetime.now", "datetime.utcnow", "dt.datetime.now", "date.today", "time.time"}
_FLOATS_ALLOWED = {
    "domain/process_beat.py": "seconds since 1970, not money",
    "domain/settlement.py": "seconds that a batch may take, not money",
}
# Put together here, so that this file does not hold them itself.
_FOREIGN = [
    "pypi" + r"\.org",
    "python" + r"hosted\.org",
    "npm" + r"js\.(org|com)",
    r"(?<![\w.$}/-])/(wo" + r"rk|ro" + r"ot|ho" + r"me)/\w",
    r"(?<![\w.$}/-])/tm" + r"p/\w",
]
_REMINDERS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
_SKIPS = {"pytest.skip", "pytest.xfail", *(f"pytest.mark.{w}" for w in ("skip", "skipif", "xfail"))}
# To unparse each node of the project takes seconds: most are told apart by their last name.
_CLOCK_NAMES, _SKIP_NAMES = (
    {name.rsplit(".", 1)[-1] for name in each} for each in (_CLOCKS, _SKIPS)
)
_ENTRY_POINTS = re.compile(  # what people start, and what customers' programs import
    r"api\.client\.[a-z]+|workers\.[a-z_]+|workers\.cli\.[a-z_]+|.*\.migrations\.(env|versions\..*)|.*\.__main__"
)


def test_files_are_short() -> None:
    """A file that nobody can read in one sitting has two subjects."""
    too_long = {}
    for path in project_files():
        limit = _LONGEST_NATIVE_FILE if path.endswith((".cpp", ".hpp")) else _LONGEST_FILE
        if path.endswith((".py", ".cpp", ".hpp", ".js", ".css")) and "_pb2" not in path:
            lines = text_of(path).count("\n")
            if lines > limit and path not in _LONGER_FILES:
                too_long[path] = lines
    assert too_long == {}


def test_longer_files_still_exist() -> None:
    """The list of exceptions has no leftovers."""
    assert [path for path in _LONGER_FILES if path not in project_files()] == []


def test_rules_do_not_read_clocks() -> None:
    """Time comes in as an argument, except in adapters and processes."""
    found = [
        f"{path}:{node.lineno}"
        for path in python_files(*_PURE)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and _last_name(node.func) in _CLOCK_NAMES
        and ast.unparse(node.func) in _CLOCKS
    ]
    assert found == []


def _last_name(called: ast.expr) -> str:
    """Return `c` of `a.b.c`; nothing of what is no name."""
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""


def test_money_is_never_a_float() -> None:
    """The rules and the engine know integers only."""
    found = [
        f"{path}:{node.lineno}"
        for path in python_files("domain", "matching")
        if path not in _FLOATS_ALLOWED
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
    ]
    assert found == []


def test_sql_is_not_built_from_strings() -> None:
    """Values reach the database as parameters."""
    found = [
        f"{path}:{node.lineno}"
        for path in python_files(*PACKAGES)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and _last_name(node.func) in {"text", "execute", "exec_driver_sql"}
        and node.args
        and _is_built(node.args[0])
    ]
    assert found == []


def _is_built(argument: ast.expr) -> bool:
    if isinstance(argument, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in argument.values)
    if isinstance(argument, ast.BinOp):
        return isinstance(argument.op, ast.Add | ast.Mod) and any(
            isinstance(side, ast.Constant) and isinstance(side.value, str)
            for side in (argument.left, argument.right)
        )
    return (
        isinstance(argument, ast.Call)
        and isinstance(argument.func, ast.Attribute)
        and argument.func.attr == "format"
    )


@pytest.mark.parametrize("pattern", _FOREIGN)
def test_no_registry_or_machine_is_named(pattern: str) -> None:
    """A clone works with whatever registries and folders a machine has."""
    wanted = re.compile(pattern)
    found = [path for path in project_files() if wanted.search(text_of(path))]
    assert found == []


def test_patterns_match_whole_texts() -> None:
    """`$` also matches before a line feed at the end; `fullmatch` has no such hole."""
    found = [path for path in python_files(*PACKAGES) if re.search(r"\.match\(", text_of(path))]
    assert found == []


def test_no_reminders() -> None:
    """What is not finished is in an issue, not in a comment."""
    found = [path for path in project_files() if _REMINDERS.search(text_of(path))]
    assert found == []


def test_no_dead_files() -> None:
    """Each module is imported by another one, or is a program, a verb or a migration."""
    imported: set[str] = set()
    for path in python_files(*PACKAGES):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)
                imported |= {f"{node.module}.{name.name}" for name in node.names}
    dead = [
        path
        for path in python_files(*PACKAGES)
        if not path.endswith("__init__.py")
        and module_of(path) not in imported
        and '__name__ == "__main__"' not in text_of(path)
        and not _ENTRY_POINTS.fullmatch(module_of(path))
    ]
    assert dead == []


def test_tests_say_what_they_hold() -> None:
    """Each test has a sentence; none is skipped or expected to fail."""
    silent, skipped = [], []
    for path in python_files("tests"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if node.name.startswith("test_") and not ast.get_docstring(node):
                    silent.append(f"{path}:{node.name}")
            elif isinstance(node, ast.Attribute) and node.attr in _SKIP_NAMES:
                skipped += [f"{path}:{node.lineno}"] if ast.unparse(node) in _SKIPS else []
    assert (silent, skipped) == ([], [])


def test_locks_are_hashed_and_complete() -> None:
    """Every dependency is pinned with its hashes, and no lock says where it comes from."""
    project = tomllib.loads(text_of("pyproject.toml"))
    run, tests = text_of("requirements.lock"), text_of("requirements-test.lock")
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *groups["build"]]
    assert [name for name in map(_name, wanted) if not _pins(run, name)] == []
    assert [name for name in map(_name, [*wanted, *groups["dev"]]) if not _pins(tests, name)] == []
    assert "://" not in run + tests
    for lock in (run, tests):
        pinned = [line for line in lock.splitlines() if "==" in line]
        assert [line for line in pinned if not line.endswith("\\")] == []


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


def _pins(lock: str, name: str) -> bool:
    return re.search(rf"^{re.escape(name)}(\[[^\]]*\])?==", lock, re.MULTILINE) is not None


def test_lock_files_with_addresses_are_ignored() -> None:
    """A lock that names registries can never be committed by accident."""
    ignored = text_of(".gitignore").splitlines()
    assert {"uv.lock", "pylock.toml", "package-lock.json"} <= set(ignored)


def test_scripts_are_executable() -> None:
    """What a newcomer types can be run."""
    assert [p for p in ("rialto", ".ci/run") if not Path(ROOT, p).stat().st_mode & 0o111] == []
