"""The tries of one call, without any IO: what to send, and what an answer means.

Both clients run it: `request()` is what to send next, `answered` and `failed` say what became of
it, with the answer, or how long to wait before the next try. What cannot be repeated any more is
raised.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic

from pydantic import ValidationError

from api.client.account import ApiAccount, SigningClock
from api.client.call import Answer, Call
from api.client.errors import NotOurApi, OutcomeUnknown, Refused, Unreachable
from api.client.session import Session
from api.errors import PROBLEM_TYPE

SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
_PASSING = (429, 500, 503)
_CLOCK_CODES = ("timestamp_outside_window", "timestamp_ahead")
# The exchange itself does not know whether it happened; any other refusal says that it did not.
_OPEN_CODES = ("outcome_unknown", "internal_error", "store_unavailable")


@dataclass(frozen=True, slots=True)
class Pause:
    """Send it again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """What to send."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class Attempts(Generic[Answer]):
    """The tries of a call; `now` is any clock of seconds, `patience_seconds` how long to go on."""

    def __init__(
        self,
        call: Call[Answer],
        account: ApiAccount | Session | None,
        clock: SigningClock,
        *,
        now: float,
        patience_seconds: float,
    ) -> None:
        self._call = call
        self._account = account
        self._clock = clock
        self._until = now + patience_seconds
        self._pause_seconds = SHORTEST_PAUSE_SECONDS
        self._may_have_happened = False
        self._was_set = False

    def request(self) -> Request:
        """Return what to send next, signed at this moment."""
        call = self._call
        headers = {"Content-Type": "application/json"} if call.body else {}
        if self._account is not None and not call.is_public:
            headers = self._account.headers(
                call.method, call.target, call.body, call.idempotency_key, self._clock.next_ms()
            )
        return Request(call.method, call.target, headers, call.body)

    def failed(self, error: Exception, now: float, *, may_have_arrived: bool) -> Pause:
        """Return how long to wait after a try that was not answered."""
        self._may_have_happened |= may_have_arrived and self._call.changes
        return self._again(now, 0.0, error)

    def answered(
        self, status: int, headers: Mapping[str, str], content: bytes, now: float
    ) -> Answer | Pause:
        """Return the answer, or how long to wait before the next try; `Refused` is raised."""
        if 200 <= status < 300:
            try:
                return self._call.answer.model_validate_json(content)
            except ValidationError as error:
                what = f"{self._call.method} {self._call.path}"
                raise self._not_ours(NotOurApi(f"{what} was answered otherwise")) from error
        problem = _problem(headers, content)
        if problem is None:
            return self._foreign(status, content, now)
        refused = Refused(problem, after_unknown=self._may_have_happened)
        if refused.is_a(*_CLOCK_CODES) and "server_time_ms" in problem and not self._was_set:
            self._was_set = True
            self._clock.set_to(int(problem["server_time_ms"]))
            return Pause(0.0)
        if refused.is_a(*_OPEN_CODES):
            self._may_have_happened |= self._call.changes
        passes = status in _PASSING and refused.retryable
        if passes or refused.code in self._call.waits_for:
            return self._again(now, _seconds(headers), refused)
        raise refused

    def _foreign(self, status: int, content: bytes, now: float) -> Pause:
        """Return the pause after an answer of something between us and the exchange."""
        error = NotOurApi(f"status {status}: {content[:200].decode(errors='replace')}")
        if status < 500:
            raise self._not_ours(error) from error
        self._may_have_happened |= self._call.changes
        return self._again(now, 0.0, error)

    def _not_ours(self, error: NotOurApi) -> NotOurApi | OutcomeUnknown:
        """Return how a call ends that something else has answered, and would again.

        What stands between us may have passed it on before, so what changes anything is not known.
        """
        return OutcomeUnknown(str(error)) if self._call.changes else error

    def _again(self, now: float, least_seconds: float, error: Exception) -> Pause:
        seconds = max(least_seconds, self._pause_seconds)
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
        if now + seconds <= self._until:
            return Pause(seconds)
        what = f"{self._call.method} {self._call.path}"
        if self._may_have_happened:
            raise OutcomeUnknown(f"{what} was not answered: {error}") from error
        if isinstance(error, Refused | NotOurApi):
            raise error
        raise Unreachable(f"{what} could not be sent: {error}") from error


def _problem(headers: Mapping[str, str], content: bytes) -> dict[str, Any] | None:
    """Return the members of a refusal; None: it is not one of this API."""
    if headers.get("content-type", "").partition(";")[0] != PROBLEM_TYPE:
        return None
    try:
        found = json.loads(content)
    except ValueError:
        return None
    known = isinstance(found, dict) and {"code", "status", "retryable"} <= found.keys()
    return found if known else None


def _seconds(headers: Mapping[str, str]) -> float:
    """Return what `Retry-After` says; 0 without it, or when it says a date."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
