"""What may be asked for, and the table of states."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from domain.evm_address import ZERO_ADDRESS
from domain.instrument import Asset
from domain.screening import ScreeningResult, Verdict
from domain.withdrawal import (
    FINAL_STATES,
    NEXT_STATES,
    REJECTABLE_STATES,
    RELEASABLE_STATES,
    STAGE_OF,
    VOIDABLE_STATES,
    PolicyFacts,
    WithdrawalOrder,
    WithdrawalRefusal,
    WithdrawalState,
    WithdrawalTerms,
    check_request,
    policy_checks,
    policy_refusal,
)
from domain.withdrawal_limits import Allowance, Tier, Window
from infra.wallet.keccak import keccak256

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
ETH = WithdrawalTerms(Asset(2, "ETH", 18, 9), minimum=10**16, fee=2 * 10**15)
_State = WithdrawalState


def _check(amount: str, address: str = ADDRESS, terms: WithdrawalTerms = ETH) -> object:
    return check_request(amount_text=amount, address=address, terms=terms, keccak256=keccak256)


def test_valid_request_becomes_an_order() -> None:
    """The amount is in chain units, the fee is part of it."""
    assert _check("1.5") == WithdrawalOrder(15 * 10**17, 2 * 10**15, ADDRESS)
    assert isinstance(_check("9223372036.854775807"), WithdrawalOrder)


@pytest.mark.parametrize(
    ("amount", "address", "refusal"),
    [
        ("0", ADDRESS, WithdrawalRefusal.INVALID_AMOUNT),
        ("-1", ADDRESS, WithdrawalRefusal.INVALID_AMOUNT),
        ("1e3", ADDRESS, WithdrawalRefusal.INVALID_AMOUNT),
        ("1.0000000001", ADDRESS, WithdrawalRefusal.INVALID_AMOUNT),  # below an engine unit
        ("1\n", ADDRESS, WithdrawalRefusal.INVALID_AMOUNT),
        ("9223372036.854775808", ADDRESS, WithdrawalRefusal.OVERFLOW),  # 2**63 engine units
        ("9" * 30, "nonsense", WithdrawalRefusal.OVERFLOW),
        ("0.009", ADDRESS, WithdrawalRefusal.BELOW_MINIMUM),
        ("1", ADDRESS.lower(), WithdrawalRefusal.INVALID_ADDRESS),
        ("1", ZERO_ADDRESS, WithdrawalRefusal.INVALID_ADDRESS),
        ("0.001", "nonsense", WithdrawalRefusal.BELOW_MINIMUM),  # the amount is checked first
    ],
)
def test_first_broken_rule_is_named(amount: str, address: str, refusal: WithdrawalRefusal) -> None:
    """Refusals have an order of precedence."""
    assert _check(amount, address) == refusal


def test_amount_must_exceed_the_fee() -> None:
    """A withdrawal that is all fee pays nobody."""
    terms = WithdrawalTerms(ETH.asset, minimum=1, fee=2 * 10**15)
    assert _check("0.002", terms=terms) == WithdrawalRefusal.FEE_EXCEEDS_AMOUNT
    assert isinstance(_check("0.002000001", terms=terms), WithdrawalOrder)


def test_tables_cover_every_state() -> None:
    """A state without successor, stage or way out would strand a withdrawal."""
    assert set(NEXT_STATES) == set(STAGE_OF) == set(_State)
    assert {_State.SETTLED, _State.REJECTED, _State.CANCELLED} == FINAL_STATES
    reached = {target for targets in NEXT_STATES.values() for target in targets}
    assert reached == set(_State) - {_State.REQUESTED}


def test_nothing_is_released_once_it_may_be_signed() -> None:
    """From the nonce on, the only way is forward, until the chain says that nothing was paid."""
    after = [
        *(_State.NUMBERED, _State.SIGNED, _State.BROADCAST, _State.VOIDING, _State.CONFIRMED),
    ]
    releases = {_State.REJECTING, _State.CANCELLING}
    for state in after:
        assert state not in REJECTABLE_STATES
        assert not NEXT_STATES[state] & releases
    for state in RELEASABLE_STATES:
        assert releases <= NEXT_STATES[state]
    for proven, before in (
        (_State.REVERTED, {_State.BROADCAST, _State.VOIDING}),
        (_State.VOIDED, {_State.VOIDING}),
    ):
        assert NEXT_STATES[proven] == {_State.REJECTING}
        assert {state for state in _State if proven in NEXT_STATES[state]} == before
    assert {state for state in _State if _State.VOIDING in NEXT_STATES[state]} == VOIDABLE_STATES


def test_policy_names_the_first_rule_that_refuses() -> None:
    """Our own addresses come before the list of denied ones, and both before the customer's."""
    own = frozenset({"0xOwn"})
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    allowance = Allowance(now, now, Tier.BASIC, 100, dict.fromkeys(Window, 0))
    blocked = {"sanctions": ScreeningResult(Verdict.BLOCKED, "listed", "1")}
    facts = PolicyFacts(own_addresses=own, screenings=blocked, allowance=allowance)
    clear = replace(facts, screenings={"sanctions": ScreeningResult(Verdict.REVIEW)})
    checks = policy_checks("0xOwn", "active", facts)
    assert checks == {
        "customer_may_withdraw": True,
        "destination_is_own_address": False,
        "not_blocked_by_sanctions": False,
        "destination_is_listed": True,
        "destination_has_cooled_off": True,
        "value_is_known": True,
        "within_1h_limit": True,
        "within_24h_limit": True,
        "within_30d_limit": True,
    }
    assert policy_refusal(checks) == "destination_is_own_address"
    refused = policy_refusal(policy_checks("0xBad", "withdraw_only", facts))
    assert refused == "not_blocked_by_sanctions"
    assert policy_refusal(policy_checks("0xGood", "active", clear)) is None
    for standing in ("frozen", "of a later version"):
        assert policy_refusal(policy_checks("0xBad", standing, facts)) == "customer_may_withdraw"
    unlisted = replace(clear, allowance=replace(allowance, usable_at=None))
    refused = policy_refusal(policy_checks("0xGood", "active", unlisted))
    assert refused == "destination_is_listed"
