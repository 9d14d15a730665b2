"""The wallet's keys: one seed, held by the signer alone; everybody else sees public keys.

Deposit addresses are children of an account whose extended public key (xpub) is published to
`wallet/xpub.json`. The hot wallet lies in another hardened account: an xpub together with one
child's private key gives away all its siblings, so the key in daily use must not be a sibling.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from domain.evm_address import checksum_address
from infra.private_files import write_private
from infra.wallet.keccak import keccak256
from infra.wallet.local_vault import LocalVault, ensure_passphrase, seed_path
from infra.wallet.vault import SEED_BYTES, SeedVault, seal

DEPOSIT_ACCOUNT = "m/44'/60'/0'"
DEPOSIT_BRANCH = "0"
HOT_WALLET_PATH = "m/44'/60'/1'/0/0"


@dataclass(frozen=True, slots=True)
class WalletPublic:
    """What processes other than the signer know of the wallet."""

    deposit_xpub: str
    hot_address: str
    cold_address: str | None = None  # where the hot wallet's surplus goes; pinned by the signer too

    def deposit_address(self, deposit_index: int) -> str:
        """Return the deposit address of the customer with this `deposit_index`."""
        return deposit_address(self.deposit_xpub, deposit_index)


def deposit_path(deposit_index: int) -> str:
    """Return the derivation path that `deposit_address.path` records."""
    return f"{DEPOSIT_ACCOUNT}/{DEPOSIT_BRANCH}/{deposit_index}"


def deposit_address(xpub: str, deposit_index: int) -> str:
    """Return the checksum address of leaf `deposit_index`, from public keys only."""
    from bip_utils.bip.bip32 import Bip32Slip10Secp256k1  # type: ignore[import-untyped]

    account = Bip32Slip10Secp256k1.FromExtendedKey(xpub)
    leaf = account.DerivePath(f"{DEPOSIT_BRANCH}/{deposit_index}")
    return _address(leaf.PublicKey().RawUncompressed().ToBytes())


def _address(public_key: bytes) -> str:
    """Return the address of an uncompressed public key (0x04, x, y)."""
    return checksum_address("0x" + keccak256(public_key[1:])[-20:].hex(), keccak256)


class Seed:
    """The secret from which every key follows; only the signer's process makes one of these."""

    def __init__(self, seed: bytes) -> None:
        from bip_utils.bip.bip32 import Bip32Slip10Secp256k1

        self._master = Bip32Slip10Secp256k1.FromSeed(seed)

    def private_key(self, path: str) -> bytes:
        """Return the 32-byte private key at `path`."""
        return bytes(self._master.DerivePath(path).PrivateKey().Raw().ToBytes())

    def address(self, path: str) -> str:
        """Return the address of the key at `path`."""
        public_key = self._master.DerivePath(path).PublicKey()
        return _address(public_key.RawUncompressed().ToBytes())

    def public(self) -> WalletPublic:
        """Return what may be published."""
        account = self._master.DerivePath(DEPOSIT_ACCOUNT)
        return WalletPublic(
            deposit_xpub=account.PublicKey().ToExtended(),
            hot_address=self.address(HOT_WALLET_PATH),
        )


def public_path(data_dir: Path) -> Path:
    """Return the file of the public part."""
    return data_dir / "wallet" / "xpub.json"


def create_wallet(data_dir: Path) -> WalletPublic:
    """Make the seed from the system's entropy unless there is one; publish the public part.

    An existing seed is never replaced: it is the only way to the coins. Nor is it opened again once
    its public part is published.
    """
    path, published = seed_path(data_dir), public_path(data_dir)
    if path.exists() and published.exists():
        return load_public(data_dir)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        write_private(path, seal(secrets.token_bytes(SEED_BYTES), ensure_passphrase(data_dir)))
    public = load_seed(LocalVault(data_dir)).public()
    published.parent.mkdir(parents=True, exist_ok=True)
    _publish(published, public)
    return public


def _publish(path: Path, public: WalletPublic) -> None:
    path.write_text(json.dumps(asdict(public)) + "\n")


def publish_cold_address(data_dir: Path, address: str) -> None:
    """Let the exchange's processes know where the hot wallet's surplus goes."""
    _publish(public_path(data_dir), replace(load_public(data_dir), cold_address=address))


def load_seed(vault: SeedVault) -> Seed:
    """Return the seed from its vault; for the signer's process only."""
    return Seed(vault.open())


def load_public(data_dir: Path) -> WalletPublic:
    """Return the published part."""
    fields = json.loads(public_path(data_dir).read_text())
    return WalletPublic(
        deposit_xpub=fields["deposit_xpub"],
        hot_address=fields["hot_address"],
        cold_address=fields.get("cold_address"),
    )
