"""Wire numbers of the commands."""

from __future__ import annotations

from enum import IntEnum


class Opcode(IntEnum):
    """Wire number of a command; never reused."""

    PLACE_ORDER = 1
    CANCEL_ORDER = 2
    CANCEL_ALL = 3
    AMEND_ORDER = 4
    SET_DEAD_MANS_SWITCH = 5
    PLACE_ORDER_LIST = 6
    CREDIT = 20
    DEBIT = 21
    LIST_PERPETUAL = 40
    SET_RISK_PARAMETERS = 41
    SET_LEVERAGE = 42
    SET_MARGIN_MODE = 43
    MOVE_MARGIN = 44
    SET_INDEX = 45
    SET_PERPETUAL_STATE = 46
    SETTLE_FUNDING = 47
    FREEZE = 48
    UNFREEZE = 49
    LIQUIDATE = 50
    TAKE_OVER = 51
    DELEVERAGE = 52
    UNWIND = 53
    TOP_UP_FUND = 54
    SWEEP_DUST = 55
    SETTLE_MARKET = 56
    LIST_SYMBOL = 60
    SET_SYMBOL_STATE = 61
    SET_SHARD_MODE = 62
    SET_PARAMETERS = 63
    SET_ACCOUNT_TIER = 64
    DELIST_SYMBOL = 65
    STARTED = 90
    TICK = 91
