"""What a call can end with instead of an answer.

ClientError
+-- Refused             the exchange said no: `code` is one of `api.errors.PROBLEMS`
+-- Unreachable         it was not sent, or had no effect; nothing happened
+-- OutcomeUnknown      it was sent and not answered by the exchange: it may have happened
+-- NotOurApi           what answered a question does not speak this API
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.errors import PROBLEMS


class ClientError(Exception):
    """A call that has no answer."""


class Refused(ClientError):  # noqa: N818 - an outcome's name
    """The exchange refused; `problem` has the members of its answer (RFC 9457).

    `after_unknown`: an earlier try of this call was not answered. An order that is not found
    when its cancel is repeated may have been cancelled by the first try.
    """

    def __init__(self, problem: Mapping[str, Any], *, after_unknown: bool = False) -> None:
        super().__init__(f"{problem['code']}: {problem.get('detail', '')}")
        self.problem = dict(problem)
        self.after_unknown = after_unknown

    @property
    def code(self) -> str:
        """Return the registered code; one of a newer exchange may be unknown here."""
        return str(self.problem["code"])

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return int(self.problem["status"])

    @property
    def retryable(self) -> bool:
        """Return whether the same request may succeed later."""
        return bool(self.problem["retryable"])

    def is_a(self, *codes: str) -> bool:
        """Return whether it is one of these codes; one that is not registered is an error."""
        unknown = [code for code in codes if code not in PROBLEMS]
        if unknown:
            raise ValueError(f"no such codes: {unknown}")
        return self.code in codes


class Unreachable(ClientError):  # noqa: N818 - an outcome's name
    """The exchange could not be asked, as long as it was tried; nothing happened."""


class OutcomeUnknown(ClientError):  # noqa: N818 - an outcome's name
    """The exchange has not answered, and a try may have arrived: ask what became of it.

    Sending the very same `Call` again is safe, as it was before.
    """


class NotOurApi(ClientError):  # noqa: N818 - an outcome's name
    """Something answered that is not this API: a proxy, another service, a wrong address.

    Only of calls that change nothing; of others it is an `OutcomeUnknown`.
    """
