"""Wire numbers of the events."""

from __future__ import annotations

from enum import IntEnum


class EventType(IntEnum):
    """Wire number of an event; never reused."""

    ORDER_ACCEPTED = 1
    ORDER_DUPLICATE = 2
    CANCEL_ACCEPTED = 3
    COMMAND_REJECTED = 4
    KEY_DUPLICATE = 8
    SELF_TRADE_PREVENTED = 9
    ORDER_AMENDED = 10
    DEAD_MANS_SWITCH_SET = 11
    DEAD_MANS_SWITCH_FIRED = 12
    ORDER_REFILLED = 13
    ORDER_TRIGGERED = 14
    ORDER_ARMED = 15
    TRADE = 5
    ORDER_RESTED = 6
    ORDER_CLOSED = 7
    CREDITED = 20
    DEBITED = 21
    SYMBOL_LISTED = 60
    SYMBOL_STATE_SET = 61
    SHARD_MODE_SET = 62
    PARAMETERS_SET = 63
    ACCOUNT_TIER_SET = 64
    SYMBOL_DELISTED = 65
    STARTED = 90
    TICKED = 91
