"""The search for secrets finds what is there, in every form that it knows."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import sqlalchemy as sa

from infra.postgres import tables
from infra.postgres.engine import create
from infra.wallet.keys import create_wallet
from infra.wallet.local_vault import LocalVault
from infra.wallet.officers import create_officers, load_private_key, private_key_path
from workers.chaos.canaries import leaks_in_files, leaks_in_tables, secrets_of

SECRET = bytes(range(1, 33))


@pytest.mark.parametrize("written", [SECRET, SECRET.hex().encode(), SECRET.hex().upper().encode()])
def test_secret_in_a_file_is_found(tmp_path: Path, written: bytes) -> None:
    """In whatever file of a searched folder; what is elsewhere is no leak."""
    (tmp_path / "logs" / "old").mkdir(parents=True)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_bytes(written)
    wanted = {"it": [SECRET, SECRET.hex().encode(), SECRET.hex().upper().encode()]}
    assert leaks_in_files(tmp_path, wanted) == []
    (tmp_path / "logs" / "old" / "gateway.log").write_bytes(b"key=" + written + b"\n")
    assert leaks_in_files(tmp_path, wanted) == ["it is in logs/old/gateway.log"]


async def test_secret_in_a_row_is_found(fresh_database: str) -> None:
    """Text, bytes, JSON."""
    database = create(fresh_database)
    wanted = {"a name": [b"planted"], "a key": [SECRET.hex().encode()]}
    assert await leaks_in_tables(database, wanted) == []
    async with database.begin() as connection:
        await connection.execute(
            tables.customer.insert().values(customer_id=1, name="planted", deposit_index=1)
        )
        await connection.execute(
            sa.insert(tables.wallet_transaction).values(
                tx_hash="0x1", chain="ETH", address="0xA", nonce=1, raw=SECRET
            )
        )
    assert sorted(await leaks_in_tables(database, wanted)) == [
        "a key is in table wallet_transaction",
        "a name is in table customer",
    ]
    await database.dispose()


def test_secrets_of_an_exchange_are_its_own(tmp_path: Path) -> None:
    """Seed, hot key, officers and API secrets, each in several forms."""
    create_wallet(tmp_path)
    create_officers(tmp_path)
    found = secrets_of(tmp_path, {"alice": "s3cret"})
    assert found["the seed"][1] == LocalVault(tmp_path).open().hex().encode()
    key = load_private_key(private_key_path(tmp_path, "marta")).private_bytes_raw()
    assert base64.b64encode(key) in found["marta's key"]
    assert found["alice's API secret"] == [b"s3cret"]
    assert set(found) == {
        *("the seed", "the hot wallet's key", "marta's key", "piero's key", "alice's API secret")
    }
