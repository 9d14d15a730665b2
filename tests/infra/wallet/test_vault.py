"""The sealed seed: one passphrase opens it, and no byte of it can be changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.wallet.vault import KdfParameters, VaultRefusal, seal, unseal

SEED = bytes(range(32))
PASSPHRASE = b"twelve bytes and more"
CHEAP = KdfParameters(memory_kib=19_456, iterations=2, lanes=1)
SEALED = seal(SEED, PASSPHRASE, CHEAP)


def _changed(**fields: Any) -> str:
    return json.dumps(json.loads(SEALED) | fields)


def _flipped(text: str) -> str:
    return ("1" if text[0] == "0" else "0") + text[1:]


def _kdf(**fields: Any) -> dict[str, Any]:
    return dict(json.loads(SEALED)["kdf"] | fields)


def test_passphrase_opens_it() -> None:
    """What was sealed comes back, and does not stand in the file."""
    assert unseal(SEALED, PASSPHRASE) == SEED
    assert SEED.hex() not in SEALED


def test_default_cost_is_in_the_file_and_is_read_from_there() -> None:
    """RFC 9106's second choice; later versions may choose otherwise and still open this one."""
    sealed = seal(SEED, PASSPHRASE)
    kdf = json.loads(sealed)["kdf"]
    assert (kdf["memory_kib"], kdf["iterations"], kdf["lanes"]) == (65_536, 3, 4)
    assert unseal(sealed, PASSPHRASE) == SEED


def test_sealing_twice_gives_different_files() -> None:
    """Salt and nonce are fresh: no nonce is ever used twice with a key."""
    again = json.loads(seal(SEED, PASSPHRASE, CHEAP))
    first = json.loads(SEALED)
    assert again["kdf"]["salt"] != first["kdf"]["salt"]
    assert again["nonce"] != first["nonce"]


def test_wrong_passphrase_is_told_as_such() -> None:
    """Not as a damaged file, which would send the operator to his backups."""
    assert unseal(SEALED, PASSPHRASE + b" ") is VaultRefusal.WRONG_PASSPHRASE


@pytest.mark.parametrize("field", ["nonce", "sealed"])
def test_changed_bytes_are_tampering(field: str) -> None:
    """With the right passphrase a changed file is told from a wrong passphrase."""
    changed = _changed(**{field: _flipped(json.loads(SEALED)[field])})
    assert unseal(changed, PASSPHRASE) is VaultRefusal.TAMPERED


@pytest.mark.parametrize(
    "changed",
    [
        {"kdf": _kdf(salt=_flipped(_kdf()["salt"]))},
        {"kdf": _kdf(memory_kib=19_457)},
        {"kdf": _kdf(iterations=3)},
        {"check": _flipped(json.loads(SEALED)["check"])},
    ],
)
def test_changed_parameters_do_not_open(changed: dict[str, Any]) -> None:
    """Another derivation gives other bytes, so nothing is decrypted at all."""
    assert unseal(_changed(**changed), PASSPHRASE) is VaultRefusal.WRONG_PASSPHRASE


@pytest.mark.parametrize(
    "kdf",
    [
        {"memory_kib": 8},
        {"memory_kib": 1 << 30},
        {"iterations": 1},
        {"iterations": 10**9},
        {"lanes": 0},
        {"lanes": 10**6},
    ],
)
def test_parameters_out_of_bounds_cost_nothing(kdf: dict[str, int]) -> None:
    """Neither weakened nor made so dear that opening it stops the machine."""
    changed = _changed(kdf=_kdf(**kdf))
    assert unseal(changed, PASSPHRASE) is VaultRefusal.PARAMETERS_OUT_OF_BOUNDS


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (SEED.hex() + "\n", VaultRefusal.NOT_ENCRYPTED),
        ("", VaultRefusal.NOT_A_VAULT),
        ("[]", VaultRefusal.NOT_A_VAULT),
        ('{"format": "another"}', VaultRefusal.NOT_A_VAULT),
        (_changed(version=2), VaultRefusal.UNKNOWN_VERSION),
        (_changed(note="hello"), VaultRefusal.NOT_A_VAULT),
        (_changed(kdf=_kdf(note="hello")), VaultRefusal.NOT_A_VAULT),
        (_changed(kdf=_kdf(name="scrypt")), VaultRefusal.NOT_A_VAULT),
        (_changed(kdf=_kdf(iterations=True)), VaultRefusal.NOT_A_VAULT),
        (_changed(nonce="00"), VaultRefusal.NOT_A_VAULT),
        (_changed(sealed=5), VaultRefusal.NOT_A_VAULT),
        (SEALED[: len(SEALED) // 2], VaultRefusal.NOT_A_VAULT),
    ],
)
def test_anything_else_is_refused_by_name(text: str, refusal: VaultRefusal) -> None:
    """Plain seeds of old folders, other formats, other versions, unknown fields, torn files."""
    assert unseal(text, PASSPHRASE) is refusal


def test_short_passphrases_are_not_accepted() -> None:
    """Argon2id makes guessing dear, not impossible."""
    with pytest.raises(ValueError, match="at least 12 bytes"):
        seal(SEED, b"short")
