"""The story of a withdrawal, from records alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from domain.audit import AuditRecord
from domain.hash_chain import GENESIS, JsonValue
from domain.withdrawal_story import missing_records, sentence, story_of

AT = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
ASKED: Mapping[str, JsonValue] = {
    "asset": "USDT",
    "decimals": 6,
    "amount": "2000000001",
    "fee": "1000000",
    "address": "0xA",
}
PAID: Mapping[str, JsonValue] = {
    "tx_hash": "0x1",
    "block": 7,
    "block_hash": "0xb",
    "network_fee": "21",
}


def records(*told: tuple[str, str, Mapping[str, JsonValue]]) -> list[AuditRecord]:
    """Return records of (actor, action, detail)."""
    return [
        AuditRecord(number, "withdrawal-w", actor, action, f"k{number}", detail, AT, GENESIS)
        for number, (actor, action, detail) in enumerate(told, 1)
    ]


def test_paid_withdrawal_says_who_let_it_out_and_why() -> None:
    """Amounts in coins, the checks with their rules' version, who signed, and the transaction."""
    story = story_of(
        "w",
        records(
            ("customer:1", "requested", ASKED),
            ("wallet", "held", {}),
            ("policy", "screened", {"policy_version": 1, "checks": {"denied": True}}),
            ("staff:u", "approve_refused", {"refused": "expired"}),
            ("officer:marta", "approve", {"statement": "{}"}),
            ("wallet", "approved", {"needed": 1, "approved_by": ["marta"]}),
            ("wallet", "signed", {"tx_hash": "0x1"}),
            ("wallet", "confirmed", PAID),
            ("staff:clara", "file_read", {}),
        ),
    )
    assert story is not None
    assert (story.amount, story.fee, story.asset) == ("2000.000001", "1", "USDT")
    assert (story.state, story.tx_hash) == ("confirmed", "0x1")
    assert story.answer == (
        "customer:1 asked for it",
        "the policy let it pass: rules of version 1: denied: passed",
        "staff:u tried in vain: expired",
        "officer:marta signed: approve",
        "1 approvals were needed, given by marta",
        "it was paid: 0x1 in block 7 (0xb), network fee 21",
    )


def test_refused_withdrawal_says_by_whom() -> None:
    """The policy's rule that refused stands in the answer."""
    told = records(
        ("customer:1", "requested", ASKED),
        ("policy", "rejecting", {"policy_version": 1, "checks": {"denied": False}}),
        ("wallet", "rejected", {"reason": "policy:denied"}),
    )
    story = story_of("w", told)
    assert story is not None
    assert story.state == "rejected"
    assert "rejecting by policy: rules of version 1: denied: REFUSED" in story.answer


def test_given_up_payment_says_by_whom_and_which_transaction_used_its_nonce_up() -> None:
    """Every hash is there; the one that was mined is the story's."""
    void: dict[str, JsonValue] = {"tx_hash": "0x2", "nonce": 4}
    told = records(
        ("customer:1", "requested", ASKED),
        ("wallet", "signed", {"tx_hash": "0x1"}),
        ("officer:marta", "void", {"statement": "{}"}),
        ("officer:piero", "void", {"statement": "{}"}),
        ("wallet", "voiding", {"voided_by": ["marta", "piero"], "nonce": 4}),
        ("wallet", "void_signed", void),
        ("wallet", "voided", {**PAID, **void}),
        ("wallet", "rejecting", {"reason": "voided"}),
        ("wallet", "rejected", {"reason": "voided"}),
    )
    story = story_of("w", told)
    assert story is not None
    assert (story.state, story.tx_hash) == ("rejected", "0x2")
    assert story.answer == (
        "customer:1 asked for it",
        "officer:marta signed: void",
        "officer:piero signed: void",
        "voiding by wallet: given up by marta, piero: nonce 4 is to be used up without paying",
        "voided by wallet: 0x2 in block 7 (0xb), network fee 21",
        "rejecting by wallet: voided",
        "rejected by wallet: voided",
    )
    assert sentence(told[5]) == "transaction 0x2 pays nobody, nonce 4"
    done = {"record_decision": 2, "begin_void": 1, "send_void": 1, "confirm_withdrawal": 1}
    assert missing_records({record.action for record in told}, done) == []


def test_without_a_request_there_is_no_story() -> None:
    """A log that lacks the first record tells nothing about the rest."""
    assert story_of("w", records(("wallet", "held", {}))) is None


@pytest.mark.parametrize("detail", [{}, {"amount": "x", "decimals": None}, {"checks": {}}])
def test_damaged_detail_is_no_obstacle(detail: Mapping[str, JsonValue]) -> None:
    """What was forged is told as it stands; its fault is told beside it."""
    told = records(*(("a", action, detail) for action in ("requested", "screened", "approved")))
    assert story_of("w", told) is not None
    assert all(isinstance(sentence(record), str) for record in told)


def test_step_without_record_is_named() -> None:
    """A history that says more than the log is a difference; one that says less is not."""
    done = {"take_withdrawal": 1, "settle_withdrawal": 1, "load_withdrawal": 2}
    assert missing_records({"held", "settled", "signed"}, done) == []
    assert missing_records({"held"}, done) == [
        "settle_withdrawal has completed, but there is no record of settled"
    ]
    assert missing_records({"held", "cancel_requested"}, {"allocate_nonce": 1}) == []
