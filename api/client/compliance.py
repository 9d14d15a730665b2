"""Calls of compliance staff, with a key of theirs: customers' withdrawals and their stories."""

from __future__ import annotations

from api.client.call import Call, get, part
from api.schemas.compliance import FiledWithdrawalPage, WithdrawalStoryOut


def withdrawals(
    customer_id: int | None = None, state: str = "", address: str = "", limit: int | None = None
) -> Call[FiledWithdrawalPage]:
    """List withdrawals of all customers."""
    path = "/v1/compliance/withdrawals"
    return get(
        FiledWithdrawalPage,
        path,
        customer_id=customer_id,
        state=state,
        address=address,
        limit=limit,
    )


def story(withdrawal_id: str) -> Call[WithdrawalStoryOut]:
    """Ask for a withdrawal's whole story; that it was read is in the audit log."""
    return get(WithdrawalStoryOut, f"/v1/compliance/withdrawals/{part(withdrawal_id)}")
