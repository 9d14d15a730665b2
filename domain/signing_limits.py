"""How much the signer signs in an hour and a day: pure rules over what it signed itself.

Times are whole seconds since 1970. A window counts everything younger than its length, and what
seems to come from the future: a clock that is set back must not open the window.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

SIGNING_MARGIN = dt.timedelta(minutes=10)  # an approval must not expire between check and signature
RESERVED_SECONDS = 900  # how long room is kept for what was checked and is not signed yet
HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class FeeBounds:
    """The most gas, and the most wei for it, for which a transaction is signed.

    The signer holds each to them; whoever gives a nonce asks before, since what is refused
    afterwards leaves a hole in the sequence.
    """

    gas: int
    network_fee: int

    def admit(self, gas: int, max_fee: int) -> bool:
        """Return whether `gas` units at `max_fee` wei each are within the bounds."""
        return gas <= self.gas and gas * max_fee <= self.network_fee


WITHDRAWAL_BOUNDS = FeeBounds(500_000, 10**17)  # 0.1 of the chain's coin: what a wrong fee can burn
# A plain payment takes 21,000 gas, a token's transfer some 60,000.
OWN_BOUNDS = FeeBounds(150_000, 5 * 10**16)


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that was signed, or is about to be; `amount` in chain units, fee included."""

    withdrawal_id: str
    asset: str
    amount: int
    address: str
    at_seconds: int

    def same_payment(self, other: Payment) -> bool:
        """Return whether both pay the same; when does not matter."""
        mine = (self.withdrawal_id, self.asset, self.amount, self.address)
        return mine == (other.withdrawal_id, other.asset, other.amount, other.address)


@dataclass(frozen=True, slots=True)
class SigningLimits:
    """The most that may be signed; amounts of the payment's asset in chain units."""

    signatures_per_hour: int
    amount_per_hour: int
    amount_per_day: int


class LimitRefusal(StrEnum):
    """Which limit a payment would exceed; checked in this order."""

    TOO_MANY_SIGNATURES = "too_many_signatures"
    HOURLY_AMOUNT_EXCEEDED = "hourly_amount_exceeded"
    DAILY_AMOUNT_EXCEEDED = "daily_amount_exceeded"


def limit_refusal(
    new: Payment, earlier: Iterable[Payment], limits: SigningLimits
) -> LimitRefusal | None:
    """Return the limit that `new` would exceed after `earlier`, or None.

    Each withdrawal counts once: one that is signed again changes nothing.
    """
    others = {it.withdrawal_id: it for it in earlier if it.withdrawal_id != new.withdrawal_id}
    last_day = [it for it in others.values() if new.at_seconds - it.at_seconds < DAY_SECONDS]
    last_hour = [it for it in last_day if new.at_seconds - it.at_seconds < HOUR_SECONDS]
    if len(last_hour) + 1 > limits.signatures_per_hour:
        return LimitRefusal.TOO_MANY_SIGNATURES
    if _amount(last_hour, new) > limits.amount_per_hour:
        return LimitRefusal.HOURLY_AMOUNT_EXCEEDED
    if _amount(last_day, new) > limits.amount_per_day:
        return LimitRefusal.DAILY_AMOUNT_EXCEEDED
    return None


def _amount(earlier: Iterable[Payment], new: Payment) -> int:
    return new.amount + sum(it.amount for it in earlier if it.asset == new.asset)
