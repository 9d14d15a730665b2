"""Transfers between the ledger's two sides."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from domain.instrument import Asset
from domain.transfer import TO_TRADING, Transfer, TransferState


def test_engine_sees_engine_units_and_the_rows_time() -> None:
    """The command is the same at every attempt, so that the engine knows a repeat."""
    transfer = Transfer(
        transfer_id=UUID(int=1),
        customer_id=7,
        asset=Asset(2, "ETH", 18, 9),
        shard=0,
        direction=TO_TRADING,
        amount=3 * 10**18,
        cause="deposit-ETH-0xab-0",
        state=TransferState.OPEN,
        created_at=dt.datetime(1970, 1, 1, 0, 0, 1, 234567, tzinfo=dt.UTC),
    )
    assert transfer.amount_units == 3 * 10**9
    assert transfer.created_at_us == 1_234_567
