"""What new orders may use of a balance, and what may be taken away."""

from __future__ import annotations

from typing import Any

from domain.perpetual_record import Holding, Holdings, ScopeMargin
from domain.risk_commands import MarginMode
from domain.trading_balance import TradingBalance


def holdings(**changed: Any) -> Holdings:
    """Return a scope with 1,000 of cash, 100 of profit, and an isolated position of its own."""
    numbers: dict[str, Any] = {
        "cash_units": 1_000,
        "equity_units": 1_100,
        "maintenance_units": 50,
        "required_units": 300,
        "leaving_units": 700,
        "version": 0,
    }
    isolated = Holding(7, 5, 5_000, 10, MarginMode.ISOLATED, 250, 1_000, 0, 0, 0)
    return Holdings([isolated], {0: ScopeMargin(symbol_id=0, **{**numbers, **changed})})


def test_without_perpetuals_what_no_order_holds_is_free() -> None:
    """For orders and for withdrawals alike."""
    balance = TradingBalance(1_000, 250)
    assert (balance.available_units, balance.withdrawable_units) == (750, 750)
    assert balance.all_units == 1_000


def test_margin_and_profit_count() -> None:
    """Orders may use profit, which never leaves; what spot orders hold is taken off both."""
    balance = TradingBalance.of_collateral(1_000, 40, holdings())
    assert balance.available_units == 1_000 + 100 - 300 - 40
    assert balance.withdrawable_units == 700 - 40
    assert balance.all_units == 1_250
    loss = TradingBalance.of_collateral(1_000, 40, holdings(equity_units=200, leaving_units=0))
    assert (loss.available_units, loss.withdrawable_units) == (0, 0)
    assert loss.unrealised_units == -800


def test_nothing_is_there_for_who_is_liquidated() -> None:
    """Whatever equity is left belongs to the liquidation."""
    balance = TradingBalance.of_collateral(1_000, 0, holdings(version=9, leaving_units=0))
    assert (balance.available_units, balance.withdrawable_units) == (0, 0)


def test_while_a_loss_is_uncovered_nothing_leaves_and_orders_go_on() -> None:
    """The shard's gate is not the account's margin: what is free for orders stays so."""
    balance = TradingBalance.of_collateral(1_000, 40, holdings(is_gated=True))
    assert (balance.withdrawable_units, balance.spendable_units) == (0, 700 - 40)
    assert balance.available_units == 1_000 + 100 - 300 - 40
