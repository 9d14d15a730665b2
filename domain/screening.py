"""What others say about a payment: sanctions and analysis of the chain, and the Travel Rule.

An answer is one of three; there is no fourth: who does not answer is asked again, for ever, and
nothing passes meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.hash_chain import JsonValue

SANCTIONS = "sanctions"
TRAVEL_RULE = "travel_rule"
IDENTITY = "identity"  # of the customer, where a service is asked
RESCREENED = "rescreened"  # audit action: an address was looked at again, and is not clear


class Verdict(StrEnum):
    """What comes of an answer."""

    CLEAR = "clear"
    REVIEW = "review"  # an officer has to sign, however small the amount
    BLOCKED = "blocked"


IDENTITY_STATUS: dict[str, Verdict] = {
    "verified": Verdict.CLEAR,
    "pending": Verdict.REVIEW,  # papers are missing, or still looked at
    "refused": Verdict.BLOCKED,
}


@dataclass(frozen=True, slots=True)
class Screening:
    """What is asked about: a payment to or from `address`; amounts in chain units, value in cents.

    `beneficiary` and `institution` are what the customer says of the address' owner; "" is not
    said, and of an institution also that there is none.
    """

    subject: str  # withdrawal-..., deposit-..., customer-...
    customer_id: int
    asset: str
    amount: int
    value_cents: int | None
    chain: str
    address: str
    beneficiary: str = ""
    institution: str = ""


@dataclass(frozen=True, slots=True)
class ScreeningResult:
    """An answer: `rule` names what was found, `version` the list or the rules that were asked."""

    verdict: Verdict
    rule: str = ""
    version: str = ""

    def as_json(self) -> dict[str, JsonValue]:
        """Return the answer for the audit log."""
        return {"verdict": str(self.verdict), "rule": self.rule, "version": self.version}


def review_reason(results: Mapping[str, ScreeningResult]) -> str | None:
    """Return who wants an officer to look, and why; None when nobody does."""
    wanted = [
        f"{name}:{result.rule}"
        for name, result in results.items()
        if result.verdict is Verdict.REVIEW
    ]
    return ", ".join(wanted) or None


TRAVEL_RULE_ABOVE_CENTS = 100_000  # 1,000 USD: from there on the receiver has to be named
TRAVEL_RULE_VERSION = "1"


def travel_rule(asked: Screening) -> ScreeningResult:
    """Return whether a payment carries what the Travel Rule asks for.

    A value that is not known is held to be above the threshold.
    """
    small = asked.value_cents is not None and asked.value_cents <= TRAVEL_RULE_ABOVE_CENTS
    if small or asked.beneficiary:
        return ScreeningResult(Verdict.CLEAR, version=TRAVEL_RULE_VERSION)
    return ScreeningResult(Verdict.REVIEW, "beneficiary_not_named", TRAVEL_RULE_VERSION)
