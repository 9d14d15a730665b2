"""The cold wallet: a sealed seed and a pinned receiver in a folder of a machine without network.

It needs no server, no database and no network: a request comes as a file, the signed transactions
leave as a file, and a person has read in between what they do.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from domain.cold_refill import (
    ColdPolicy,
    RefillRefusal,
    RefillRequest,
    checksum,
    parse_refill,
    policy_refusal,
)
from domain.evm_address import is_checksum_address
from infra.private_files import write_private
from infra.wallet.erc20 import transfer_call
from infra.wallet.keccak import keccak256
from infra.wallet.keys import Seed
from infra.wallet.signer import signature_of
from infra.wallet.transaction import (
    MalformedTransactionError,
    Transaction,
    decode_signed,
    sender_of,
)
from infra.wallet.vault import SEED_BYTES, VaultError, VaultRefusal, seal, unseal

COLD_WALLET_PATH = "m/44'/60'/2'/0/0"
SIGNED_FORMAT, SIGNED_VERSION = "rialto-refill-signed", 1
_SIGNED_FIELDS = frozenset({"format", "version", "request", "raw", "checksum"})


class ColdWalletError(Exception):
    """The cold wallet cannot do this; the message says why."""


def cold_seed_path(folder: Path) -> Path:
    """Return the sealed seed of a cold wallet's folder."""
    return folder / "cold" / "seed"


def cold_policy_path(folder: Path) -> Path:
    """Return the file of what the cold wallet pins."""
    return folder / "cold" / "policy.json"


def create_cold_wallet(
    folder: Path, passphrase: bytes, *, hot_address: str, chain_id: int
) -> ColdPolicy:
    """Make a cold wallet that pays `hot_address` alone; an existing one is never replaced."""
    path = cold_seed_path(folder)
    if path.exists():
        raise ColdWalletError(f"there is a cold wallet in {folder} already; it is never replaced")
    if not is_checksum_address(hot_address, keccak256):
        raise ColdWalletError(f"{hot_address!r} is no address in checksum form")
    seed = secrets.token_bytes(SEED_BYTES)
    sealed = seal(seed, passphrase)
    policy = ColdPolicy(chain_id, Seed(seed).address(COLD_WALLET_PATH), hot_address)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pinned = {"chain_id": chain_id, "address": policy.address, "hot_address": hot_address}
    cold_policy_path(folder).unlink(missing_ok=True)  # of a set-up that was cut off before its seed
    write_private(cold_policy_path(folder), json.dumps(pinned, indent=1) + "\n")
    write_private(path, sealed)
    return policy


def load_cold_policy(folder: Path) -> ColdPolicy:
    """Return what the cold wallet pins."""
    path = cold_policy_path(folder)
    try:
        fields = json.loads(path.read_text())
        return ColdPolicy(int(fields["chain_id"]), fields["address"], fields["hot_address"])
    except FileNotFoundError as error:
        raise ColdWalletError(
            f"there is no cold wallet in {folder}; `rialto cold init` makes one"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ColdWalletError(f"{path} cannot be read: {error}") from error


def read_request(text: str, policy: ColdPolicy) -> RefillRequest | RefillRefusal:
    """Return the request when this cold wallet may sign it, or the first reason why not."""
    request = parse_refill(text, keccak256)
    if isinstance(request, RefillRefusal):
        return request
    return policy_refusal(request, policy) or request


def sign_refill(folder: Path, request: RefillRequest, passphrase: bytes) -> str:
    """Return the signed file's text; `VaultError`, or `ColdWalletError` when the keys differ."""
    path = cold_seed_path(folder)
    try:
        opened = unseal(path.read_text(errors="replace"), passphrase)
    except FileNotFoundError as error:
        raise VaultError(VaultRefusal.MISSING, path) from error
    if isinstance(opened, VaultRefusal):
        raise VaultError(opened, path)
    seed = Seed(opened)
    if seed.address(COLD_WALLET_PATH) != request.sender:
        raise ColdWalletError("the seed is not that of the pinned address")
    key = seed.private_key(COLD_WALLET_PATH)
    raw = [
        transaction.signed(*signature_of(key, transaction.signing_hash())).hex()
        for transaction in transactions_of(request)
    ]
    fields: dict[str, Any] = {
        "format": SIGNED_FORMAT,
        "version": SIGNED_VERSION,
        "request": json.loads(request.text()),
        "raw": raw,
    }
    return json.dumps(fields | {"checksum": checksum(fields)}, indent=1) + "\n"


def transactions_of(request: RefillRequest) -> list[Transaction]:
    """Return the transactions that a request asks for, in the order of their nonces."""
    found = []
    for offset, payment in enumerate(request.payments):
        token = payment.contract is not None
        found.append(
            Transaction(
                chain_id=request.chain_id,
                nonce=request.nonce + offset,
                priority_fee=request.priority_fee,
                max_fee=request.max_fee,
                gas=payment.gas,
                to=payment.contract or request.receiver,
                value=0 if token else payment.amount,
                data=transfer_call(request.receiver, payment.amount) if token else b"",
            )
        )
    return found


def read_signed(text: str) -> tuple[RefillRequest, list[bytes]]:
    """Return a signed file's request and raw transactions; `ColdWalletError` unless they agree.

    Every transaction is decoded and must be exactly what the request says, by the sender's key.
    """
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise ColdWalletError("this is no signed refill") from error
    if not isinstance(fields, dict) or fields.get("format") != SIGNED_FORMAT:
        raise ColdWalletError("this is no signed refill")
    if fields.get("version") != SIGNED_VERSION or set(fields) != _SIGNED_FIELDS:
        raise ColdWalletError("another version of Rialto has written this file")
    if fields["checksum"] != checksum(fields):
        raise ColdWalletError("the file is damaged: its checksum is wrong")
    request = parse_refill(json.dumps(fields["request"]), keccak256)
    if isinstance(request, RefillRefusal):
        raise ColdWalletError(f"its request is refused: {request}")
    return request, _checked(request, fields["raw"])


def _checked(request: RefillRequest, texts: object) -> list[bytes]:
    wanted = transactions_of(request)
    if not isinstance(texts, list) or len(texts) != len(wanted):
        raise ColdWalletError("it has another number of transactions than its request")
    raws = []
    for number, (text, transaction) in enumerate(zip(texts, wanted, strict=True), start=1):
        try:
            raw = bytes.fromhex(text)
            good = decode_signed(raw) == transaction and sender_of(raw) == request.sender
        except (ValueError, TypeError, MalformedTransactionError) as error:
            raise ColdWalletError(f"transaction {number} cannot be read: {error}") from error
        if not good:
            raise ColdWalletError(f"transaction {number} is not what the request says")
        raws.append(raw)
    return raws
