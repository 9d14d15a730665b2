"""What comes in and goes out of a withdrawal's workflow."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.withdrawal import WithdrawalState


@dataclass(frozen=True, slots=True)
class WithdrawalResult:
    """How it ended."""

    state: str


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """What an accepted decision led to."""

    state: str
    approvals: int
    approvals_needed: int


@dataclass(frozen=True, slots=True)
class Release:
    """A decision to give the hold back, and where it came from."""

    target: WithdrawalState
    actor: str
    reason: str
