"""`rialto cold`: a refill of the hot wallet, signed on a machine without network."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, DataOption, JsonOption, data_dir

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from domain.cold_refill import RefillRequest
    from infra.settings import Settings

Answer = TypeVar("Answer")
PassphraseOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File of the passphrase; default: it is asked for."),
]


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(help="Refill the hot wallet from a cold one without any network.")
    group.command("init")(init)
    group.command("request")(request)
    group.command("dearer")(dearer)
    group.command("sign")(sign)
    group.command("submit")(submit)
    app.add_typer(group, name="cold")


def init(
    hot: Annotated[str, typer.Option("--hot", help="The hot wallet's address: it alone is paid.")],
    chain_id: Annotated[int, typer.Option("--chain-id", min=1, help="The chain's number.")],
    passphrase_file: PassphraseOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a cold wallet on a machine without network, and print its address."""
    from infra.wallet.cold_wallet import create_cold_wallet

    folder = data_dir(data)
    words = _passphrase(passphrase_file, twice=True)
    policy = _try(lambda: create_cold_wallet(folder, words, hot_address=hot, chain_id=chain_id))
    if as_json:
        typer.echo(json.dumps({"address": policy.address}))
        return
    typer.echo(f"the cold wallet's address is {policy.address}; it pays {hot} alone")
    typer.echo(f"back up {folder / 'cold'} and the passphrase, apart from each other")


def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The request.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The signed file; default: FILE.signed.")
    ] = None,
    passphrase_file: PassphraseOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a request asks for and sign it; needs neither servers nor network."""
    from domain.cold_refill import RefillRefusal
    from infra.private_files import write_private
    from infra.wallet.cold_wallet import load_cold_policy, read_request, sign_refill

    folder, target = data_dir(data), out or file.with_name(file.name + ".signed")
    policy = _try(lambda: load_cold_policy(folder))
    text = _try(file.read_text)
    request = read_request(text, policy)
    if isinstance(request, RefillRefusal):
        typer.echo(f"{file} is not signed: {request}", err=True)
        raise typer.Exit(EXIT_FAILED)
    for line in request.in_words():
        typer.echo(line, err=as_json)
    if target.exists():
        typer.echo(f"{target} is there already; name another file with --out", err=True)
        raise typer.Exit(EXIT_USAGE)
    if not yes:
        if not sys.stdin.isatty():
            typer.echo("nobody is here to agree; say --yes", err=True)
            raise typer.Exit(EXIT_USAGE)
        typer.confirm("Sign this?", abort=True, err=as_json)
    words = _passphrase(passphrase_file, twice=False)
    signed = _try(lambda: sign_refill(folder, request, words))
    _try(lambda: write_private(target, signed))
    if as_json:
        typer.echo(json.dumps({"signed_file": str(target), "transactions": len(request.payments)}))
    else:
        typer.echo(f"signed: {target}")


def request(
    out: Annotated[Path, typer.Option("--out", help="The file to carry to the cold wallet.")],
    amounts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ASSET=AMOUNT...]", help="Default: what the bands ask for."),
    ] = None,
    sender: Annotated[
        str, typer.Option("--from", help="The cold wallet's address; default: the pinned one.")
    ] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the file that asks the cold wallet for a refill, with the chain's nonce and fees."""
    from infra.private_files import write_private
    from workers import cold_desk as desk
    from workers.cli.database import with_database
    from workers.wallet_desk import refills

    parts = [text.partition("=") for text in amounts or ()]
    if not all(code and amount for code, _, amount in parts):
        typer.echo("name what to refill: ETH=5 USDT=1000", err=True)
        raise typer.Exit(EXIT_USAGE)
    wanted = {code.upper(): amount for code, _, amount in parts}

    async def ask(engine: AsyncEngine, settings: Settings) -> RefillRequest:
        asked_for = wanted or await refills(engine)
        if not asked_for:
            raise desk.ColdDeskError("no band is below its floor; name what to refill: ETH=5")
        return await desk.request_refill(engine, settings, sender, asked_for)

    asked = _try(lambda: with_database(data, ask))
    _try(lambda: write_private(out, asked.text()))
    for line in asked.in_words():
        typer.echo(line, err=as_json)
    typer.echo(json.dumps({"request_file": str(out)}) if as_json else f"request: {out}")


def dearer(
    payments: Annotated[
        list[str], typer.Argument(metavar="PAYMENT...", help="payment-ID of `rialto wallet show`.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The file to carry to the cold wallet.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the cold wallet to pay more for a stuck refill.

    It pays the same at the same nonce, so that only one of both is ever mined. `rialto cold sign`
    and `rialto cold submit` take it as any other; it is refused when it offers too little more, or
    when the first was mined meanwhile.
    """
    from infra.private_files import write_private
    from workers import cold_desk as desk
    from workers.cli.database import with_database

    async def ask(engine: AsyncEngine, settings: Settings) -> RefillRequest:
        return await desk.request_dearer(engine, settings, payments)

    asked = _try(lambda: with_database(data, ask))
    _try(lambda: write_private(out, asked.text()))
    for line in asked.in_words():
        typer.echo(line, err=as_json)
    typer.echo(json.dumps({"request_file": str(out)}) if as_json else f"request: {out}")


def submit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The signed file.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a signed refill and store it; then it is sent, watched and booked by itself.

    The same file may be submitted again. One that pays more for a stored refill takes its place.
    `rialto wallet show` lists what is on its way.
    """
    from workers import cold_desk as desk
    from workers.cli.database import with_database
    from workers.officer_desk import login

    text = _try(file.read_text)
    asked, payments = _try(
        lambda: with_database(
            data, lambda engine, settings: desk.submit_refill(engine, settings, text, login())
        )
    )
    if as_json:
        typer.echo(json.dumps({"payments": payments}))
        return
    for line in asked.in_words():
        typer.echo(line)
    for payment_id in payments:
        typer.echo(f"stored: payment-{payment_id}")


def _passphrase(file: Path | None, *, twice: bool) -> bytes:
    """Return the passphrase of a file, or as typed at the terminal, unseen."""
    from infra.wallet.local_vault import read_passphrase

    if file is not None:
        return _try(lambda: read_passphrase(file))
    if not sys.stdin.isatty():
        typer.echo("no terminal to ask for the passphrase; use --passphrase-file", err=True)
        raise typer.Exit(EXIT_USAGE)
    typed: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=twice, err=True)
    return typed.encode("utf-8")


def _try(work: Callable[[], Answer]) -> Answer:
    """Return what `work` does; what makes no sense ends the verb with 1 and a message."""
    from infra.wallet.cold_wallet import ColdWalletError
    from infra.wallet.local_vault import PassphraseError
    from infra.wallet.vault import VaultError

    known: tuple[type[Exception], ...] = (ColdWalletError, PassphraseError, VaultError)
    if "workers.cold_desk" in sys.modules:  # the machine without network never loads it
        from infra.wallet.rpc import ChainUnavailableError, RpcError
        from workers.cold_desk import ColdDeskError

        known = (*known, ColdDeskError, ChainUnavailableError, RpcError)
    known = (*known, OSError, ValueError)
    try:
        return work()
    except known as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error
