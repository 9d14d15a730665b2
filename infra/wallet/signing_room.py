"""Room in the signer's windows: what it has signed, and what it has said that it will sign.

A nonce is given between check and signature. So that it is not given in vain, a check keeps room
for its payment, and every other check counts that, whoever asks: withdrawals and payments of our
own leave one hot wallet. Kept room ends with the signature (the journal counts from then on), with
a void or a refused order of the same name, or after `RESERVED_SECONDS`.

What was signed stays counted for its hour and day, also when it is voided: until its void is mined
the signed bytes may be paid, and the signer does not see the chain. Were its room given back, two
officers could have any number of payments signed within an hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Protocol

from domain.signing_limits import (
    DAY_SECONDS,
    RESERVED_SECONDS,
    Payment,
    SigningLimits,
    limit_refusal,
)
from infra.wallet.signer_refusal import Refused, SignerRefusal


class Signed(Protocol):
    """What was signed: the signer's journal, or something as good."""

    def given_up(self, withdrawal_id: str) -> bool:
        """Return whether a void of its nonce was signed."""

    def payment(self, withdrawal_id: str) -> Payment | None:
        """Return what was signed under this name."""

    def last_day(self, now_seconds: int) -> Iterable[Payment]:
        """Return what was signed within a day, each name once."""


class SigningRoom:
    """The windows of one hot wallet."""

    def __init__(self, signed: Signed) -> None:
        self._signed = signed
        self._kept: dict[str, Payment] = {}  # checked, and not signed yet

    def keep(self, payment: Payment, limits: SigningLimits) -> Refused | None:
        """Return what the signer's own past says against a payment; else keep room for it."""
        name, now_seconds = payment.withdrawal_id, payment.at_seconds
        if self._signed.given_up(name):
            return Refused(SignerRefusal.GIVEN_UP)
        signed = self._signed.payment(name)
        if signed is not None:
            if signed.same_payment(payment):
                return None  # it was counted when it was signed first
            return Refused(SignerRefusal.SIGNED_AS_ANOTHER_PAYMENT)
        self._kept = {
            other: kept
            for other, kept in self._kept.items()
            if now_seconds - kept.at_seconds < RESERVED_SECONDS
        }
        earlier = chain(self._signed.last_day(now_seconds), self._kept.values())
        refusal = limit_refusal(payment, earlier, limits)
        if refusal is not None:
            return Refused(SignerRefusal(refusal))
        self._kept[name] = payment
        return None

    def give_back(self, withdrawal_id: str) -> None:
        """Keep no room any more: it was signed, voided, or its order is refused."""
        self._kept.pop(withdrawal_id, None)


class SignedSweeps:
    """The sweeps of the last day, in memory: one that is signed twice brings nobody anything."""

    def __init__(self) -> None:
        self._payments: dict[str, Payment] = {}

    def record(self, payment: Payment) -> None:
        """Count a sweep from its first signature on; a dearer transaction is the same one."""
        self._payments.setdefault(payment.withdrawal_id, payment)

    def given_up(self, withdrawal_id: str) -> bool:
        """Return False: it has no nonce of the hot wallet that could be voided."""
        return False

    def payment(self, withdrawal_id: str) -> Payment | None:
        """Return what was signed under this name."""
        return self._payments.get(withdrawal_id)

    def last_day(self, now_seconds: int) -> list[Payment]:
        """Return the sweeps of a day; older ones are forgotten."""
        self._payments = {
            name: it
            for name, it in self._payments.items()
            if now_seconds - it.at_seconds < DAY_SECONDS
        }
        return list(self._payments.values())
