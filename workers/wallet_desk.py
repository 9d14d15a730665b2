"""What staff see of the wallet, and what they set: bands, and the cold address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.cold_address import COLD_ADDRESS_PINNED
from domain.hot_wallet import Band
from domain.money import DecimalTextError
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.settings import Settings
from infra.wallet.cold_addresses import add_cold_address
from infra.wallet.hot_wallet_store import SUBJECT, HotWalletStore
from infra.wallet.keys import load_public, publish_cold_address
from infra.wallet.pause_store import PauseStore
from infra.wallet.payment_store import PaymentStore
from infra.wallet.setup import CHAIN
from infra.wallet.signer_policy import pin_cold_address, signer_policy_path
from infra.wallet.signer_refusal import SignerFilesError
from workers.officer_desk import DeskError, login

BOUNDS = ("sweep_above", "floor", "target", "ceiling")


async def wallet(engine: AsyncEngine, settings: Settings) -> dict[str, Any]:
    """Return addresses, each asset's coins by place with its band, and what is on its way."""
    store = HotWalletStore(engine, AuditStore())
    payments = PaymentStore(engine, LedgerStore(), AuditStore())
    public = load_public(settings.data_dir)
    paused = await PauseStore(engine, AuditStore()).in_force()
    bands = {band.asset.code: band for band in await store.bands(CHAIN)}
    assets = []
    for held in await store.holdings(CHAIN):
        band, text = bands[held.asset.code], held.asset.chain_text
        bounds = {name: getattr(band, name) for name in BOUNDS}
        places = ("deposits", "hot", "cold", "pending", "coming", "refilling")
        missing = held.to_refill(band)
        assets.append(
            {
                "asset": held.asset.code,
                **{name: text(getattr(held, name)) for name in places},
                "leaving": text(held.leaving),
                "available": _signed(held.available, text),
                **{name: None if it is None else text(it) for name, it in bounds.items()},
                "to_refill": text(missing) if missing else None,
            }
        )
    return {
        "paused": paused[0].told if paused else None,
        "hot_address": public.hot_address,
        "cold_address": public.cold_address,
        "cold_address_in_books": public.cold_address in await store.cold_addresses(CHAIN),
        "assets": assets,
        "payments": [
            {
                "payment_id": row.payment_id,
                "kind": str(row.kind),
                "asset": row.asset.code,
                "amount": row.asset.chain_text(row.amount),
                "state": str(row.state),
                "from": row.source,
                "to": row.destination,
            }
            for row in await payments.open()
        ],
    }


def _signed(amount: int, text: Any) -> str:
    return f"-{text(-amount)}" if amount < 0 else str(text(amount))


async def set_band(engine: AsyncEngine, code: str, given: Mapping[str, str | None]) -> Band:
    """Set the bounds that are given (decimal text; "none" for no bound) and return the band."""
    store = HotWalletStore(engine, AuditStore())
    bands = {band.asset.code: band for band in await store.bands(CHAIN)}
    band = bands.get(code.upper())
    if band is None:
        raise DeskError(f"there is no asset {code} on the chain {CHAIN}; there are {list(bands)}")
    try:
        bounds: dict[str, Any] = {
            name: None if text == "none" else band.asset.chain_units(text)
            for name, text in given.items()
            if text is not None
        }
    except DecimalTextError as error:
        raise DeskError(str(error)) from error
    band = replace(band, **bounds)
    if band.refusal is not None:
        raise DeskError(f"{band.asset.code}: {band.refusal}")
    await store.set_band(band, f"staff:{login()}")
    return band


async def set_cold_address(engine: AsyncEngine, settings: Settings, address: str) -> None:
    """Pin where alone the surplus goes: in the signer's policy, which decides, then for the rest.

    On a machine without the signer's folder it is refused: run it where the signer runs. From then
    on the chain watcher takes what the address has, and gets, into the books.
    """
    path = signer_policy_path(settings.data_dir)
    await _require_elsewhere(engine, settings, address)
    try:
        pin_cold_address(path, address)
    except (SignerFilesError, ValueError) as error:
        raise DeskError(str(error)) from error
    publish_cold_address(settings.data_dir, address)
    async with engine.begin() as connection:
        await add_cold_address(connection, CHAIN, address)
        await AuditStore().append(
            connection,
            SUBJECT,
            f"staff:{login()}",
            COLD_ADDRESS_PINNED,
            f"{COLD_ADDRESS_PINNED}:{uuid4()}",
            {"address": address},
        )


async def _require_elsewhere(engine: AsyncEngine, settings: Settings, address: str) -> None:
    """Refuse what is in the books as something else: its coins would be counted twice."""
    deposit, asset = tables.deposit_address.c, tables.asset.c
    query = sa.union_all(
        sa.select(deposit.address).where(deposit.address == address),
        sa.select(asset.contract).where(asset.contract == address),
    )
    async with engine.connect() as connection:
        taken = (await connection.execute(query)).first()
    if taken is not None or address == load_public(settings.data_dir).hot_address:
        raise DeskError(f"{address} is the hot wallet, a deposit address or a token: not cold")


async def refills(engine: AsyncEngine) -> dict[str, str]:
    """Return {asset: decimal text} of what is to be brought from the cold wallet."""
    store = HotWalletStore(engine, AuditStore())
    bands = {band.asset.asset_id: band for band in await store.bands(CHAIN)}
    missing = {
        held.asset: held.to_refill(bands[held.asset.asset_id])
        for held in await store.holdings(CHAIN)
    }
    return {asset.code: asset.chain_text(amount) for asset, amount in missing.items() if amount}
