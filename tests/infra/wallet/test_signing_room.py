"""Room in the signer's windows: kept between check and signature, for all of one hot wallet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from domain.signing_limits import RESERVED_SECONDS, Payment, SigningLimits
from infra.wallet.signer_refusal import Refused, SignerRefusal
from infra.wallet.signing_room import SignedSweeps, SigningRoom

LIMITS = SigningLimits(signatures_per_hour=3, amount_per_hour=100, amount_per_day=150)
FIRST = Payment("first", "USDT", 60, "0xa", 1_000)
SECOND = Payment("second", "USDT", 60, "0xb", 1_001)
FULL = Refused(SignerRefusal.HOURLY_AMOUNT_EXCEEDED)


@dataclass
class Journal:
    """What was signed, and what was given up."""

    signed: dict[str, Payment] = field(default_factory=dict)
    voided: set[str] = field(default_factory=set)

    def given_up(self, withdrawal_id: str) -> bool:
        return withdrawal_id in self.voided

    def payment(self, withdrawal_id: str) -> Payment | None:
        return self.signed.get(withdrawal_id)

    def last_day(self, now_seconds: int) -> list[Payment]:
        return list(self.signed.values())


def test_room_is_kept_for_one_and_refused_to_another() -> None:
    """Asking again for the same changes nothing."""
    room = SigningRoom(Journal())
    assert room.keep(FIRST, LIMITS) is None
    assert room.keep(FIRST, LIMITS) is None
    assert room.keep(SECOND, LIMITS) == FULL


def test_room_is_given_back_when_nothing_is_signed() -> None:
    """By a refusal, by a void of a nonce that was never signed for, and by time."""
    room = SigningRoom(Journal())
    room.keep(FIRST, LIMITS)
    room.give_back("first")
    assert room.keep(SECOND, LIMITS) is None
    later = replace(FIRST, at_seconds=SECOND.at_seconds + RESERVED_SECONDS)
    assert room.keep(replace(later, at_seconds=later.at_seconds - 1), LIMITS) == FULL
    assert room.keep(later, LIMITS) is None


def test_what_was_signed_stays_counted_though_it_is_voided() -> None:
    """Until the void is mined it may be paid: else voids would make room for any number more."""
    journal = Journal({"first": FIRST})
    room = SigningRoom(journal)
    journal.voided.add("first")
    room.give_back("first")
    assert room.keep(SECOND, LIMITS) == FULL
    assert room.keep(FIRST, LIMITS) == Refused(SignerRefusal.GIVEN_UP)


def test_what_was_signed_needs_no_room_again_and_is_nothing_else() -> None:
    """A dearer transaction of the same payment passes a full window."""
    room = SigningRoom(Journal({"first": FIRST, "more": replace(SECOND, withdrawal_id="more")}))
    assert room.keep(FIRST, LIMITS) is None
    another = room.keep(replace(FIRST, amount=1), LIMITS)
    assert another == Refused(SignerRefusal.SIGNED_AS_ANOTHER_PAYMENT)


@pytest.mark.parametrize("seconds", [0, 86_400])
def test_sweeps_are_counted_once_and_for_a_day(seconds: int) -> None:
    """Replacing one is not another one."""
    sweeps = SignedSweeps()
    sweeps.record(FIRST)
    sweeps.record(replace(FIRST, at_seconds=FIRST.at_seconds + 9))
    wanted = [] if seconds else [FIRST]
    assert sweeps.last_day(FIRST.at_seconds + seconds) == wanted
