"""The money of a withdrawal: hold it, give it back, book it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import NAMESPACE_URL, UUID, uuid5

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.transfer import Declined, TransferSteps
from activities.wallet_ports import TransferRows, WithdrawalRows
from activities.withdrawal_review import StepResult, bind, require
from domain.ledger import (
    JournalRequest,
    Posting,
    main,
    network_fees,
    transfer_key,
    transfer_return_key,
    transit,
    wallet_fees,
    wallet_hot,
    withdrawal_pending,
)
from domain.transfer import TO_TRADING, NewTransfer
from domain.withdrawal import (
    NEXT_STATES,
    StateChange,
    Withdrawal,
    WithdrawalRequest,
    WithdrawalState,
)

STREAM = "wallet"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReleaseOrder:
    """Give a withdrawal's hold back; `target` is rejecting or cancelling."""

    withdrawal_id: str
    request_id: str
    target: str
    actor: str
    reason: str


class WithdrawalMoney:
    """Activities that post to the ledger or move money in the engine."""

    def __init__(self, rows: WithdrawalRows, transfers: TransferRows, steps: TransferSteps) -> None:
        self._rows = rows
        self._transfers = transfers
        self._steps = steps

    @activity.defn(name="hold_withdrawal")
    async def hold(self, request: WithdrawalRequest) -> StepResult:
        """Ask the engine to debit the customer; refused when the amount is not free."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state is not WithdrawalState.REQUESTED:
            return StepResult(row.state)
        transfer_id = UUID(row.transfer_id)
        answer = await self._steps.execute(transfer_id)
        if not isinstance(answer, Declined):
            return StepResult(row.state, "the engine has debited it")
        await self._transfers.refuse(transfer_id)
        moved = await self._rows.move(
            request.withdrawal_id,
            StateChange(
                source=WithdrawalState.REQUESTED,
                target=WithdrawalState.REJECTED,
                detail={"engine": answer.reason},
                actor="engine",
                columns={"reason": answer.reason},
            ),
        )
        _log.info("withdrawal refused by the engine", reason=answer.reason)
        return StepResult(moved.state, f"the engine refused the debit: {answer.reason}")

    @activity.defn(name="take_withdrawal")
    async def take(self, request: WithdrawalRequest) -> StepResult:
        """Take the debited amount out of transit, once settlement has posted it there."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state is not WithdrawalState.REQUESTED:
            return StepResult(row.state)
        transfer_id = UUID(row.transfer_id)
        await self._steps.wait_posted(transfer_id)
        transfer = await self._transfers.load(transfer_id)
        asset = row.asset.code
        posting = Posting(
            transit(transfer.shard, asset), withdrawal_pending(asset), asset, row.amount
        )
        moved = await self._rows.move(
            request.withdrawal_id,
            StateChange(
                source=WithdrawalState.REQUESTED,
                target=WithdrawalState.HELD,
                detail={"amount": str(row.amount), "asset": asset},
                journal=JournalRequest(
                    stream=STREAM,
                    key=transfer_key(transfer_id),
                    kind="withdrawal_hold",
                    postings=(posting,),
                    detail={"withdrawal": row.subject},
                ),
            ),
        )
        return StepResult(moved.state, "the amount is held")

    @activity.defn(name="begin_release")
    async def begin_release(self, order: ReleaseOrder) -> StepResult:
        """Decide that the hold is given back: no later step can sign from here on."""
        request = WithdrawalRequest(order.withdrawal_id, order.request_id)
        bind(request)
        row = await require(self._rows, order.withdrawal_id)
        if WithdrawalState(order.target) not in NEXT_STATES[row.state]:
            return StepResult(row.state, "too late")
        if order.target == WithdrawalState.CANCELLING and not row.cancel_requested:
            raise ApplicationError(
                "the customer has not cancelled", type="NotCancelled", non_retryable=True
            )
        moved = await self._rows.move(
            order.withdrawal_id,
            StateChange(
                source=row.state,
                target=WithdrawalState(order.target),
                detail={"reason": order.reason},
                actor=order.actor,
                columns={"reason": order.reason},
            ),
        )
        return StepResult(moved.state, order.reason)

    @activity.defn(name="release_withdrawal")
    async def release(self, request: WithdrawalRequest) -> StepResult:
        """Move the held amount back: pending -> transit -> the engine's credit."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state not in (WithdrawalState.REJECTING, WithdrawalState.CANCELLING):
            return StepResult(row.state)
        transfer_id = await self._release_transfer(row)
        answer = await self._steps.execute(transfer_id)
        if isinstance(answer, Declined):
            transfer = await self._transfers.load(transfer_id)
            asset = row.asset.code
            back = Posting(
                transit(transfer.shard, asset), main(row.customer_id, asset), asset, row.amount
            )
            await self._transfers.refuse(
                transfer_id,
                JournalRequest(
                    stream=STREAM,
                    key=transfer_return_key(transfer_id),
                    kind="transfer_return",
                    postings=(back,),
                    detail={"withdrawal": row.subject, "engine": answer.reason},
                ),
            )
        else:
            await self._steps.wait_posted(transfer_id)
        return await self._released(row, transfer_id, answer)

    async def _release_transfer(self, row: Withdrawal) -> UUID:
        """Return the id of the transfer back, which is made once: it follows from the row's id."""
        transfer_id = uuid5(NAMESPACE_URL, f"{row.subject}/release")
        inward = await self._transfers.load(UUID(row.transfer_id))
        asset = row.asset.code
        await self._rows.attach_release(
            row.withdrawal_id,
            NewTransfer(
                transfer_id=transfer_id,
                customer_id=row.customer_id,
                asset_id=row.asset.asset_id,
                shard=inward.shard,
                direction=TO_TRADING,
                amount=row.amount,
                cause=row.subject,
            ),
            JournalRequest(
                stream=STREAM,
                key=transfer_key(transfer_id),
                kind="withdrawal_release",
                postings=(
                    Posting(
                        withdrawal_pending(asset), transit(inward.shard, asset), asset, row.amount
                    ),
                ),
                detail={"withdrawal": row.subject},
            ),
        )
        return transfer_id

    async def _released(self, row: Withdrawal, transfer_id: UUID, answer: object) -> StepResult:
        rejecting = row.state is WithdrawalState.REJECTING
        to = "main" if isinstance(answer, Declined) else "trading"
        moved = await self._rows.move(
            row.withdrawal_id,
            StateChange(
                source=row.state,
                target=WithdrawalState.REJECTED if rejecting else WithdrawalState.CANCELLED,
                detail={"released_to": to, "transfer": str(transfer_id), "reason": row.reason},
            ),
        )
        return StepResult(moved.state, f"the amount is back in {to}")

    @activity.defn(name="settle_withdrawal")
    async def settle(self, request: WithdrawalRequest) -> StepResult:
        """Book a confirmed withdrawal: the coins that left, our fee, and the network's."""
        bind(request)
        row = await require(self._rows, request.withdrawal_id)
        if row.state is not WithdrawalState.CONFIRMED:
            return StepResult(row.state)
        if row.network_fee is None:
            raise ApplicationError(
                "a confirmed withdrawal without network fee", type="Incomplete", non_retryable=True
            )
        moved = await self._rows.move(
            request.withdrawal_id,
            StateChange(
                source=WithdrawalState.CONFIRMED,
                target=WithdrawalState.SETTLED,
                detail={"fee": str(row.fee), "network_fee": str(row.network_fee)},
                journal=JournalRequest(
                    stream=STREAM,
                    key=f"{row.subject}-settle",
                    kind="withdrawal_settle",
                    postings=_settlement(row, row.network_fee),
                    detail={"withdrawal": row.subject, "tx_hash": row.tx_hash},
                ),
            ),
        )
        return StepResult(moved.state, "booked")


def _settlement(row: Withdrawal, network_fee: int) -> tuple[Posting, ...]:
    """Return the postings of a mined withdrawal; wallet accounts hold minus the coins."""
    asset, coin = row.asset.code, row.chain
    pending = withdrawal_pending(asset)
    postings = [Posting(pending, wallet_hot(row.chain, asset), asset, row.net_amount)]
    if row.fee:
        postings.append(Posting(pending, wallet_fees(asset), asset, row.fee))
    if network_fee:
        postings.append(Posting(network_fees(coin), wallet_hot(row.chain, coin), coin, network_fee))
    return tuple(postings)
