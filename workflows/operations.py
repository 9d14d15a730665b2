"""How workflows of the wallet run a step, and how they tell people what went wrong."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio import exceptions, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType

from domain.plain_text import PUBLIC_ERROR, PlainText

Argument = TypeVar("Argument")
Result = TypeVar("Result")
_LOOKING_BEAT_SECONDS = 10

# Mistakes and refusals that the same attempt would meet again; all else is tried without limit.
_PARKING_ERRORS = (
    "AssertionError",
    "AttributeError",
    "AuditConflictError",
    "KeyError",
    "LedgerRefusedError",
    "LookupError",
    "MainShortError",
    "MalformedTransactionError",
    "TransactionRefusedError",
    "TypeError",
    "ValueError",
)

_ADVICE = {
    "HotWalletShort": "refill it: `rialto wallet show` says what it and the cold wallet have now, "
    "`rialto cold request` asks for it (demo: `rialto faucet hot ASSET AMOUNT`)",
    "ChainBehind": "point the exchange at the right node, or restore the chain",
    "NonceMismatch": "find out who used the hot wallet's key; do not go on before that",
    "SignerRefused": "compare the signer's own files with the withdrawal; an expired approval is "
    "renewed by `rialto approve`, a void's signature by `rialto void`",
    "SignerAway": "start the process wallet-signer",
    "ReceiptGone": "wait until the chain has settled down",
    "PaidAfterAll": "call the developers: the books say that nothing was paid",
    "TransactionReverted": "look at the receipt, remove the cause; `rialto reject ID` gives the "
    "amount back to the customer, who may ask again",
    "StillStuck": "look at the node and at what others pay; a retry watches on; two officers give "
    "it up by `rialto void ID`",
    "RefillStuck": "`rialto cold dearer payment-ID --out FILE` asks the cold wallet for a dearer "
    "one, and `rialto cold submit` goes on with it; or wait for a quieter chain and retry",
    "FeeSpike": "wait for a quieter chain, or raise RIALTO_WITHDRAWAL_MAX_FEE_GWEI",
    "FeeTooHigh": "wait for a quieter chain; or find out why it takes so much gas",
    "ReviewNeeded": "look into it; `rialto approve ID` lets it pass",
    "PolicyRefused": "end the freeze or mend the list, then retry; or `rialto reject ID`",
    "PaymentsPaused": "two officers let payments go on by `rialto wallet resume`",
    "PaymentsStopped": "end the reason that it names",
    "BooksDiffer": "find the difference with `rialto verify`, mend its cause, wait for a clean "
    "reconciliation",
    "LedgerRefusedError": "run `rialto verify`; the ledger refused a posting",
}
_RETRY = "retry with the update `retry` or `rialto ops retry ID`; before signing it can be rejected"


@dataclass(frozen=True, slots=True)
class Step:
    """How one activity is run; `summary` is what the timeline shows."""

    summary: str
    task_queue: str | None = None
    run_seconds: int = 30
    heartbeat_seconds: int | None = None
    queue_seconds: int | None = None  # how long a worker may be missing before the step parks
    attempts: int = 0  # 0 = no limit


async def run_step(
    activity: Callable[[Any, Argument], Awaitable[Result]], argument: Argument, step: Step
) -> Result:
    """Run an activity method; errors that time may mend are retried, others raise at once."""
    result: Result = await workflow.execute_activity_method(
        activity,
        argument,
        task_queue=step.task_queue,
        start_to_close_timeout=dt.timedelta(seconds=step.run_seconds),
        heartbeat_timeout=(
            None if step.heartbeat_seconds is None else dt.timedelta(seconds=step.heartbeat_seconds)
        ),
        schedule_to_start_timeout=(
            None if step.queue_seconds is None else dt.timedelta(seconds=step.queue_seconds)
        ),
        retry_policy=RetryPolicy(
            initial_interval=dt.timedelta(milliseconds=200),
            maximum_interval=dt.timedelta(seconds=5),
            maximum_attempts=step.attempts,
            non_retryable_error_types=_PARKING_ERRORS,
        ),
        summary=PlainText(step.summary),
    )
    return result


async def look_for_ever(
    activity: Callable[[Any, Argument], Awaitable[Result]],
    argument: Argument,
    step: Step,
    show: Callable[[Result], None],
    pause_seconds: float,
) -> None:
    """Run a looking activity again and again until the history is long; `show` what it found.

    One that fails is looked at after a pause, and run again: nothing ends the looking.
    """
    while not workflow.info().is_continue_as_new_suggested():
        try:
            result: Result = await workflow.execute_activity_method(
                activity,
                argument,
                start_to_close_timeout=dt.timedelta(seconds=step.run_seconds),
                heartbeat_timeout=dt.timedelta(seconds=_LOOKING_BEAT_SECONDS),
                retry_policy=RetryPolicy(
                    initial_interval=dt.timedelta(seconds=1),
                    maximum_interval=dt.timedelta(seconds=15),
                ),
                summary=PlainText(step.summary),
            )
        except ActivityError as error:
            if exceptions.is_cancelled_exception(error):
                raise
            workflow.logger.error("failed: %s: %s", step.summary, error.cause)
            await asyncio.sleep(pause_seconds)
            continue
        show(result)


async def run_within_task(
    activity: Callable[[Any, Argument], Awaitable[Result]],
    argument: Argument,
    summary: str,
    seconds: float,
) -> Result | None:
    """Try an activity method once, inside the workflow task that is under way; None: it failed.

    It asks nothing of the server, so it is the quick way of a step that seldom fails and is over
    in a moment; `run_step` is the other.
    """
    try:
        result: Result = await workflow.execute_local_activity_method(
            activity,
            argument,
            start_to_close_timeout=dt.timedelta(seconds=seconds),
            retry_policy=RetryPolicy(maximum_attempts=1),
            summary=PlainText(summary),
        )
    except exceptions.FailureError as error:  # what it raised, not wrapped in an ActivityError
        if exceptions.is_cancelled_exception(error):
            raise
        return None
    return result


def first_cause(error: ActivityError) -> BaseException:
    """Return what the activity itself raised."""
    return error.cause or error


def describe_failure(error: ActivityError) -> tuple[str, str]:
    """Return (type, message) of a failed step, for staff who are signed in."""
    cause = first_cause(error)
    if isinstance(cause, exceptions.TimeoutError):
        if cause.type is TimeoutType.SCHEDULE_TO_START:
            return "SignerAway", "no signer took the task"
        return "Timeout", str(cause)
    if isinstance(cause, ApplicationError):
        return (cause.type or "Error").removeprefix(PUBLIC_ERROR), cause.message
    return type(cause).__name__, str(cause)


def public_message(error: ActivityError) -> str:
    """Return what everybody may read of a failure: the message of a `Public...` error, or "".

    Other messages are in the failed step, and in what the workflow wrote down, both sealed.
    """
    cause = first_cause(error)
    if isinstance(cause, ApplicationError) and (cause.type or "").startswith(PUBLIC_ERROR):
        return cause.message
    kind, message = describe_failure(error)
    return message if kind == "SignerAway" else ""


def what_to_do(kind: str) -> str:
    """Return the operator's next move."""
    advice = _ADVICE.get(kind)
    if kind == "TransactionReverted":  # its nonce is used up: trying again pays nothing
        return f"What to do: {advice}."
    return f"What to do: {advice}; then {_RETRY}." if advice else f"What to do: {_RETRY}."
