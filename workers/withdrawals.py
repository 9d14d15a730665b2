"""How the gateway checks a withdrawal, and starts the workflows of the wallet."""

from __future__ import annotations

from typing import NoReturn
from uuid import UUID

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.errors import Problem
from domain.market import AssetListing
from domain.money import INT64_MAX
from domain.shard_transfer import (
    SHARD_TRANSFER_SUMMARY,
    SHARD_TRANSFER_WORKFLOW,
    ShardTransferRequest,
    shard_transfer_workflow_id,
)
from domain.withdrawal import (
    CANCEL_REQUESTED,
    WITHDRAWAL_SUMMARY,
    WITHDRAWAL_WORKFLOW,
    WithdrawalOrder,
    WithdrawalRefusal,
    WithdrawalRequest,
    WithdrawalTerms,
    check_request,
    is_payable,
    withdrawal_workflow_id,
)
from infra.wallet.keccak import keccak256
from workers.workflow_door import WorkflowDoor, start_once


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

    def is_address(self, address: str) -> bool:
        """Return whether it may be listed at all."""
        return is_payable(address, keccak256)


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


class WithdrawalStarter(WorkflowDoor):
    """Starts and signals `withdrawal-{id}`; while Temporal is away the orphan sweep does it."""

    async def start(self, withdrawal_id: UUID, request_id: str) -> bool:
        """Start the workflow; False when Temporal is away."""

        async def work(client: Client) -> None:
            await start_once(
                client,
                WITHDRAWAL_WORKFLOW,
                withdrawal_workflow_id(str(withdrawal_id)),
                WithdrawalRequest(str(withdrawal_id), request_id),
                WITHDRAWAL_SUMMARY,
            )

        return await self.tried(work)

    async def tell_cancelled(self, withdrawal_id: UUID) -> bool:
        """Make the workflow look at its row; False when the sweep has to do that."""

        async def work(client: Client) -> None:
            handle = client.get_workflow_handle(withdrawal_workflow_id(str(withdrawal_id)))
            try:
                await handle.signal(CANCEL_REQUESTED)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:  # it has ended, or will start
                    raise

        return await self.tried(work)


class TransferStarter(WorkflowDoor):
    """Starts `transfer-{id}`; while Temporal is away the orphan sweep does it."""

    async def start(self, shard_transfer_id: UUID, request_id: str) -> bool:
        """Start the workflow; False when Temporal is away."""

        async def work(client: Client) -> None:
            await start_once(
                client,
                SHARD_TRANSFER_WORKFLOW,
                shard_transfer_workflow_id(shard_transfer_id),
                ShardTransferRequest(str(shard_transfer_id), request_id),
                SHARD_TRANSFER_SUMMARY,
            )

        return await self.tried(work)
