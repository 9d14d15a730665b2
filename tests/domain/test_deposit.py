"""The table of a deposit's states, ids, depth and dust."""

from __future__ import annotations

import pytest

from domain.deposit import (
    FINAL_STATES,
    FIRST_INTERNAL,
    IN_SUSPENSE_STATES,
    NATIVE_COIN,
    NEXT_STATES,
    UNPOSTED_STATES,
    DepositState,
    confirmation_tiers,
    deposit_id,
    is_deposit_id,
    split_for_trading,
    tier_of,
)
from domain.instrument import Asset


def test_table_covers_every_state() -> None:
    """A voided one may be mined again; what is, or was, in suspense is for others to end."""
    assert set(NEXT_STATES) == set(DepositState)
    others = IN_SUSPENSE_STATES | {DepositState.VOIDED, DepositState.RETURNING}
    for state in FINAL_STATES - others:
        assert NEXT_STATES[state] == frozenset()
    assert NEXT_STATES[DepositState.VOIDED] == {DepositState.SEEN}


def test_only_unposted_deposits_are_voided() -> None:
    """What is in the ledger is not taken back by itself."""
    for state, following in NEXT_STATES.items():
        assert (DepositState.VOIDED in following) == (state in UNPOSTED_STATES)


def test_ids_name_chain_transaction_and_transfer() -> None:
    """Two transfers of one transaction are two deposits."""
    assert deposit_id("ETH", "0xab", 0) == "deposit-ETH-0xab-0"
    assert deposit_id("ETH", "0xab", 1) == "deposit-ETH-0xab-1"
    assert deposit_id("ETH", "0xab", NATIVE_COIN) == "deposit-ETH-0xab-native"
    assert deposit_id("ETH", "0xab", FIRST_INTERNAL - 2) == "deposit-ETH-0xab-internal2"
    for index in (0, NATIVE_COIN, FIRST_INTERNAL):
        assert is_deposit_id(deposit_id("ETH", "0xab", index))
    assert not is_deposit_id("0:12.3")
    assert not is_deposit_id("deposit-ETH-0xab-native\n")


@pytest.mark.parametrize(
    ("amount", "name", "confirmations"),
    [
        (1, "standard", 12),
        (1_000, "standard", 12),
        (1_001, "large", 24),
        (10_000, "large", 24),
        (10_001, "very_large", 36),
    ],
)
def test_larger_deposits_wait_longer(amount: int, name: str, confirmations: int) -> None:
    """A tier begins just above ten and a hundred times the approval threshold."""
    tier = tier_of(amount, confirmation_tiers(12, 100))
    assert (tier.name, tier.confirmations) == (name, confirmations)


def test_dust_below_an_engine_unit_stays_in_main() -> None:
    """Both parts together are the deposit."""
    eth = Asset(2, "ETH", 18, 9)
    assert split_for_trading(10**18 + 7, eth) == (10**18, 7)
    assert split_for_trading(999_999_999, eth) == (0, 999_999_999)
    assert split_for_trading(5, Asset(1, "USDT", 6, 6)) == (5, 0)
