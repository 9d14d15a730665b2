"""The command line `rialto`: one verb a function, grouped by file in `workers/cli/`.

Verbs import what they need when they run, so that `rialto --help` is quick.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module

import typer

from workers.cli.context import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from workers.cli.exit_codes import OF_ALL
from workers.cli.help_text import FrontDoor, as_help, complete

_GROUPS = (
    "up",
    "status",
    "top",
    "doctor",
    "order",
    "position",
    "feed",
    "ops",
    "signer",
    "payload_keys",
    "staff",
    "cold",
    "wallet",
    "audit",
    "compliance",
    "key",
    "login",
    "kill_switch",
    "market",
    "fees",
    "liquidation",
    "prices",
    "verify",
    "ledger",
    "alarms",
    "adjust",
    "suspense",
    "replay",
    "conform",
    "vectors",
    "simulate",
    "fuzz",
    "chaos",
    "bench",
    "test",
    "processes",
)


def build() -> typer.Typer:
    """Return the command line with all its verbs."""
    app = typer.Typer(
        name="rialto",
        cls=FrontDoor,
        help="Rialto, an exchange: a matching engine, a ledger, and workflows that can be watched.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog=as_help(OF_ALL),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    for group in _GROUPS:
        try:
            module = import_module(f"workers.cli.{group}")
        except ModuleNotFoundError as error:
            if error.name != f"workers.cli.{group}":
                raise
            continue
        module.register(app)
    complete(app)
    return app


def main() -> None:
    """Run the verb that the arguments name; a reader that goes away (`| head`) is no error.

    A folder that is not ours and a disk that is full are told by a line, whatever met them.
    """
    try:
        build()(prog_name="rialto")
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_OK)
    except PermissionError as error:
        typer.echo(f"You may not use {error.filename}: name another folder with --data.", err=True)
        sys.exit(EXIT_USAGE)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        typer.echo(f"The disk is full: {error.filename or 'a file'} was not written.", err=True)
        sys.exit(EXIT_FAILED)
    except SystemExit as finished:
        if "temporalio" in sys.modules and isinstance(finished.code, int | None):
            _leave(finished.code or 0)
        raise


def _leave(code: int) -> None:
    """End the process at once: Temporal's client sometimes aborts while the interpreter ends."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
