"""Keys: addresses from the public key alone are the signer's, checked by another library.

Other libraries are imported where they check: each process of the tests imports this file.
"""

from __future__ import annotations

import stat
from pathlib import Path

from infra.wallet.keys import (
    HOT_WALLET_PATH,
    Seed,
    create_wallet,
    deposit_address,
    deposit_path,
    load_public,
    load_seed,
)
from infra.wallet.local_vault import LocalVault, seed_path

SEED = bytes(range(32))
INDEXES = (0, 1, 2, 77, 2**31 - 1)


def test_public_key_derives_the_signers_addresses() -> None:
    """The gateway never needs a private key to show a deposit address."""
    from eth_account import Account

    seed = Seed(SEED)
    xpub = seed.public().deposit_xpub
    for index in INDEXES:
        account = Account.from_key(seed.private_key(deposit_path(index)))
        assert deposit_address(xpub, index) == account.address


def test_hot_address_is_the_signers() -> None:
    """What is refilled is what the signer can spend."""
    from eth_account import Account

    seed = Seed(SEED)
    assert seed.public().hot_address == Account.from_key(seed.private_key(HOT_WALLET_PATH)).address


def test_derivation_is_bip44() -> None:
    """Any wallet that knows BIP-44 can restore the deposit addresses from the seed."""
    from bip_utils import Bip44, Bip44Changes, Bip44Coins  # type: ignore[import-untyped]

    account = Bip44.FromSeed(SEED, Bip44Coins.ETHEREUM).Purpose().Coin().Account(0)
    branch = account.Change(Bip44Changes.CHAIN_EXT)
    public = Seed(SEED).public()
    for index in INDEXES:
        assert public.deposit_address(index) == branch.AddressIndex(index).PublicKey().ToAddress()


def test_hot_key_is_no_sibling_of_deposit_keys() -> None:
    """With the published xpub, one sibling's private key would give away all the others."""
    assert not HOT_WALLET_PATH.startswith(deposit_path(0).rsplit("/", 2)[0] + "/")


def test_wallet_is_created_once(tmp_path: Path) -> None:
    """The seed is private, random, and never replaced."""
    first = create_wallet(tmp_path)
    assert create_wallet(tmp_path) == first == load_public(tmp_path)
    assert load_seed(LocalVault(tmp_path)).public() == first
    assert stat.S_IMODE(seed_path(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(seed_path(tmp_path).parent.stat().st_mode) == 0o700
    other = tmp_path / "other"
    other.mkdir()
    assert create_wallet(other) != first


def test_published_file_holds_no_secret(tmp_path: Path) -> None:
    """Only the extended public key and an address leave the signer's folder."""
    create_wallet(tmp_path)
    text = (tmp_path / "wallet" / "xpub.json").read_text()
    assert "xpub" in text
    assert "xprv" not in text
    assert LocalVault(tmp_path).open().hex() not in text
