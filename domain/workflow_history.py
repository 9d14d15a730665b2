"""The history of a closed workflow: what is exported of it, and what can be read in it.

Temporal forgets closed workflows after its retention. Their histories are kept for years, sealed,
and the audit log holds the hash of each, so that a changed one is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.deposit import DEPOSIT_WORKFLOW
from domain.liquidation_story import LIQUIDATION_WORKFLOW
from domain.withdrawal import WITHDRAWAL_WORKFLOW

EXPORTED_WORKFLOWS = (WITHDRAWAL_WORKFLOW, DEPOSIT_WORKFLOW, LIQUIDATION_WORKFLOW)
HISTORY_EXPORTED = "history_exported"  # audit action, about the workflow's id
HISTORY_EXPIRED = "history_expired"  # audit action: its time to be kept is over

_COMPLETED = "EVENT_TYPE_ACTIVITY_TASK_COMPLETED"


@dataclass(frozen=True, slots=True)
class ClosedRun:
    """One closed run of a workflow; `status` in Temporal's words, `closed_at` in UTC."""

    workflow_id: str
    run_id: str
    workflow_type: str
    status: str
    closed_at: datetime


@dataclass(frozen=True)
class ExportRequest:
    """Export what closed since `look_back_seconds` before the newest export, `limit` at most."""

    keep_days: int
    look_back_seconds: int = 6 * 3600
    limit: int = 2_000


@dataclass(frozen=True)
class ExportResult:
    """How many histories were exported, which were gone already, how many were kept long enough."""

    exported: int = 0
    gone: list[str] = field(default_factory=list)
    expired: int = 0


def history_hash(history: str) -> str:
    """Return the SHA-256 of a history's text, in hexadecimal."""
    return hashlib.sha256(history.encode()).hexdigest()


def completed_steps(history: str) -> Counter[str]:
    """Return how often each activity has completed in a history (JSON, as Temporal exports it)."""
    asked: dict[str, str] = {}
    completed: Counter[str] = Counter()
    for event in _events(history):
        if scheduled := event.get("activityTaskScheduledEventAttributes"):
            asked[str(event["eventId"])] = str(scheduled["activityType"]["name"])
        elif event["eventType"] == _COMPLETED:
            found = event["activityTaskCompletedEventAttributes"]
            completed[asked[str(found["scheduledEventId"])]] += 1
    return completed


def count_events(history: str) -> int:
    """Return how many events a history has."""
    return len(_events(history))


def _events(history: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(history)["events"]
    return events
