"""What workflows share that wait for two officers' signatures and then do one thing, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ClassVar, Protocol

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from domain.plain_text import PlainText
    from domain.two_signatures import PROPOSED, SIGNATURES_NEEDED, SignRequest
    from workflows.operations import describe_failure, public_message
    from workflows.search_attributes import STAGE


def failure_for_all(error: ActivityError) -> str:
    """Return a failure's type, and its message where everybody may read that."""
    kind, _ = describe_failure(error)
    return f"{kind}: {message}" if (message := public_message(error)) else f"{kind}."


class Standing(Protocol):
    """How the row stands, as far as every kind has it."""

    @property
    def state(self) -> str:
        """Return the row's state."""

    @property
    def signatures(self) -> int:
        """Return how many officers have signed."""

    @property
    def seconds_left(self) -> int:
        """Return the seconds until it expires."""


class TwoSignatures:
    """Base of the workflows: row and signatures decide, so that losing a run changes nothing.

    The activities are `load_`, `sign_` and `expire_` with the kind's `noun`.
    """

    noun: ClassVar[str]
    view_type: ClassVar[type]

    def __init__(self, request: Any, proposal_id: str) -> None:
        self._request = request
        self._proposal_id = proposal_id
        self._view: Any = None
        self._retry_wanted = False
        self._failure = ""

    # ---- what the workflow itself fills in ----------------------------------------------------

    def _headline(self) -> str:
        """Return what this is, without personal data: the reason is free text, and stays sealed."""
        raise NotImplementedError

    # ---- steps --------------------------------------------------------------------------------

    async def _signed(self) -> bool:
        """Wait for the signatures; return whether it is now to be carried out."""
        await self._look()
        while self._is_open() and self._view.signatures < SIGNATURES_NEEDED:
            self._show("approval")
            try:
                await workflow.wait_condition(
                    lambda: self._view.signatures >= SIGNATURES_NEEDED or not self._is_open(),
                    timeout=timedelta(seconds=self._view.seconds_left),
                    timeout_summary=PlainText("expires unless two officers sign"),
                )
            except asyncio.TimeoutError:  # noqa: UP041 - the SDK raises this one
                await self._step(f"expire_{self.noun}", self._request)
                await self._look()
        return self._is_open()

    def _is_open(self) -> bool:
        return bool(self._view.state == PROPOSED)

    async def _guarded(self, stage: str, step: Callable[[], Awaitable[Any]]) -> Any:
        """Run a step, parking while it fails; None when the proposal was given up meanwhile."""
        while True:
            self._show(stage)
            try:
                return await step()
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                self._failure = failure_for_all(error)
                self._show(f"failed:{stage}")
                await workflow.wait_condition(lambda: self._retry_wanted or not self._is_open())
                self._retry_wanted, self._failure = False, ""
            if not self._is_open():
                return None

    async def _look(self) -> None:
        self._view = await self._step(
            f"load_{self.noun}", self._request, result_type=self.view_type
        )

    async def _step(
        self, name: str, argument: object, *, result_type: type | None = None, attempts: int = 0
    ) -> Any:
        """Run an activity; `attempts` 0 tries for ever what time may mend."""
        return await workflow.execute_activity(
            name,
            argument,
            result_type=result_type,
            start_to_close_timeout=timedelta(seconds=20),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(milliseconds=200),
                maximum_interval=timedelta(seconds=5),
                maximum_attempts=attempts,
                non_retryable_error_types=["LookupError", "ValueError"],
            ),
            summary=PlainText(name.replace("_", " ")),
        )

    def _show(self, stage: str) -> None:
        workflow.upsert_search_attributes([STAGE.value_set(stage)])
        workflow.set_current_details(
            f"**{stage}** - {self._headline()}\n\n"
            f"{self._view.signatures} of {SIGNATURES_NEEDED} signatures. {self._failure}"
        )

    # ---- handlers -----------------------------------------------------------------------------

    @workflow.update(description="An officer's signed decision; made by `rialto ... sign`")
    async def sign(self, decision: dict[str, str]) -> int:
        """Check and add a signature; return how many there are."""
        request = SignRequest(self._proposal_id, decision)
        refusal = await self._step(f"sign_{self.noun}", request, result_type=str)
        if refusal:
            raise ApplicationError(refusal, type="PublicRefusal", non_retryable=True)
        await self._look()
        return int(self._view.signatures)

    @workflow.update(description="Try the parked step again")
    def retry(self, request: dict[str, str]) -> str:
        """Try again; its key keeps it from happening twice."""
        self._retry_wanted = True
        return "trying again"

    @retry.validator
    def _validate_retry(self, request: dict[str, str]) -> None:
        if not self._failure:
            raise ApplicationError("nothing is parked", type="PublicRefusal", non_retryable=True)

    @workflow.signal(description="Try again if parked; without effect otherwise")
    def retry_parked(self) -> None:
        """Try again if parked."""
        self._retry_wanted = bool(self._failure)
