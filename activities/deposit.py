"""The steps of a deposit: wait until it is deep enough, post it, move it to trading."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID, uuid4

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.beat import Beat
from activities.chain_look import ChainLook, ChainPicture
from activities.transfer import Declined, TransferSteps
from activities.wallet_ports import ChainAdapter, DepositRows, Screener, TransferRows
from domain.deposit import (
    Deposit,
    DepositChange,
    DepositMove,
    DepositRequest,
    DepositState,
    split_for_trading,
)
from domain.deposit_booking import STREAM, booking
from domain.ledger import (
    JournalRequest,
    MainShortError,
    Posting,
    main,
    transfer_key,
    transfer_return_key,
    transit,
)
from domain.money import text_from_units
from domain.screening import Screening, ScreeningResult
from domain.transfer import TO_TRADING, NewTransfer

DEFAULT_SHARD = 0  # all deposits go there, by design: their owner moves them on by a transfer
_POLL_SECONDS = 0.25
_WATCH_SECONDS = 300.0
_LOOK_ANYWAY_SECONDS = 5.0  # the tiers of its asset may have been changed
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DepositView:
    """What the workflow must know of its business row."""

    deposit_id: str
    state: str
    asset: str
    amount_text: str
    customer_id: int | None
    required_confirmations: int


@dataclass(frozen=True, slots=True)
class DepositResult:
    """Where the deposit stands after a step; `detail` is one line for the operator."""

    state: str
    detail: str = ""


def _bind(request: DepositRequest) -> None:
    structlog.contextvars.bind_contextvars(
        request_id=request.request_id, deposit_id=request.deposit_id
    )


class DepositActivities:
    """Every step compares and sets the row's state, so a repeat changes nothing."""

    def __init__(
        self,
        rows: DepositRows,
        transfers: TransferRows,
        steps: TransferSteps,
        chain: ChainAdapter,
        look: ChainLook,
        screener: Screener,
    ) -> None:
        self._screener = screener
        self._rows = rows
        self._transfers = transfers
        self._steps = steps
        self._chain = chain
        self._look = look

    async def _require(self, request: DepositRequest) -> Deposit:
        found = await self._rows.load(request.deposit_id)
        if found is None:
            raise ApplicationError(
                f"there is no {request.deposit_id}", type="NoSuchDeposit", non_retryable=True
            )
        return found

    @activity.defn(name="load_deposit")
    async def load(self, request: DepositRequest) -> DepositView:
        """Return the business row, from which a workflow goes on wherever it was broken off."""
        _bind(request)
        row = await self._require(request)
        return DepositView(
            deposit_id=row.deposit_id,
            state=row.state,
            asset=row.asset.code,
            amount_text=text_from_units(row.amount, row.asset.chain_decimals),
            customer_id=row.customer_id,
            required_confirmations=row.required_confirmations,
        )

    @activity.defn(name="announce_deposit")
    async def announce(self, request: DepositRequest) -> DepositResult:
        """Show the deposit to the customer as pending: visible, not usable."""
        _bind(request)
        moved = await self._rows.move(
            request.deposit_id,
            DepositChange(source=DepositState.SEEN, target=DepositState.PENDING, detail={}),
        )
        return DepositResult(moved.state)

    @activity.defn(name="confirm_deposit")
    async def confirm(self, request: DepositRequest) -> DepositResult:
        """Wait for confirmations; post once the chain still shows the block that we saw.

        The watcher voids the row when its block is reorganised away, and moves it when the
        transaction is mined again elsewhere; so the row is read anew before it counts. Until all
        who wait see that its block may be deep enough, or is another, nothing is asked for it.
        """
        _bind(request)
        waited, look_at, beat = 0.0, 0.0, Beat()
        row: Deposit | None = None
        while True:
            picture = await self._look.picture()
            if row is None or waited >= look_at or not _only_waits(row, picture):
                look_at = waited + _LOOK_ANYWAY_SECONDS
                row = await self._require(request)
                if row.state is not DepositState.PENDING:
                    return DepositResult(row.state)
                depth = max(await self._chain.head() - row.block_number + 1, 0)
                if depth >= row.required_confirmations and await self._is_in_chain(row):
                    return await self._post(row, depth)
            if waited >= _WATCH_SECONDS:
                raise ApplicationError("not confirmed yet", type="NotConfirmedYet")
            beat(picture.head)
            await asyncio.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS

    async def _is_in_chain(self, row: Deposit) -> bool:
        """Return whether transaction and block are still the ones that the watcher saw."""
        receipt = await self._chain.receipt(row.tx_hash)
        if receipt is None or not receipt.succeeded or receipt.block_hash != row.block_hash:
            return False
        return await self._chain.block_hash(row.block_number) == row.block_hash

    async def _post(self, row: Deposit, depth: int) -> DepositResult:
        screening = None if row.customer_id is None else await self._screen(row, row.customer_id)
        moved = await self._rows.post(
            row.deposit_id,
            row.block_hash,
            lambda found, dust: booking(found, dust, depth, screening),
        )
        _log.info("deposit booked", state=moved.state)
        return DepositResult(moved.state, f"booked after {depth} confirmations")

    async def _screen(self, row: Deposit, customer_id: int) -> ScreeningResult:
        """Ask about the sender; no answer is an error, and the step is tried again."""
        return await self._screener.screen(
            Screening(
                subject=row.deposit_id,
                customer_id=customer_id,
                asset=row.asset.code,
                amount=row.amount,
                value_cents=None,
                chain=row.chain,
                address=row.sender,
            )
        )

    @activity.defn(name="credit_deposit")
    async def credit(self, request: DepositRequest) -> DepositResult:
        """Move the posted deposit to the trading balance; dust stays in main.

        Its owner may have moved it elsewhere from main meanwhile: then nothing is left to do.
        """
        _bind(request)
        row = await self._require(request)
        if row.state is not DepositState.POSTED or row.customer_id is None:
            return DepositResult(row.state)
        amount, dust = split_for_trading(row.amount + row.collected, row.asset)
        try:
            if amount:
                move = _move(row, row.customer_id, amount)
                row = await self._rows.begin_move(row.deposit_id, move)
                assert row.transfer_id is not None
                await self._carry(row, UUID(row.transfer_id))
        except MainShortError:
            _log.warning("the customer has moved the deposit", amount=str(amount))
            amount, dust = 0, 0
        moved = await self._rows.move(
            row.deposit_id,
            DepositChange(
                source=DepositState.POSTED,
                target=DepositState.CREDITED,
                detail={"to_trading": str(amount), "stays_in_main": str(dust)},
            ),
        )
        return DepositResult(
            moved.state, "in the trading balance" if amount else "nothing to move to trading"
        )

    async def _carry(self, row: Deposit, transfer_id: UUID) -> None:
        """Execute the transfer; when the engine declines, the money goes back to main and waits."""
        answer = await self._steps.execute(transfer_id)
        if not isinstance(answer, Declined):
            await self._steps.wait_posted(transfer_id)
            return
        transfer = await self._transfers.load(transfer_id)
        asset = row.asset.code
        await self._transfers.refuse(
            transfer_id,
            JournalRequest(
                stream=STREAM,
                key=transfer_return_key(transfer_id),
                kind="transfer_return",
                postings=(
                    Posting(
                        transit(transfer.shard, asset),
                        main(transfer.customer_id, asset),
                        asset,
                        transfer.amount,
                    ),
                ),
                detail={"deposit": row.deposit_id, "engine": answer.reason},
            ),
        )
        await self._rows.forget_transfer(row.deposit_id)
        raise ApplicationError(
            f"the engine refused the credit: {answer.reason}; the money is in main",
            type="CreditRefused",
            non_retryable=True,
        )


def _only_waits(row: Deposit, picture: ChainPicture) -> bool:
    """Return whether its block is in the chain as it was, and not deep enough."""
    deep = row.block_number + row.required_confirmations - 1
    return picture.head < deep and picture.shows(row.block_number, row.block_hash)


def _move(row: Deposit, customer_id: int, amount: int) -> DepositMove:
    """Return the transfer main -> transit; a fresh id each time, of which the row keeps one."""
    transfer_id = uuid4()
    asset = row.asset.code
    return DepositMove(
        transfer=NewTransfer(
            transfer_id=transfer_id,
            customer_id=customer_id,
            asset_id=row.asset.asset_id,
            shard=DEFAULT_SHARD,
            direction=TO_TRADING,
            amount=amount,
            cause=row.deposit_id,
        ),
        journal=JournalRequest(
            stream=STREAM,
            key=transfer_key(transfer_id),
            kind="transfer",
            postings=(
                Posting(main(customer_id, asset), transit(DEFAULT_SHARD, asset), asset, amount),
            ),
            detail={"deposit": row.deposit_id},
        ),
    )
