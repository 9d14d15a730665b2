"""The signer's activities, on its own task queue, in the only process with keys."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.wallet_ports import WithdrawalSigner
from domain.approval import Decision, DecisionSubject
from domain.signing_limits import SIGNING_MARGIN

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What the signer is asked: the order, and the transaction that is to carry it out."""

    order: dict[str, Any]
    unsigned_hex: str = ""


@dataclass(frozen=True, slots=True)
class SigningAnswer:
    """A raw signed transaction."""

    raw_hex: str


def void_request(
    subject: DecisionSubject, decisions: Sequence[Decision], unsigned: bytes
) -> SigningRequest:
    """Return the order to use the nonce of `subject` up; the signer believes none of it."""
    order = {
        "withdrawal_id": subject.withdrawal_id,
        "customer_id": subject.customer_id,
        "asset": subject.asset,
        "amount": str(subject.amount),
        "address": subject.address,
        "nonce": subject.nonce,
        "decisions": [asdict(one) for one in decisions],
    }
    return SigningRequest(order, unsigned.hex())


class SigningActivities:
    """Refusals park the withdrawal: what the signer refuses needs a person, not a retry."""

    def __init__(self, signer: WithdrawalSigner, now: Callable[[], dt.datetime]) -> None:
        self._signer = signer
        self._now = now

    @activity.defn(name="check_signing_order")
    async def check(self, request: SigningRequest) -> None:
        """Say no before a nonce is spent: a nonce that is never used stops all that follow."""
        refusal = self._signer.refusal(request.order, self._now(), SIGNING_MARGIN)
        if refusal is not None:
            raise _refused(refusal)

    @activity.defn(name="sign_withdrawal")
    async def sign(self, request: SigningRequest) -> SigningAnswer:
        """Decode the transaction, check it against the order, and sign it."""
        raw, refusal = self._signer.sign(*_asked(request), self._now())
        return _answer(raw, refusal, "withdrawal signed")

    @activity.defn(name="sign_void")
    async def sign_void(self, request: SigningRequest) -> SigningAnswer:
        """Check that it pays nobody and that two officers want just this nonce used up; sign it."""
        raw, refusal = self._signer.sign_void(*_asked(request), self._now())
        return _answer(raw, refusal, "void signed")


def _asked(request: SigningRequest) -> tuple[dict[str, Any], bytes]:
    structlog.contextvars.bind_contextvars(withdrawal_id=request.order.get("withdrawal_id"))
    return request.order, bytes.fromhex(request.unsigned_hex)


def _answer(raw: bytes | None, refusal: str, done: str) -> SigningAnswer:
    if raw is None:
        raise _refused(refusal)
    _log.info(done)
    return SigningAnswer(raw.hex())


def _refused(reason: str) -> ApplicationError:
    _log.warning("signing refused", reason=reason)
    return ApplicationError(
        f"the signer refused: {reason}", type="SignerRefused", non_retryable=True
    )
