"""Customers' withdrawals for compliance staff; every look at one is in the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.errors import Problem
from api.schemas.common import decode_row_cursor, encode_row_cursor, identity_from
from api.schemas.compliance import FiledWithdrawalOut, FiledWithdrawalPage, WithdrawalStoryOut
from domain.customer import Scope
from domain.wallet_record import WithdrawalFilter

router = APIRouter(prefix="/v1/compliance", tags=["compliance"], route_class=EdgeRoute)


@router.get("/withdrawals", response_model=FiledWithdrawalPage)
@access(Scope.COMPLIANCE, weight=5)
async def list_filed_withdrawals(
    caller: CallerDep,
    services: ServicesDep,
    customer_id: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    state: Annotated[str | None, Query(max_length=32)] = None,
    address: Annotated[str | None, Query(max_length=128)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> FiledWithdrawalPage:
    """List withdrawals of all customers, newest first, by customer, state or address."""
    before = decode_row_cursor("compliance", cursor)
    found = await services.compliance.withdrawals(
        WithdrawalFilter(customer_id, state, address), before, limit
    )
    following = None
    if len(found) == limit:
        following = encode_row_cursor("compliance", found[-1].place)
    return FiledWithdrawalPage(
        withdrawals=[
            FiledWithdrawalOut(
                withdrawal_id=str(one.withdrawal_id),
                customer_id=one.customer_id,
                asset=one.asset,
                amount=one.amount_text,
                address=one.address,
                state=one.state,
                stage=one.stage,
                time_us=one.created_at_us,
            )
            for one in found
        ],
        next=following,
    )


@router.get("/withdrawals/{withdrawal_id}", response_model=WithdrawalStoryOut)
@access(Scope.COMPLIANCE, weight=20)
async def withdrawal_story(
    withdrawal_id: str, caller: CallerDep, services: ServicesDep
) -> WithdrawalStoryOut:
    """Tell a withdrawal's whole story, from the audit log alone, compared with row and history."""
    reader = f"staff:{caller.customer_id}"
    story = await services.compliance.withdrawal(identity_from(withdrawal_id), reader)
    if story is None:
        raise Problem("not_found")
    return WithdrawalStoryOut.model_validate(story)
