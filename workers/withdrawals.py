"""How the gateway checks a withdrawal by the wallet's rules and starts its workflow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn
from uuid import UUID

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from api.errors import Problem
from domain.market import AssetListing
from domain.money import INT64_MAX
from domain.withdrawal import (
    CANCEL_REQUESTED,
    WITHDRAWAL_SUMMARY,
    WITHDRAWAL_WORKFLOW,
    WithdrawalOrder,
    WithdrawalRefusal,
    WithdrawalRequest,
    WithdrawalTerms,
    check_request,
    withdrawal_workflow_id,
)
from infra.settings import Settings
from infra.temporal.client import connect
from infra.temporal.schedules import TASK_TIMEOUT
from infra.wallet.keccak import keccak256
from infra.wallet.workflow_starter import WALLET_DETAILS
from workflows import task_queues

_START_TIMEOUT_SECONDS = 2.0
_RECONNECT_SECONDS = 5.0

log = structlog.get_logger(__name__)


class WithdrawalRules:
    """`domain.withdrawal.check_request` in the API's words."""

    def check(self, listing: AssetListing, amount: str, address: str) -> tuple[int, int, str]:
        """Return (amount, fee, address) in chain units, or raise the `Problem`."""
        terms = WithdrawalTerms(
            asset=listing.asset, minimum=listing.withdrawal_minimum, fee=listing.withdrawal_fee
        )
        checked = check_request(
            amount_text=amount, address=address, terms=terms, keccak256=keccak256
        )
        if isinstance(checked, WithdrawalOrder):
            return checked.amount, checked.fee, checked.address
        return _refuse(checked, listing)


def _refuse(refusal: WithdrawalRefusal, listing: AssetListing) -> NoReturn:
    asset = listing.asset
    if refusal is WithdrawalRefusal.INVALID_AMOUNT:
        detail = f"A positive decimal number with at most {asset.engine_decimals} decimals."
        raise Problem("invalid_amount", detail)
    if refusal is WithdrawalRefusal.OVERFLOW:
        largest = asset.engine_text(INT64_MAX)
        raise Problem("overflow", f"No amount of {asset.code} exceeds {largest}.")
    if refusal is WithdrawalRefusal.BELOW_MINIMUM:
        minimum = asset.chain_text(listing.withdrawal_minimum)
        raise Problem("amount_below_minimum", f"The minimum is {minimum} {asset.code}.")
    if refusal is WithdrawalRefusal.FEE_EXCEEDS_AMOUNT:
        fee = asset.chain_text(listing.withdrawal_fee)
        raise Problem("amount_below_minimum", f"The fee is {fee} {asset.code}.")
    raise Problem("invalid_address", "Give the address with its mixed-case checksum (EIP-55).")


class WithdrawalStarter:
    """Starts and signals `withdrawal-{id}`; while Temporal is away the orphan sweep does it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._away_until = 0.0

    async def start(self, withdrawal_id: UUID, request_id: str) -> bool:
        """Start the workflow; False when Temporal is away."""

        async def work(client: Client) -> None:
            await client.start_workflow(
                WITHDRAWAL_WORKFLOW,
                WithdrawalRequest(str(withdrawal_id), request_id),
                id=withdrawal_workflow_id(str(withdrawal_id)),
                task_queue=task_queues.WALLET,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                task_timeout=TASK_TIMEOUT,
                static_summary=WITHDRAWAL_SUMMARY,
                static_details=WALLET_DETAILS,
            )

        return await self._tried(work)

    async def tell_cancelled(self, withdrawal_id: UUID) -> bool:
        """Make the workflow look at its row; False when the sweep has to do that."""

        async def work(client: Client) -> None:
            handle = client.get_workflow_handle(withdrawal_workflow_id(str(withdrawal_id)))
            try:
                await handle.signal(CANCEL_REQUESTED)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:  # it has ended, or will start
                    raise

        return await self._tried(work)

    async def _tried(self, work: Callable[[Client], Awaitable[None]]) -> bool:
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
