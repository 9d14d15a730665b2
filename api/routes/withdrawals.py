"""Withdrawals: the rows are written first, then the workflow starts and does the rest."""

from __future__ import annotations

import re
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query, Request, Response

from api.auth import Caller
from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.errors import Problem
from api.routes.withdrawal_addresses import refuse_barred
from api.schemas.accounts import WithdrawalIn, WithdrawalOut, WithdrawalPage
from api.schemas.common import decode_row_cursor, encode_row_cursor, identity_from
from api.services import Services
from api.trading_balances import balance_of, unfunded
from domain.customer import Scope
from domain.hash_chain import JsonValue
from domain.market import AssetListing
from domain.payment_pause import PAUSE_NOTICE
from domain.trading_balance import TradingBalance
from domain.wallet_record import Barred, NewWithdrawal, Unfunded, WithdrawalRecord

router = APIRouter(prefix="/v1", tags=["withdrawals"], route_class=EdgeRoute)

DEFAULT_SHARD = 0
_log = structlog.get_logger(__name__)
_IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9._:-]{1,64}")


@router.post("/withdrawals", status_code=202, response_model=WithdrawalOut)
@access(Scope.WITHDRAW, weight=10, step_up=True)
async def request_withdrawal(
    withdrawal: WithdrawalIn,
    caller: CallerDep,
    services: ServicesDep,
    request: Request,
    response: Response,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> WithdrawalOut:
    """Request a withdrawal. The header `Idempotency-Key` makes repeating it safe.

    The same key with the same content answers the first request again (200), with another content
    409. A session needs a fresh second factor; a key with the scope `withdraw` is one by itself.
    The address must be on your list and have cooled off, the value within your limits (`GET
    /v1/withdrawal-limits`), the amount free. Accepted means written down; the answer's `state` and
    `GET` tell how far it is.
    """
    try:
        record, created = await _request(withdrawal, caller, services, request, idempotency_key)
    except Problem as refused:
        await _note_refusal(withdrawal, caller, services, request.state.request_id, refused)
        raise
    if not created:
        response.status_code = 200
    else:
        await services.withdrawal_starter.start(record.withdrawal_id, request.state.request_id)
    return withdrawal_out(record, services)


async def _request(
    withdrawal: WithdrawalIn,
    caller: Caller,
    services: Services,
    request: Request,
    idempotency_key: str | None,
) -> tuple[WithdrawalRecord, bool]:
    """Check the request and write it down; return the record, and whether it is new."""
    if idempotency_key is None or _IDEMPOTENCY_KEY.fullmatch(idempotency_key) is None:
        raise Problem("missing_idempotency_key", "Send 1-64 letters, digits, `.`, `_`, `:`, `-`.")
    if not request.state.limits_shared:
        raise Problem("withdrawals_paused", "The shared limits cannot be checked right now.")
    listing = services.asset(withdrawal.asset)
    amount, fee, address = services.withdrawal_rules.check(
        listing, withdrawal.amount, withdrawal.address
    )
    balance = await balance_of(services, DEFAULT_SHARD, caller.customer_id, listing.asset)
    free = balance.withdrawable_units * listing.asset.chain_units_per_engine_unit
    written = await services.wallet.create_withdrawal(
        NewWithdrawal(
            customer_id=caller.customer_id,
            idempotency_key=idempotency_key,
            asset_id=listing.asset.asset_id,
            shard=DEFAULT_SHARD,
            amount=amount,
            fee=fee,
            address=address,
            request_id=request.state.request_id,
            free=free,
        )
    )
    if written is None:
        raise Problem("idempotency_conflict")
    if isinstance(written, Barred):
        refuse_barred(written)
    if isinstance(written, Unfunded):
        raise _unfunded(written, listing, balance)
    return written


async def _note_refusal(
    asked: WithdrawalIn, caller: Caller, services: Services, request_id: str, refused: Problem
) -> None:
    """Write the refusal into the audit log; where that is away, the caller still learns why."""
    detail: dict[str, JsonValue] = {
        "code": refused.code,
        "asset": asked.asset,
        "amount": asked.amount,
        "address": asked.address,
        "request_id": request_id,
    }
    try:
        await services.wallet.note_refusal(caller.customer_id, detail)
    except ConnectionError as error:
        _log.warning("withdrawal_refusal_not_recorded", request=request_id, error=str(error)[:200])


def _unfunded(found: Unfunded, listing: AssetListing, balance: TradingBalance) -> Problem:
    """Return why the engine would refuse the debit: it decides, this spares it."""
    asset = listing.asset
    detail = f"{asset.engine_text(balance.withdrawable_units)} {asset.code} are withdrawable."
    if balance.is_gated or not found.awaiting:
        return unfunded(balance, asset, DEFAULT_SHARD, detail)
    detail += f" Earlier withdrawals may still take {asset.chain_text(found.awaiting)} of them."
    return Problem("insufficient_funds", detail, extra={"retryable": True})


@router.get("/withdrawals", response_model=WithdrawalPage)
@access(Scope.READ, weight=2)
async def list_withdrawals(
    caller: CallerDep,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> WithdrawalPage:
    """List your withdrawals, newest first."""
    before = decode_row_cursor("withdrawals", cursor)
    records = await services.wallet.withdrawals(caller.customer_id, before, limit)
    following = None
    if len(records) == limit:
        following = encode_row_cursor("withdrawals", records[-1].place)
    return WithdrawalPage(
        withdrawals=[withdrawal_out(record, services) for record in records], next=following
    )


@router.get("/withdrawals/{withdrawal_id}", response_model=WithdrawalOut)
@access(Scope.READ)
async def get_withdrawal(
    withdrawal_id: str, caller: CallerDep, services: ServicesDep
) -> WithdrawalOut:
    """Return one of your withdrawals."""
    record = await services.wallet.withdrawal(caller.customer_id, identity_from(withdrawal_id))
    if record is None:
        raise Problem("not_found")
    return withdrawal_out(record, services)


@router.delete("/withdrawals/{withdrawal_id}", status_code=202, response_model=WithdrawalOut)
@access(Scope.WITHDRAW, weight=2)
async def cancel_withdrawal(
    withdrawal_id: str, caller: CallerDep, services: ServicesDep, request: Request
) -> WithdrawalOut:
    """Cancel one of your withdrawals, as long as it has not come to signing.

    202 means recorded: it will not be paid, and its amount comes back to your trading balance;
    `state` and `GET` tell how far that is. Repeating it changes nothing.
    """
    identity = identity_from(withdrawal_id)
    record = await services.wallet.request_cancel(
        caller.customer_id, identity, request.state.request_id
    )
    if record is None:
        raise Problem("not_found")
    if not record.cancel_requested:
        raise Problem("too_late_to_cancel", f"The withdrawal is {record.state}.")
    await services.withdrawal_starter.tell_cancelled(identity)
    return withdrawal_out(record, services)


def withdrawal_out(record: WithdrawalRecord, services: Services) -> WithdrawalOut:
    """Return a withdrawal as its owner reads it."""
    listing = services.listings.asset_by_id(record.asset_id)
    assert listing is not None, "a withdrawal's asset is listed"
    asset = listing.asset
    return WithdrawalOut(
        withdrawal_id=str(record.withdrawal_id),
        asset=asset.code,
        amount=asset.chain_text(record.amount),
        fee=asset.chain_text(record.fee),
        receives=asset.chain_text(record.amount - record.fee),
        address=record.address,
        state=record.state,
        stage=record.stage,
        reason=record.reason,
        tx_hash=record.tx_hash,
        cancel_requested=record.cancel_requested,
        notice=PAUSE_NOTICE if record.paused else None,
        time_us=record.created_at_us,
    )
