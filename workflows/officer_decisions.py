"""Signed decisions as they come to a workflow: read, checked, and stored before they count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain.approval import (
        Decision,
        DecisionSubject,
        Officer,
        decision_refusal,
        parse_decision,
    )
    from workflows.ed25519 import verify_ed25519
    from workflows.operations import Step, first_cause, run_step
    from workflows.parking import refusal

Record = TypeVar("Record")


def signed_decision(form: object) -> Decision:
    """Return the signed decision that was sent, or refuse what is none."""
    decision = parse_decision(form)
    if decision is None:
        raise refusal(
            "not a signed decision: officer, action, statement and signature_hex, each a text, as "
            "`rialto approve ID` or `rialto reject ID` make them"
        )
    return decision


class OfficerDecisions:
    """The decisions about one workflow; while one is being stored, its officer makes no other."""

    def __init__(self) -> None:
        self._under_way: set[str] = set()

    def require_good(
        self,
        decision: Decision,
        action: str,
        subject: DecisionSubject,
        officers: Iterable[Officer],
        counted: Iterable[str],
    ) -> None:
        """Refuse a decision that does not count; those of the officers `counted` do already."""
        refused = decision_refusal(
            decision,
            action=action,
            subject=subject,
            officers={officer.name: officer for officer in officers},
            decided=[*counted, *self._under_way],
            now=workflow.now(),
            verify=verify_ed25519,
        )
        if refused is not None:
            raise refusal(refused)

    async def record(
        self,
        decision: Decision,
        activity: Callable[[Any, Record], Awaitable[object]],
        record: Record,
    ) -> None:
        """Store a decision by an activity, or say that it is not stored."""
        self._under_way.add(decision.officer)
        try:
            await run_step(activity, record, Step("store the signed decision"))
        except ActivityError as error:
            raise ApplicationError(f"not stored: {first_cause(error)}") from error
        finally:
            self._under_way.discard(decision.officer)
