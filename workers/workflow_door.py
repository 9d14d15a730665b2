"""How the gateway reaches Temporal: briefly, and never for long when it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from domain.plain_text import PlainText
from infra.settings import Settings
from infra.temporal.client import connect
from infra.temporal.schedules import TASK_TIMEOUT
from infra.wallet.workflow_starter import WALLET_DETAILS
from workflows import task_queues

_START_TIMEOUT_SECONDS = 2.0
_RECONNECT_SECONDS = 5.0

log = structlog.get_logger(__name__)


class WorkflowDoor:
    """A client that is made when it is first needed, and rests a while after a failure."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._away_until = 0.0

    async def tried(self, work: Callable[[Client], Awaitable[None]]) -> bool:
        """Do it; False when Temporal is away, and the orphan sweep has to."""
        if time.monotonic() < self._away_until:
            return False
        try:
            async with asyncio.timeout(_START_TIMEOUT_SECONDS):
                if self._client is None:
                    self._client = await connect(self._settings)
                await work(self._client)
        except (RPCError, RuntimeError, TimeoutError, OSError) as error:
            log.warning("Temporal is away: the orphan sweep does it later", error=str(error))
            self._away_until = time.monotonic() + _RECONNECT_SECONDS
            return False
        return True


async def start_once(
    client: Client, workflow: str, workflow_id: str, request: object, summary: str
) -> None:
    """Start a wallet workflow unless it runs or has ended well."""
    await client.start_workflow(
        workflow,
        request,
        id=workflow_id,
        task_queue=task_queues.WALLET,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        task_timeout=TASK_TIMEOUT,
        static_summary=PlainText(summary),
        static_details=PlainText(WALLET_DETAILS),
    )
