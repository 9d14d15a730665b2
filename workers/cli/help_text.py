"""How the command line tells what it can: verbs by what one is up to, short lines, exit codes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from workers.cli.exit_codes import codes_of
from workers.processes import PROCESSES

SECTIONS = {
    "Start and look": ("up", "status", "top", "doctor", "logs", "version", "reset"),
    "Trade": ("order", "position", "feed", "prices"),
    "Stop trading, open it again": ("halt", "cancel-only", "resume", "alarms"),
    "Markets and risk": ("market", "fees", "liquidation"),
    "Payments": ("ops", "approve", "reject", "void", "faucet", "wallet", "cold"),
    "Books and evidence": ("verify", "audit", "ledger", "statement", "adjust", "suspense"),
    "Customers and staff": ("key", "login", "compliance", "staff", "signer", "payload-keys"),
    "Prove and measure": (
        "test", "replay", "vectors", "conform", "simulate", "fuzz", "chaos", "bench",
    ),
    "One process by itself, with settings from the environment (RIALTO_...)": tuple(
        spec.verb for spec in PROCESSES
    ),
}  # fmt: skip
_WIDTH = 74  # of a text in a help of 80 columns
_BRIEF = 60  # letters that a line of a list of verbs has room for
_TELLING = 20  # letters that a clause needs to say something by itself


class Verb(TyperCommand):
    """A verb whose usage leaves out what its help does."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words after the verb's name; hidden ones only catch what went astray."""
        shown = [one for one in self.get_params(ctx) if not getattr(one, "hidden", False)]
        pieces = [piece for one in shown for piece in one.get_usage_pieces(ctx)]
        return [self.options_metavar, *pieces] if self.options_metavar else pieces


class FrontDoor(TyperGroup):
    """The command line itself: its verbs in sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each section with a line for each verb."""
        for title, names in SECTIONS.items():
            with formatter.section(title):
                verbs = {name: self.get_command(ctx, name) for name in names}
                formatter.write_dl(
                    [(name, verb.get_short_help_str()) for name, verb in verbs.items() if verb],
                    col_max=20,
                )


def brief(text: str) -> str:
    """Return as much of a help's first sentence as a line has room for: whole clauses."""
    sentence = re.split(r"\.(?: |$)", " ".join(text.partition("\n\n")[0].split()))[0]
    if len(sentence) <= _BRIEF:
        return sentence
    ends = [end.start() for end in re.finditer(r"[;:,] ", sentence[: _BRIEF + 1])]
    open_ends = [end for end in ends if sentence.count("(", 0, end) == sentence.count(")", 0, end)]
    whole = [end for end in open_ends if sentence[end] != "," and end >= _TELLING]
    return sentence[: max(whole or open_ends, default=len(sentence))]


def as_help(meanings: Mapping[int, str]) -> str:
    """Return the last paragraph of a help; its first character keeps its lines as they are."""
    lines = ["\b", "Exit codes:"]
    for code, text in meanings.items():
        lines += wrap(text, _WIDTH, initial_indent=f"  {code:<3}  ", subsequent_indent=" " * 7)
    return "\n".join(lines)


def complete(app: typer.Typer, group: str = "") -> None:
    """Give every verb of a command line its short line and its exit codes; groups show theirs."""
    for verb in app.registered_commands:
        verb.cls = Verb
        verb.short_help = brief(verb.help or inspect.getdoc(verb.callback) or "")
        verb.epilog = as_help(codes_of(f"{group} {verb.name}".strip()).meanings())
    for inner in app.registered_groups:
        instance, name = inner.typer_instance, f"{group} {inner.name}".strip()
        assert instance is not None
        callback = instance.registered_callback
        if callback is not None and callback.invoke_without_command is True:
            inner.epilog = as_help(codes_of(name).meanings())
        else:
            inner.no_args_is_help = True
        inner.short_help = brief(str(instance.info.help))
        complete(instance, name)
