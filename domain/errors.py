"""Registered reasons for which the engine refuses a command.

Numbers are wire format: a number is never reused and never changes its meaning.
"""

from __future__ import annotations

from enum import IntEnum


class RejectReason(IntEnum):
    """Why a command had no effect. Order of the checks: `matching/reference.py`."""

    NONE = 0
    # syntax
    MALFORMED_COMMAND = 1
    FORBIDDEN_OPCODE = 2
    UNKNOWN_OPCODE = 3
    # identity
    DUPLICATE_CLIENT_ORDER_ID = 10
    KEY_EXPIRED = 12
    # symbol and shard
    UNKNOWN_SYMBOL = 20
    SYMBOL_HALTED = 21
    SYMBOL_CANCEL_ONLY = 22
    SHARD_HALTED = 23
    SHARD_CANCEL_ONLY = 24
    SYMBOL_ALREADY_LISTED = 25
    SHARD_MODE_HELD = 26
    SYMBOL_DELISTED = 27
    # numbers
    INVALID_PRICE = 30
    INVALID_QUANTITY = 31
    QUANTITY_TOO_LARGE = 32
    PRICE_OUTSIDE_BAND = 33
    OVERFLOW = 34
    INVALID_TRIGGER = 35
    # limits
    TOO_MANY_OPEN_ORDERS = 40
    TOO_MANY_SLICES = 41
    POSITION_LIMIT = 42
    # order rules
    INVALID_COMBINATION = 50
    POST_ONLY_WOULD_TRADE = 51
    FOK_NOT_FILLABLE = 52
    NO_LIQUIDITY = 53
    ORDER_NOT_FOUND = 54
    SELF_TRADE = 55
    QUANTITY_BELOW_FILLED = 56
    EXPIRY_PASSED = 57
    BUDGET_TOO_SMALL = 58
    INVALID_TIMEOUT = 59
    # money
    INSUFFICIENT_FUNDS = 60
    INVALID_AMOUNT = 61
    UNKNOWN_ASSET = 62
    # a market's parameters, an account's tier
    INVALID_FEES = 70
    FEE_ABOVE_MAXIMUM = 71
    REBATE_ABOVE_TAKER_FEE = 72
    FIXED_PARAMETER = 73
    UNKNOWN_FEE_TIER = 74
    # triggers
    WOULD_TRIGGER_IMMEDIATELY = 80
    # lists of orders
    INVALID_ORDER_LIST = 90
    LIST_PRICES_CROSSED = 91
    ORDER_IN_LIST = 92
    # perpetual markets: terms
    NOT_A_PERPETUAL = 100
    INVALID_RISK_PARAMETERS = 101
    BRACKETS_EMPTY = 102
    BRACKETS_FIRST_FLOOR = 103
    BRACKETS_FLOORS = 104
    BRACKETS_CAP = 105
    BRACKETS_RATES = 106
    BRACKETS_MMR_FALLS = 107
    BRACKETS_IMR_FALLS = 108
    BRACKETS_MMR_ABOVE_IMR = 109
    BRACKETS_AMOUNT = 110
    # perpetual markets: states and marks
    MARK_UNKNOWN = 111
    MARK_STALE = 112
    MARKET_GUARDED = 113
    MARKET_REDUCE_ONLY = 114
    MARKET_HALTED = 115
    MARKET_SETTLING = 116
    STATE_UNCHANGED = 117
    # positions and margin
    INSUFFICIENT_MARGIN = 120
    NOTHING_TO_REDUCE = 121
    INVALID_LEVERAGE = 122
    POSITION_OPEN = 123
    NOT_ISOLATED = 124
    TOO_MANY_POSITIONS = 125
    SCOPE_FROZEN = 126
    # liquidation, the fund, funding
    SCOPE_NOT_FROZEN = 130
    SCOPE_CHANGED = 131
    NOT_LIQUIDATABLE = 132
    STILL_LIQUIDATABLE = 133
    INVALID_POSITION_DELTA = 134
    ZERO_FILL = 135
    COUNTERPARTY_WOULD_BE_INSOLVENT = 136
    LIQUIDATED_INSOLVENT_AT_MARK = 137
    TAKEOVER_TOO_EARLY = 138
    FUND_POOL_EMPTY = 139
    FUND_DRAWDOWN = 140
    FUND_AT_CAPACITY = 141
    FUND_CAN_TAKE_OVER = 142
    FUND_CANNOT_PAY = 143
    FUNDING_NOT_DUE = 144
    NO_DUST = 145
    NOT_SETTLING = 146
    ORDERS_OPEN = 147
