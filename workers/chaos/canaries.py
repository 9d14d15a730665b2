"""Secrets that must be nowhere but in their own files: looked for in logs, histories and tables.

The seed is opened for that, so this is for drills alone: their exchange, its keys and its coins end
with them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.postgres import tables
from infra.wallet.keys import HOT_WALLET_PATH, Seed
from infra.wallet.local_vault import LocalVault
from infra.wallet.officers import DEMO_OFFICERS, load_private_key, private_key_path

BENEFICIARY = "Ludovico Canary-Seven"  # where withdrawals of a drill are said to go
_PAGE = 500


def secrets_of(data_dir: Path, api_secrets: Mapping[str, str]) -> dict[str, list[bytes]]:
    """Return {name: the forms in which it would be found} of an exchange's secrets."""
    seed = LocalVault(data_dir).open()
    found = {"the seed": _forms(seed)}
    found["the hot wallet's key"] = _forms(Seed(seed).private_key(HOT_WALLET_PATH))
    for name in DEMO_OFFICERS:
        key = load_private_key(private_key_path(data_dir, name)).private_bytes_raw()
        found[f"{name}'s key"] = _forms(key)
    for name, secret in api_secrets.items():
        found[f"{name}'s API secret"] = [secret.encode()]
    return found


def _forms(secret: bytes) -> list[bytes]:
    """Return raw, hex in both cases, and base64."""
    text = secret.hex()
    return [secret, text.encode(), text.upper().encode(), base64.b64encode(secret)]


def leaks_in_files(
    data_dir: Path,
    wanted: Mapping[str, Iterable[bytes]],
    folders: Iterable[str] = ("logs", "temporal"),
) -> list[str]:
    """Return "NAME is in FILE" for everything that is found in the folders' files."""
    return [
        f"{name} is in {path.relative_to(data_dir)}"
        for folder in folders
        for path in sorted((data_dir / folder).rglob("*"))
        if path.is_file()
        for name in _found(path.read_bytes(), wanted)
    ]


def _found(content: bytes, wanted: Mapping[str, Iterable[bytes]]) -> Iterator[str]:
    for name, forms in wanted.items():
        if any(form in content for form in forms):
            yield name


async def leaks_in_tables(
    database: AsyncEngine, wanted: Mapping[str, Iterable[bytes]]
) -> list[str]:
    """Return "NAME is in table TABLE" for everything that a row shows, as text, hex or base64."""
    leaks: list[str] = []
    async with database.connect() as connection:
        for table in tables.metadata.sorted_tables:
            row = sa.cast(sa.literal_column(f'"{table.name}"'), sa.Text)
            found: set[str] = set()
            rows = await connection.stream(sa.select(row).select_from(table))
            async for page in rows.scalars().partitions(_PAGE):
                found.update(_found("\n".join(map(str, page)).encode(), wanted))
            leaks += [f"{name} is in table {table.name}" for name in sorted(found)]
    return leaks
