"""Documents are true: their links lead somewhere and the commands in them exist."""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from tests.architecture.sources import ROOT, project_files, text_of
from workers.__main__ import build
from workers.processes import PROCESSES

DOCUMENTS = [path for path in project_files() if path.endswith(".md")]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)#\s]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"(?:^|[`\s])(?:\./)?rialto (?P<words>[a-z][^`\n|&#]*)")


@cache  # built of a hundred verbs: a second each time
def command_line() -> TyperGroup:
    group = typer.main.get_command(build())
    assert isinstance(group, TyperGroup)
    return group


def commands_of(path: str) -> list[str]:
    """Return what follows `rialto` in code spans and indented code of a document."""
    code = re.findall(r"`([^`\n]+)`", text_of(path))
    code += [line for line in text_of(path).splitlines() if line.startswith("    ")]
    return [
        match["words"].strip()
        for line in code
        for match in COMMAND.finditer(line)
        if line.strip().startswith(("./rialto", "rialto")) or "&& ./rialto" in line
    ]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_links_lead_somewhere(path: str) -> None:
    """Each relative link names a file or folder of the project."""
    folder = (ROOT / path).parent
    targets = [match["target"] for match in LINK.finditer(text_of(path))]
    missing = [
        target
        for target in targets
        if not re.match(r"[a-z]+:", target) and not (folder / target).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if commands_of(path)])
def test_commands_exist(path: str) -> None:
    """Each verb, sub-verb and option that a document shows is one of the command line's."""
    for text in commands_of(path):
        words = shlex.split(text.replace("...", "x"))
        node: Any = command_line()
        while words and isinstance(node, TyperGroup):
            name = words.pop(0)
            assert name in node.commands, f"{path}: rialto {text}"
            node = node.commands[name]
        known = {option for parameter in node.params for option in parameter.opts}
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        if not node.context_settings.get("ignore_unknown_options"):
            assert options <= known, f"{path}: rialto {text}"


def test_every_verb_explains_itself() -> None:
    """Each verb has a help text, and so has each of its parameters that is an option."""

    def walk(node: Any, name: str) -> None:
        assert (node.help or "").strip(), name
        for parameter in node.params:
            if parameter.param_type_name == "option":
                assert parameter.help, f"{name} {parameter.opts}"
        if isinstance(node, TyperGroup):
            for child_name, child in node.commands.items():
                walk(child, f"{name} {child_name}")

    walk(command_line(), "rialto")


def test_the_readmes_table_has_every_verb() -> None:
    """Whoever looks for a verb finds it there; processes by themselves are deployment's."""
    rows = [line.split("|")[1] for line in text_of("README.md").splitlines() if line[:3] == "| `"]
    shown = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    assert shown == command_line().commands.keys() - {spec.verb for spec in PROCESSES}


def test_the_readme_begins_with_its_two_commands() -> None:
    """The front door: `./rialto up` and `./rialto test`, before anything else."""
    code = [line.strip() for line in text_of("README.md").splitlines() if line.startswith("    ")]
    assert code[0].startswith("./rialto up")
    assert code[1].startswith("./rialto test")
