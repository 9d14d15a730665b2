"""The checks before money moves: credits, debits, and what an order spends; nothing changes."""

from __future__ import annotations

from domain.errors import RejectReason
from domain.limits import KEY_MAX_AGE_US, KEY_MAX_AHEAD_US
from domain.money import INT64_MAX
from domain.order import ShardMode
from domain.risk_bounds import MAX_CASH_UNITS
from domain.risk_commands import FUND_ACCOUNT
from matching.engine_state import EngineState
from matching.scopes import free_units, is_gated


def refuse_spending(state: EngineState, account_id: int, asset_id: int, units: int) -> RejectReason:
    """Return why an account may not spend or hold so much of an asset, or NONE."""
    enough = free_units(state, account_id, asset_id) >= units
    return RejectReason.NONE if enough else RejectReason.INSUFFICIENT_FUNDS


def refuse_credit(
    state: EngineState, account_id: int, asset_id: int, amount_units: int, created_at_us: int
) -> RejectReason:
    """Return why money may not come in, or NONE. A halted shard takes it: it must not be lost."""
    if account_id == FUND_ACCOUNT:
        return RejectReason.MALFORMED_COMMAND
    return refuse_income(state, account_id, asset_id, amount_units, created_at_us)


def refuse_income(
    state: EngineState, account_id: int, asset_id: int, amount_units: int, created_at_us: int
) -> RejectReason:
    """Return why money from outside may not come in, to a customer or to the fund, or NONE."""
    reason = money_syntax(state, account_id, asset_id, amount_units, created_at_us)
    if reason:
        return reason
    most = MAX_CASH_UNITS if asset_id == state.collateral else INT64_MAX
    if state.issued[asset_id] + amount_units > most:
        return RejectReason.OVERFLOW
    return RejectReason.NONE


def refuse_debit(
    state: EngineState, account_id: int, asset_id: int, amount_units: int, created_at_us: int
) -> RejectReason:
    """Return why money may not go out, or NONE."""
    if account_id == FUND_ACCOUNT:
        return RejectReason.MALFORMED_COMMAND
    reason = money_syntax(state, account_id, asset_id, amount_units, created_at_us)
    if reason:
        return reason
    if state.mode == ShardMode.HALTED:
        return RejectReason.SHARD_HALTED
    if asset_id == state.collateral and is_gated(state):
        return RejectReason.COLLATERAL_GATED
    return refuse_spending(state, account_id, asset_id, amount_units)


def money_syntax(
    state: EngineState, account_id: int, asset_id: int, amount_units: int, created_at_us: int
) -> RejectReason:
    """Return what is wrong with a command that moves money, whatever there is of it, or NONE."""
    if account_id == 0 or created_at_us < 0:
        return RejectReason.MALFORMED_COMMAND
    if created_at_us > state.time_us + KEY_MAX_AHEAD_US:
        return RejectReason.MALFORMED_COMMAND
    if amount_units <= 0:
        return RejectReason.INVALID_AMOUNT
    if state.time_us - created_at_us > KEY_MAX_AGE_US:
        return RejectReason.KEY_EXPIRED
    if asset_id not in state.issued:
        return RejectReason.UNKNOWN_ASSET
    return RejectReason.NONE
