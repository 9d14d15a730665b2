"""Customers' API keys by their verbs, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner, Result

from domain.customer import ApiKey, KeyAlgorithm
from infra.postgres import engine as postgres
from infra.postgres.customers import CustomerStore
from infra.secret_box import SecretBox, gateway_key_path
from infra.settings import Settings
from tests.offline import NO_SERVERS
from workers.__main__ import build
from workers.cli import database

pytestmark = pytest.mark.servers


class Exchange:
    """A database with a customer, and the verbs that reach it."""

    def __init__(self, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = url
        known = {**NO_SERVERS, "RIALTO_DATABASE_URL": url, "RIALTO_DATA_DIR": str(folder)}
        self.secrets = Settings.of(known).secrets_dir
        self.secrets.mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(database, "environment", lambda _: known)

    def rialto(self, *words: str) -> Result:
        """Run `rialto key`."""
        return CliRunner().invoke(build(), ["key", *words])

    def found(self, key_id: str) -> ApiKey | None:
        """Return a key as the gateway finds it, after making sure of the customer."""

        async def look() -> ApiKey | None:
            engine = postgres.create(self.url)
            box = SecretBox.from_file(gateway_key_path(self.secrets))
            store = CustomerStore(engine, box)
            await store.create_customer("alice")
            key = await store.find_key(key_id)
            await engine.dispose()
            return key

        return asyncio.run(look())


def test_keys_come_and_go(
    fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret is shown once; of an Ed25519 key the exchange gets the public half only."""
    exchange = Exchange(fresh_database, tmp_path, monkeypatch)
    assert exchange.found("none") is None
    made = json.loads(exchange.rialto("add", "alice", "--json").stdout)
    shared = exchange.found(made["api_key"])
    assert shared is not None
    assert (shared.secret.decode(), shared.algorithm) == (made["api_secret"], "hmac-sha256")
    public = Ed25519PrivateKey.generate().public_key()
    pem = tmp_path / "public.pem"
    pem.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    words = ("--scope", "read", "--label", "bot", "--ip", "192.0.2.7", "--ip", "10.0.0.0/8")
    added = exchange.rialto("add", "alice", "--public-key", str(pem), *words, "--json")
    key_id = json.loads(added.stdout)["api_key"]
    key = exchange.found(key_id)
    assert key is not None
    assert (key.secret, key.algorithm) == (public.public_bytes_raw(), KeyAlgorithm.ED25519)
    assert key.scopes == {"read"}
    assert [str(one) for one in key.networks] == ["192.0.2.7/32", "10.0.0.0/8"]
    ending = json.loads(exchange.rialto("add", "alice", "--days", "1", "--json").stdout)["api_key"]
    ends = exchange.found(ending)
    assert ends is not None
    assert ends.expires_at is not None
    assert exchange.rialto("revoke", ending).exit_code == 0
    assert "from 192.0.2.7/32 10.0.0.0/8  bot" in exchange.rialto("list", "alice").stdout
    again = exchange.rialto("add", "alice", "--label", "bot")
    assert (again.exit_code, "of this label" in again.stderr) == (1, True)
    listed = json.loads(exchange.rialto("list", "alice", "--json").stdout)
    assert [one["algorithm"] for one in listed] == ["hmac-sha256", "ed25519"]
    assert exchange.rialto("revoke", key_id).exit_code == 0
    assert exchange.found(key_id) is None
    assert key_id not in exchange.rialto("list", "alice").stdout


def test_what_is_refused(
    fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each refusal says what is wrong, and ends with 1."""
    exchange = Exchange(fresh_database, tmp_path, monkeypatch)
    exchange.found("none")
    other = tmp_path / "other.pem"
    curve = generate_private_key(SECP256R1()).public_key()
    other.write_bytes(curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for words, text in (
        (("add", "nobody"), "there is no customer"),
        (("list", "nobody"), "there is no customer"),
        (("add", "alice", "--scope", "fly"), "unknown scopes"),
        (("add", "alice", "--public-key", str(tmp_path / "none.pem")), "not the PEM file"),
        (("add", "alice", "--public-key", str(other)), "another kind of key"),
        (("add", "alice", "--ip", "10.0.0.1/8"), "no address and no network"),
        (("add", "alice", "--label", "x" * 65), "at most 64 letters"),
        (("revoke", "rk_none"), "there is no key"),
    ):
        answer = exchange.rialto(*words)
        assert answer.exit_code == 1
        assert text in answer.stderr
