"""What deposits and withdrawals share: a step that cannot go on parks until somebody decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from workflows import search_attributes as attributes
    from workflows.operations import describe_failure, public_message, what_to_do


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """Who asks for a retry of a parked step, and why; both only for the record."""

    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RetryResult:
    """What the workflow does next."""

    stage: str


class ParkingWorkflow:
    """Base of the wallet's workflows; `failed:<stage>` is searchable, the details say the rest.

    A retry only runs the step again, so it needs no signature.
    """

    def __init__(self) -> None:
        self._stage = "load"
        self._parked = False
        self._retry: RetryRequest | None = None
        self._lines: list[str] = []

    # ---- what the workflow itself fills in ----------------------------------------------------

    def _headline(self) -> str:
        """Return what this is, without personal data."""
        raise NotImplementedError

    async def _note(self, action: str, text: str) -> None:
        """Write an event into the row and the audit log."""
        raise NotImplementedError

    def _is_decided(self, stage: str) -> bool:
        """Return whether the stage only carries out what was decided: then nothing but a retry."""
        return stage == "release"

    def _released_while_parked(self) -> bool:
        """Return whether a decision other than a retry ends the parking."""
        return False

    # ---- steps --------------------------------------------------------------------------------

    async def _guarded(self, stage: str, step: Callable[[], Awaitable[None]]) -> None:
        """Run a step; park when it cannot go on."""
        try:
            await step()
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            await self._park(stage, error)

    async def _park(self, stage: str, error: ActivityError) -> None:
        """Show what happened and what to do; wait for a retry, or a release where allowed."""
        decidable = not self._is_decided(stage)
        if decidable and self._released_while_parked():
            return
        kind, message = describe_failure(error)
        self._parked, self._retry = True, None
        self._enter(f"failed:{stage}")
        shown = public_message(error)
        self._describe(f"**Parked at `{stage}`: {kind}.** {shown}".rstrip(), what_to_do(kind))
        await self._note("parked", f"{kind}: {message}")
        await workflow.wait_condition(
            lambda: self._retry is not None or (decidable and self._released_while_parked())
        )
        why = "released" if self._retry is None else f"retry by {self._retry.by or 'an operator'}"
        if self._retry is not None and self._retry.reason:
            why += f": {self._retry.reason}"
        self._parked, self._retry = False, None
        self._enter(stage)
        await self._note("resumed", why)

    # ---- handlers -----------------------------------------------------------------------------

    @workflow.update(description="Try the parked step again")
    async def retry(self, request: RetryRequest) -> RetryResult:
        """Release a parked step and return the stage that it is in then."""
        self._retry = request
        await workflow.wait_condition(lambda: not self._parked)
        return RetryResult(self._stage)

    @retry.validator
    def _validate_retry(self, request: RetryRequest) -> None:
        if not self._parked:
            raise refusal("nothing is parked")

    @workflow.signal(description="Try the parked step again (for batches; no effect otherwise)")
    def retry_parked(self) -> None:
        """Release a parked step."""
        if self._parked:
            self._retry = RetryRequest(by="batch")

    # ---- what operators see -------------------------------------------------------------------

    def _enter(self, stage: str) -> None:
        """Show the stage in search and details."""
        if stage != self._stage:
            self._stage = stage
            workflow.upsert_search_attributes([attributes.STAGE.value_set(stage)])
        self._describe()

    def _describe(self, *lines: str) -> None:
        done = "".join(f"\n- {line}" for line in self._lines)
        now = "\n\n".join(("", *lines)) if lines else ""
        workflow.set_current_details(f"{self._headline()}. Stage `{self._stage}`.{now}\n{done}")


def refusal(message: str) -> ApplicationError:
    """Return the error with which a validator refuses; the caller sees its text."""
    return ApplicationError(message, type="PublicRefusal", non_retryable=True)
