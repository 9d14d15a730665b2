"""Exit codes: every `--help` names those of its verb, and those are the ones that its code has."""

from __future__ import annotations

import ast
import errno
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from tests.architecture.sources import ROOT, tree_of
from tests.workers.cli.verbs import run_verb
from workers import __main__ as command
from workers.__main__ import build
from workers.cli import context
from workers.cli.exit_codes import EXIT_INTERRUPTED, OF_ALL, codes_of
from workers.cli.help_text import SECTIONS, brief

NUMBERS = {name: getattr(context, name) for name in dir(context) if name.startswith("EXIT_")}
AGREED = "abort"  # `typer.confirm(..., abort=True)` ends with 1 when nobody agrees
Place = tuple[str, str]  # a module's file, and a name in it


@cache
def command_line() -> Any:
    """Return the command line; a hundred verbs take a while to be read."""
    return typer.main.get_command(build())


@cache
def verbs() -> dict[str, Any]:
    """Return each verb that does something, by its words."""

    def walk(node: Any, words: list[str]) -> Iterator[tuple[str, Any]]:
        if not isinstance(node, TyperGroup) or node.invoke_without_command:
            yield " ".join(words), node
        for name, child in getattr(node, "commands", {}).items():
            yield from walk(child, [*words, name])

    return dict(walk(command_line(), []))


@cache
def _file_of(module: str) -> str | None:
    path = module.replace(".", "/")
    return next((p for p in (f"{path}.py", f"{path}/__init__.py") if (ROOT / p).is_file()), None)


@cache
def _named(path: str) -> tuple[dict[str, ast.AST], dict[str, Place], dict[str, str]]:
    """Return a file's definitions, what it imports of `workers` by name, and its modules."""
    defined: dict[str, ast.AST] = {
        node.name: node
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    names: dict[str, Place] = {}
    modules: dict[str, str] = {}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("workers"):
            for alias in node.names:
                if module := _file_of(f"{node.module}.{alias.name}"):
                    modules[alias.asname or alias.name] = module
                elif origin := _file_of(str(node.module)):
                    names[alias.asname or alias.name] = (origin, alias.name)
    return defined, names, modules


def _bound(root: ast.AST) -> set[str]:
    """Return the names that a function gives to values of its own."""
    arguments = {node.arg for node in ast.walk(root) if isinstance(node, ast.arg)}
    stores = (node for node in ast.walk(root) if isinstance(node, ast.Name))
    return arguments | {node.id for node in stores if isinstance(node.ctx, ast.Store)}


@cache
def _used(place: Place) -> tuple[frozenset[int], frozenset[Place]]:
    """Return the exit codes that one definition names, and what it uses of `workers`."""
    defined, names, modules = _named(place[0])
    if place[1] in names:
        return frozenset(), frozenset({names[place[1]]})
    if place[1] not in defined:
        return frozenset(), frozenset()
    root = defined[place[1]]
    own = _bound(root)
    codes: set[int] = set()
    used: set[Place] = set()
    for node in ast.walk(root):
        if isinstance(node, ast.Name) and node.id in NUMBERS:
            codes.add(NUMBERS[node.id])
        elif isinstance(node, ast.Name) and node.id not in own:
            used.add((place[0], node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if module := modules.get(node.value.id):
                used.add((module, node.attr))
        elif isinstance(node, ast.keyword) and node.arg == AGREED:
            codes.add(context.EXIT_FAILED)
    return frozenset(codes), frozenset(used)


def codes_in_code(path: str, name: str) -> set[int]:
    """Return the exit codes that a function, or what it uses of `workers`, names."""
    seen: set[Place] = set()
    codes: set[int] = set()
    todo: list[Place] = [(path, name)]
    while todo:
        place = todo.pop()
        if place not in seen:
            seen.add(place)
            named, used = _used(place)
            codes |= named
            todo += used
    return codes


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_a_verb_has_the_exit_codes_that_it_names(verb: str) -> None:
    """What its code can end with is told, and nothing is told that it cannot end with."""
    callback = inspect.unwrap(verbs()[verb].callback)
    path = str(inspect.getsourcefile(callback)).removeprefix(f"{ROOT}/")
    told = set(codes_of(verb).meanings())
    always = {context.EXIT_OK, context.EXIT_USAGE}  # the parser of the words ends with 2
    if path.endswith("cli/processes.py"):
        assert told == always | {context.EXIT_FAILED}
    else:
        assert told == codes_in_code(path, callback.__qualname__.partition(".")[0]) | always


def help_of(words: str) -> str:
    """Return what `--help` prints in a terminal of 80 columns."""
    node = command_line()
    shown = typer.Context(node, info_name="rialto", **node.context_settings)
    for word in words.split():
        node = node.commands[word]
        shown = typer.Context(node, parent=shown, info_name=word)
    return str(node.get_help(shown))


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_help_tells_the_exit_codes(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a line of its own, below what the verb says of itself; it is told nowhere else."""
    monkeypatch.setenv("COLUMNS", "80")
    text = help_of(verb)
    before, title, after = text.partition("\n  Exit codes:\n")
    assert title
    assert "exit code" not in before.lower()
    lines = [line for line in after.splitlines() if line[4:5].strip()]
    assert [int(line.split()[0]) for line in lines] == sorted(codes_of(verb).meanings())
    assert max(map(len, text.splitlines())) <= 80
    assert "_stray" not in text


@pytest.mark.parametrize(
    "words", ["wallet show", "fees", "market list", "verify", "key list alice"]
)
def test_a_folder_where_nothing_ever_ran_is_told_once(words: str, tmp_path: Path) -> None:
    """By one line that names it, and 3."""
    answer = run_verb(*words.split(), "--data", str(tmp_path))
    said = f"No exchange has ever run in {tmp_path}.\n"
    assert (answer.returncode, answer.stdout, answer.stderr) == (3, "", said)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            PermissionError(errno.EACCES, "", "/closed/x"),
            2,
            "You may not use /closed/x: name another ",
        ),
        (OSError(errno.ENOSPC, "", "/data/x"), 1, "The disk is full: /data/x was not written."),
    ],
)
def test_what_any_verb_may_meet_is_told_by_a_line(
    error: OSError,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No trace: a folder of somebody else, and a full disk."""

    def meet(**_: object) -> None:
        raise error

    monkeypatch.setattr(command, "build", lambda: meet)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == code
    assert capsys.readouterr().err.startswith(said)


def test_the_front_page_has_every_verb_once() -> None:
    """Sections name exactly the verbs that there are, each in one line; exit codes end it."""
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted({verb.split()[0] for verb in verbs()})
    page = help_of("")
    lines = page.splitlines()
    for name in listed:
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1, name
    assert not any(line.rstrip().endswith("...") for line in lines[1:])  # after the usage
    assert all(f"    {code:<3}  " in page for code in OF_ALL)
    assert OF_ALL[EXIT_INTERRUPTED] == "Ctrl-C"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Show it. Then more of it.", "Show it"),
        ("Markets: what there is, and changes of them that two officers sign.",
         "Markets: what there is"),
        ("Run, so (margin, funding, and very many others too), whatever may come; or not.",
         "Run, so (margin, funding, and very many others too)"),
        ("Stop trading at once: no orders, no cancels; money may come in, not out of it.",
         "Stop trading at once: no orders, no cancels"),
    ],
)  # fmt: skip
def test_a_line_has_whole_clauses(text: str, line: str) -> None:
    """A list of verbs shows as much as fits, and never half of a bracket."""
    assert brief(text) == line


def test_every_line_of_a_list_fits() -> None:
    """No verb's line in its list is longer than a line."""
    for name, verb in verbs().items():
        assert len(verb.short_help) <= 60, f"{name}: {verb.short_help}"
