"""`rialto wallet`: what the wallet has where, the bands it is kept in, its cold address."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli.context import DataOption, JsonOption
from workers.cli.database import at_desk

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from domain.hot_wallet import Band
    from domain.payment_pause import PaymentPause
    from infra.settings import Settings
    from workers.pause_desk import Resumption

_BOUND = "in whole coins, or `none`"


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(
        help="The exchange's coins: where they are, and how many the hot wallet should hold.",
        no_args_is_help=True,
    )
    group.command("show")(show)
    group.command("band")(band)
    group.command("cold-address")(cold_address)
    group.command("pause")(pause)
    group.command("resume")(resume)
    app.add_typer(group, name="wallet")


def show(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show coins by place, each asset's band, and what is on its way between our addresses."""

    async def work(engine: AsyncEngine, settings: Settings) -> dict[str, Any]:
        from workers import wallet_desk as desk

        return await desk.wallet(engine, settings)

    found = at_desk(data, work)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    if found["paused"]:
        typer.echo(f"payments are {found['paused']}")
    typer.echo(f"hot wallet    {found['hot_address']}")
    typer.echo(f"cold address  {_cold_text(found)}")
    for row in found["assets"]:
        typer.echo(
            f"\n{row['asset']}: {row['hot']} hot ({row['available']} beside what is promised), "
            f"{row['deposits']} on deposit addresses, {row['cold']} cold{_refilling(row)}"
        )
        typer.echo(f"  {_band_text(row)}")
        if row["to_refill"]:
            typer.echo(
                f"  below its floor: {row['to_refill']} {row['asset']} are to come from the cold "
                "wallet: `rialto cold request`"
            )
    typer.echo("")
    for row in found["payments"]:
        typer.echo(
            f"payment-{row['payment_id']}  {row['kind']}  {row['amount']} {row['asset']}  "
            f"{row['state']}  {row['from']} -> {row['to']}"
        )
        if row["kind"] == "refill":
            dearer = f"`rialto cold dearer payment-{row['payment_id']} --out FILE`"
            typer.echo(f"  if no block takes it: {dearer}")
    if not found["payments"]:
        typer.echo("nothing is on its way between our addresses")


def _refilling(row: dict[str, Any]) -> str:
    return "" if row["refilling"] == "0" else f" (of which {row['refilling']} are on their way)"


def _cold_text(found: dict[str, Any]) -> str:
    if found["cold_address"] is None:
        return "none: `rialto wallet cold-address`"
    if found["cold_address_in_books"]:
        return str(found["cold_address"])
    return f"{found['cold_address']}, not in the books yet: the chain watcher counts its coins"


def _band_text(row: dict[str, Any]) -> str:
    names = (("floor", "floor"), ("target", "target"), ("ceiling", "ceiling"))
    told = [f"{name} {row[key]}" for key, name in names if row[key] is not None]
    if row["sweep_above"] is not None:
        told.append(f"deposit addresses are emptied above {row['sweep_above']}")
    return ", ".join(told) or f"no band: `rialto wallet band {row['asset']} --help`"


def band(
    asset: Annotated[str, typer.Argument(metavar="ASSET")],
    sweep_above: Annotated[
        str | None,
        typer.Option("--sweep-above", help=f"Empty deposit addresses with more; {_BOUND}."),
    ] = None,
    floor: Annotated[
        str | None, typer.Option("--floor", help=f"Below it an alarm asks for a refill; {_BOUND}.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help=f"To where refill and surplus lead; {_BOUND}.")
    ] = None,
    ceiling: Annotated[
        str | None,
        typer.Option("--ceiling", help=f"Above it the surplus goes to the cold address; {_BOUND}."),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set an asset's bounds; what is not named stays as it is. They count within seconds."""
    given = {"sweep_above": sweep_above, "floor": floor, "target": target, "ceiling": ceiling}

    async def work(engine: AsyncEngine, _: Settings) -> Band:
        from workers import wallet_desk as desk

        return await desk.set_band(engine, asset, given)

    made = at_desk(data, work)
    text = made.asset.chain_text
    bounds = {name: getattr(made, name) for name in given}
    row = {name: None if bound is None else text(bound) for name, bound in bounds.items()}
    shown = {"asset": made.asset.code, **row}
    typer.echo(json.dumps(shown) if as_json else f"{made.asset.code}: {_band_text(shown)}")


def cold_address(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="In checksum form.")],
    data: DataOption = None,
) -> None:
    """Pin the only address to which the hot wallet's surplus goes. Run it where the signer runs.

    What it has is taken into the books as the owners' money, and compared with the chain from then
    on; earlier cold addresses stay there.
    """

    async def work(engine: AsyncEngine, settings: Settings) -> None:
        from workers import wallet_desk as desk

        await desk.set_cold_address(engine, settings, address)

    at_desk(data, work)
    typer.echo(f"what the hot wallet has above a ceiling goes to {address}, and nowhere else")


def pause(
    officer: Annotated[str, typer.Option("--officer", help="Who signs.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; for operators.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop all payments out, at once: no nonce is given and nothing is signed until `resume`.

    Customers' money stays held, and they may cancel. Run it where the signer runs.
    """

    async def work(engine: AsyncEngine, settings: Settings) -> PaymentPause:
        from workers import pause_desk as desk

        return await desk.pause(engine, settings, officer, reason)

    made = at_desk(data, work)
    shown = {"pause_id": made.pause_id, "officer": made.officer, "reason": made.reason}
    typer.echo(json.dumps(shown) if as_json else f"payments are {made.told}")


def resume(
    officer: Annotated[str, typer.Option("--officer", help="Who signs.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign that payments may go on; two officers must. Run it where the signer runs."""

    async def work(engine: AsyncEngine, settings: Settings) -> Resumption:
        from workers import pause_desk as desk

        return await desk.resume(engine, settings, officer)

    done = at_desk(data, work)
    if as_json:
        typer.echo(json.dumps({"signed_by": done.signed_by, "resumed": done.ended}))
    elif done.ended:
        typer.echo("payments go on; what was parked meanwhile: `rialto ops retry --query parked`")
    else:
        typer.echo(f"signed by {', '.join(done.signed_by)}; one more officer must")
