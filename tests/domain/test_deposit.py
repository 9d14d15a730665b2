"""The table of a deposit's states, ids, depth and dust."""

from __future__ import annotations

from domain.deposit import (
    FINAL_STATES,
    NATIVE_COIN,
    NEXT_STATES,
    UNPOSTED_STATES,
    DepositState,
    deposit_id,
    required_confirmations,
    split_for_trading,
)
from domain.instrument import Asset


def test_table_covers_every_state() -> None:
    """Only a voided deposit may come back: its transaction can be mined again."""
    assert set(NEXT_STATES) == set(DepositState)
    for state in FINAL_STATES - {DepositState.VOIDED}:
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


def test_large_deposits_wait_twice_as_long() -> None:
    """The tier begins above ten times the approval threshold."""
    assert required_confirmations(12, 1_000, 100) == 12
    assert required_confirmations(12, 1_001, 100) == 24


def test_dust_below_an_engine_unit_stays_in_main() -> None:
    """Both parts together are the deposit."""
    eth = Asset(2, "ETH", 18, 9)
    assert split_for_trading(10**18 + 7, eth) == (10**18, 7)
    assert split_for_trading(999_999_999, eth) == (0, 999_999_999)
    assert split_for_trading(5, Asset(1, "USDT", 6, 6)) == (5, 0)
