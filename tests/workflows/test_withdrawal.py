"""Withdrawals end to end: real chain, Temporal, PostgreSQL, ledger and engine rules."""

from __future__ import annotations

import pytest

from tests.workflows.wallet_rig import OUTSIDE, Rig

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6


async def test_small_withdrawal_is_paid_and_booked(rig: Rig) -> None:
    """The net amount arrives, the fee and the network's fee are booked, nothing stays pending."""
    await rig.funded_customer(1, "USDT", 500 * USDT)
    before = await rig.coins(OUTSIDE, "USDT")
    withdrawal_id = await rig.withdraw(1, "USDT", 100 * USDT)
    await rig.until_settled(withdrawal_id)

    row = await rig.row(withdrawal_id)
    assert await rig.coins(OUTSIDE, "USDT") - before == 99 * USDT
    assert await rig.balance("withdrawal:pending:USDT") == 0
    assert await rig.balance("customer:1:trading.0:USDT") == 400 * USDT
    assert await rig.balance("wallet_fees:USDT") == USDT
    assert row.network_fee is not None
    assert await rig.balance("network_fees:ETH") == -row.network_fee
    assert await rig.audit(row.subject) == [
        "requested",
        "held",
        "screened",
        "approved",
        "numbered",
        "signed",
        "broadcast",
        "confirmed",
        "settled",
    ]
