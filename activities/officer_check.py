"""Whose stored decisions count now: by the pinned keys, the statement, the time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from domain.approval import Decision, DecisionSubject, Officer, VerifySignature, decision_refusal

_NO_TIME = dt.timedelta()


@dataclass(frozen=True, slots=True)
class OfficerCheck:
    """The pinned officers, as of each question."""

    officers: Mapping[str, Officer]
    verify: VerifySignature
    now: Callable[[], dt.datetime]

    def good(
        self,
        subject: DecisionSubject,
        action: str,
        decisions: Sequence[Decision],
        *,
        for_another: dt.timedelta = _NO_TIME,
    ) -> list[Decision]:
        """Return the decisions that count as `action` on `subject`, one of each officer.

        They must still count when `for_another` has passed.
        """
        found: list[Decision] = []
        for decision in decisions:
            refusal = decision_refusal(
                decision,
                action=action,
                subject=subject,
                officers=self.officers,
                decided=[one.officer for one in found],
                now=self.now() + for_another,
                verify=self.verify,
            )
            if refusal is None:
                found.append(decision)
        return found
