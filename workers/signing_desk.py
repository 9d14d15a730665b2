"""An officer at his desk: signs a proposal with his key and hands the signature to its workflow."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict

from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from domain.approval import Decision
from domain.two_signatures import Proposal
from infra.settings import Settings
from infra.temporal.client import connect
from infra.wallet import officers
from workers.officer_desk import DeskError, why

_PATIENCE_SECONDS, _AGAIN_SECONDS = 10.0, 0.5


def signed_decision(settings: Settings, officer: str, proposal: Proposal) -> Decision:
    """Return the officer's signature of what is proposed; `DeskError` when there is no key."""
    path = officers.private_key_path(settings.data_dir, officer)
    if not officer.isidentifier() or not path.exists():
        raise DeskError(f"there is no key of an officer {officer!r} on this machine")
    text = proposal.statement()
    signature = officers.load_private_key(path).sign(text.encode()).hex()
    return Decision(officer, proposal.action, text, signature)


async def hand_over(settings: Settings, workflow_id: str, decision: Decision) -> int:
    """Send the signature and return how many there are; `DeskError` says why it does not count."""
    handle = (await connect(settings)).get_workflow_handle(workflow_id)
    patience = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return int(await handle.execute_update("sign", asdict(decision)))
        except WorkflowUpdateFailedError as error:
            raise DeskError(why(error)) from error
        except RPCError as error:
            # A worker that remembers more than a restored server fails one task, then starts over.
            passing = error.status is RPCStatusCode.FAILED_PRECONDITION
            if not passing or time.monotonic() > patience:
                raise DeskError(why(error)) from error
        await asyncio.sleep(_AGAIN_SECONDS)
