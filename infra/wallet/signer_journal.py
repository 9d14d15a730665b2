"""What the signer has signed: nonces, payments, voids, the windows of its limits, in one file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from domain.signing_limits import DAY_SECONDS, Payment
from infra.wallet.signer_refusal import SignerFilesError, SignerRefusal

MAX_NONCE_STEP = 1_000  # above the highest signed one: a transaction that waits for so many is lost


class SignerJournal:
    """Append-only file of what was signed; on disk before a signature leaves."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._withdrawal_of: dict[int, str] = {}
        self._nonce_of: dict[str, int] = {}
        self._payment_of: dict[str, Payment] = {}
        self._recent: dict[str, Payment] = {}
        self._voided: set[str] = set()
        if path.exists():
            whole = path.read_text().rpartition("\n")[0]
            os.truncate(path, len(whole) + 1 if whole else 0)  # a torn line was never signed
            for number, line in enumerate(whole.splitlines(), start=1):
                try:
                    self._read(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    raise SignerFilesError(
                        f"{path}, line {number}: not what this version writes ({error}); "
                        "`rialto reset` begins anew"
                    ) from error

    def _read(self, entry: dict[str, Any]) -> None:
        if entry.get("void") is True:
            self._remember_void(int(entry["nonce"]), str(entry["withdrawal_id"]))
        else:
            self._remember(int(entry["nonce"]), _payment(entry))

    def given_up(self, withdrawal_id: str) -> bool:
        """Return whether a void of its nonce was signed."""
        return withdrawal_id in self._voided

    def payment(self, withdrawal_id: str) -> Payment | None:
        """Return what was signed for a withdrawal before."""
        return self._payment_of.get(withdrawal_id)

    def last_day(self, now_seconds: int) -> Iterator[Payment]:
        """Yield what was signed within a day, each withdrawal once."""
        for payment in list(self._recent.values()):
            if now_seconds - payment.at_seconds >= DAY_SECONDS:
                del self._recent[payment.withdrawal_id]
            else:
                yield payment

    def conflict(self, nonce: int, withdrawal_id: str) -> SignerRefusal | None:
        """Return why this pair contradicts what was signed before."""
        if self._nonce_of.get(withdrawal_id, nonce) != nonce:
            return SignerRefusal.SIGNED_WITH_ANOTHER_NONCE
        if self._withdrawal_of.get(nonce, withdrawal_id) != withdrawal_id:
            return SignerRefusal.NONCE_OF_ANOTHER_WITHDRAWAL
        if self._withdrawal_of and nonce > max(self._withdrawal_of) + MAX_NONCE_STEP:
            return SignerRefusal.NONCE_TOO_FAR
        return None

    def record(self, nonce: int, payment: Payment, signing_hash: bytes) -> None:
        """Append one line and wait until it is on disk."""
        self._append(
            {
                "nonce": nonce,
                "withdrawal_id": payment.withdrawal_id,
                "asset": payment.asset,
                "amount": str(payment.amount),
                "address": payment.address,
                "at": payment.at_seconds,
                "hash": signing_hash.hex(),
            }
        )
        self._remember(nonce, payment)

    def record_void(
        self, nonce: int, withdrawal_id: str, at_seconds: int, signing_hash: bytes
    ) -> None:
        """Append that the nonce is used up for nothing, and wait until it is on disk."""
        self._append(
            {
                "nonce": nonce,
                "withdrawal_id": withdrawal_id,
                "void": True,
                "at": at_seconds,
                "hash": signing_hash.hex(),
            }
        )
        self._remember_void(nonce, withdrawal_id)

    def _append(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode("ascii") + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _remember(self, nonce: int, payment: Payment) -> None:
        self._withdrawal_of[nonce] = payment.withdrawal_id
        self._nonce_of[payment.withdrawal_id] = nonce
        first = self._payment_of.setdefault(payment.withdrawal_id, payment)
        self._recent[payment.withdrawal_id] = first

    def _remember_void(self, nonce: int, withdrawal_id: str) -> None:
        self._withdrawal_of[nonce] = withdrawal_id
        self._nonce_of[withdrawal_id] = nonce
        self._voided.add(withdrawal_id)


def _payment(entry: dict[str, Any]) -> Payment:
    return Payment(
        withdrawal_id=str(entry["withdrawal_id"]),
        asset=str(entry["asset"]),
        amount=int(entry["amount"]),
        address=str(entry["address"]),
        at_seconds=int(entry["at"]),
    )
