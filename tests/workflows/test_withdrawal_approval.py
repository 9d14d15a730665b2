"""Four eyes: which decisions a large withdrawal's workflow takes, and which leave no trace."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from domain.approval import REJECT, Decision
from tests.workflows.wallet_parts import OUTSIDE
from tests.workflows.wallet_rig import Rig
from workflows.withdrawal_messages import DecisionResult

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6
HOT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


async def _waiting(rig: Rig, customer_id: int, amount: int) -> str:
    await rig.funded_customer(customer_id, "USDT", amount + 100 * USDT)
    withdrawal_id = await rig.withdraw(customer_id, "USDT", amount)
    await rig.until_approvable(withdrawal_id)
    return withdrawal_id


async def _refused(
    rig: Rig, withdrawal_id: str, decision: Decision, update: str = "approve"
) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await rig.handle(withdrawal_id).execute_update(update, decision)
    return str(refused.value.cause)


async def _decide(
    rig: Rig, withdrawal_id: str, decision: Decision, update: str = "approve"
) -> DecisionResult:
    result: DecisionResult = await rig.handle(withdrawal_id).execute_update(
        update, decision, result_type=DecisionResult
    )
    return result


async def _events(rig: Rig, withdrawal_id: str) -> list[Any]:
    """Return the history without workflow tasks, which every refused update causes."""
    history = await rig.handle(withdrawal_id).fetch_history()
    return [event.event_type for event in history.events if event.event_type not in (5, 6, 7, 8)]


async def test_bad_decisions_are_refused_before_they_are_history(rig: Rig) -> None:
    """Unsigned, wrong key, wrong amount, wrong address, expired, unknown: no event, no row.

    Nor does one that was signed for a withdrawal like it, nor the good one again when it is used.
    """
    withdrawal_id = await _waiting(rig, 1, 2_000 * USDT)
    twin = await rig.request(1, "USDT", 2_000 * USDT)
    good = await rig.decision(withdrawal_id)
    before = await _events(rig, withdrawal_id)
    bad = {
        "invalid_signature": [
            replace(good, signature_hex=""),
            await rig.decision(withdrawal_id, officer="marta", key_of="piero"),
            replace(good, statement=good.statement.replace("2000", "9000")),
        ],
        "wrong_withdrawal": [
            await rig.decision(withdrawal_id, amount=2_001 * USDT),
            await rig.decision(withdrawal_id, address=HOT),
            await rig.decision(withdrawal_id, asset="ETH"),
            await rig.decision(twin),
        ],
        "expired": [await rig.decision(withdrawal_id, valid_seconds=-1)],
        "expiry_too_far": [await rig.decision(withdrawal_id, valid_seconds=30 * 86_400)],
        "unknown_officer": [replace(good, officer="mallory")],
        "malformed_statement": [replace(good, statement="I approve")],
        "wrong_action": [await rig.decision(withdrawal_id, action=REJECT)],
    }
    for reason, decisions in bad.items():
        for decision in decisions:
            assert reason in await _refused(rig, withdrawal_id, decision)
    assert await _events(rig, withdrawal_id) == before
    assert await rig.withdrawals.decisions(withdrawal_id) == []

    rig.signer_gate.close_after("check_signing_order")
    result = await _decide(rig, withdrawal_id, good)
    assert (result.approvals, result.approvals_needed) == (1, 1)
    await asyncio.wait_for(rig.signer_gate.reached.wait(), 30)
    assert "nothing to approve" in await _refused(rig, withdrawal_id, good)
    rig.signer_gate.opened.set()
    await rig.until_settled(withdrawal_id)


FORMS: tuple[Any, ...] = (
    {},
    None,
    [],
    "marta",
    {"officer": "marta"},
    {"officer": 1, "action": "approve", "statement": "", "signature_hex": ""},
    {"officer": "m", "action": "approve", "statement": "", "signature_hex": "", "by": "x"},
)


async def test_form_that_is_no_decision_is_refused_in_our_words(rig: Rig) -> None:
    """What somebody types into the UI never shows the program's inside."""
    withdrawal_id = await _waiting(rig, 9, 2_000 * USDT)
    for form in FORMS:
        for update in ("approve", "reject"):
            refused = await _refused(rig, withdrawal_id, form, update)
            assert refused.startswith("PublicRefusal: not a signed decision"), form
    with pytest.raises(WorkflowUpdateFailedError) as bare:
        await rig.handle(withdrawal_id).execute_update("approve")
    assert "not a signed decision" in str(bare.value.cause)
    rejection = await rig.decision(withdrawal_id, action=REJECT)
    await _decide(rig, withdrawal_id, rejection, "reject")
    await rig.until(lambda: rig.state(withdrawal_id), "rejected")


async def test_very_large_withdrawal_needs_two_people(rig: Rig) -> None:
    """The same officer twice is one person; nothing is signed in between."""
    withdrawal_id = await _waiting(rig, 2, 20_000 * USDT)
    before = await rig.coins(OUTSIDE, "USDT")
    await _decide(rig, withdrawal_id, await rig.decision(withdrawal_id))
    again = await rig.decision(withdrawal_id, valid_seconds=7200)
    assert "already_decided" in await _refused(rig, withdrawal_id, again)
    assert await rig.state(withdrawal_id) == "screened"
    await _decide(rig, withdrawal_id, await rig.decision(withdrawal_id, officer="piero"))
    await rig.until_settled(withdrawal_id)
    assert await rig.coins(OUTSIDE, "USDT") - before == 19_999 * USDT
    actions = await rig.audit(f"withdrawal-{withdrawal_id}")
    assert actions.count("approve") == 2


async def test_officer_rejects_and_the_customer_has_the_money_back(rig: Rig) -> None:
    """A rejection is signed like an approval; an approval's signature does not reject."""
    withdrawal_id = await _waiting(rig, 3, 2_000 * USDT)
    approval = await rig.decision(withdrawal_id)
    assert "wrong_action" in await _refused(rig, withdrawal_id, approval, "reject")
    rejection = await rig.decision(withdrawal_id, action=REJECT)
    result = await _decide(rig, withdrawal_id, rejection, "reject")
    assert result.state == "rejecting"
    await rig.until(lambda: rig.state(withdrawal_id), "rejected")
    assert (await rig.row(withdrawal_id)).reason == "officer:marta"
    assert await rig.balance("customer:3:trading.0:USDT") == 2_100 * USDT
    assert await rig.balance("withdrawal:pending:USDT") == 0


async def test_small_withdrawal_takes_no_approval(rig: Rig) -> None:
    """Where nobody needs to decide, nobody can."""
    await rig.funded_customer(4, "USDT", 300 * USDT)
    rig.treasury.settles = False
    withdrawal_id = await rig.withdraw(4, "USDT", 100 * USDT)
    decision = await rig.decision(withdrawal_id)
    assert "nothing to approve" in await _refused(rig, withdrawal_id, decision)
    rig.treasury.settles = True
    await rig.treasury.settle()
    await rig.until_settled(withdrawal_id)
