"""The byte table of perpetuals: what `matching/wire.py` has for everything else.

Extension stripes: of LIST_PERPETUAL a market's two as in LIST_SYMBOL, then six of terms; of
SET_RISK_PARAMETERS those six: the numbers of `PerpetualTerms` in their order (i64, and one that is
zero), then eight bracket rows (`BRACKET_FIELDS`), the unused ones zero. Of SET_INDEX eight prices,
then eight times (i64). Of LIQUIDATE, TAKE_OVER and DELEVERAGE `STEP_FIELDS`. Of
SET_PERPETUAL_STATE who and why.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import Final

from domain.event_type import EventType
from domain.opcode import Opcode
from domain.perpetual_terms import MAX_BRACKETS, TERM_NAMES

RISK_COMMAND_FIELDS: Final = MappingProxyType(
    {
        Opcode.LIST_PERPETUAL: ("symbol_id", "base_units_per_lot", "quote_units_per_tick_lot"),
        Opcode.SET_RISK_PARAMETERS: ("symbol_id", "", ""),
        Opcode.SET_LEVERAGE: ("symbol_id", "leverage", ""),
        Opcode.SET_MARGIN_MODE: ("symbol_id", "mode", ""),
        Opcode.MOVE_MARGIN: ("symbol_id", "amount_units", "created_at_us"),
        Opcode.SET_INDEX: ("symbol_id", "", ""),
        Opcode.SET_PERPETUAL_STATE: ("symbol_id", "trigger", ""),
        Opcode.SETTLE_FUNDING: ("symbol_id", "funding_time_us", ""),
        Opcode.FREEZE: ("symbol_id", "", ""),
        Opcode.UNFREEZE: ("symbol_id", "expected_scope_version", ""),
        Opcode.LIQUIDATE: ("symbol_id", "lots", "limit_ticks"),
        Opcode.TAKE_OVER: ("symbol_id", "lots", ""),
        Opcode.DELEVERAGE: ("symbol_id", "lots", ""),
        Opcode.UNWIND: ("symbol_id", "lots", "limit_ticks"),
        Opcode.TOP_UP_FUND: ("asset_id", "amount_units", "created_at_us"),
        Opcode.SWEEP_DUST: ("asset_id", "", "created_at_us"),
        Opcode.SETTLE_MARKET: ("symbol_id", "", ""),
    }
)

RISK_STRIPES: Final = MappingProxyType(  # of a command; else 1
    {
        Opcode.LIST_PERPETUAL: 9,
        Opcode.SET_RISK_PARAMETERS: 7,
        Opcode.SET_INDEX: 3,
        Opcode.SET_PERPETUAL_STATE: 3,
        Opcode.LIQUIDATE: 2,
        Opcode.TAKE_OVER: 2,
        Opcode.DELEVERAGE: 2,
    }
)

STEP_FIELDS: Final = (("expected_scope_version", "Q"), ("counterparty_id", "Q"))
BRACKET_FIELDS: Final = (("floor_units", "q"), ("mmr_ppm", "i"), ("imr_ppm", "i"))
TERMS_WORDS: Final = struct.Struct("<32q")
BRACKET_ROW: Final = struct.Struct("<qii")
INDEX_STRIPES: Final = struct.Struct("<8q8q")
STEP_STRIPE: Final = struct.Struct("<QQ48x")

_WORDS_A_PART = 6
_ROWS_A_PART = 3
_TIMED: Final = (("time_us", "q"), ("account_id", "Q"))
_KEY: Final = (("key_low", "Q"), ("key_high", "Q"))
_ORDERED: Final = (*_TIMED, *_KEY, ("order_id", "Q"), ("lots", "q"))
_MONEY: Final = (*_TIMED, *_KEY, ("amount_units", "q"))

Fields = tuple[tuple[str, str], ...]


def _terms_parts() -> dict[tuple[EventType, int], Fields]:
    """Return the parts of RISK_PARAMETERS_SET: time and terms, then the bracket rows."""
    words = [("time_us", "q"), *((name, "q") for name in TERM_NAMES)]
    parts: list[Fields] = [
        tuple(words[at : at + _WORDS_A_PART]) for at in range(0, len(words), _WORDS_A_PART)
    ]
    rows = range(1, MAX_BRACKETS + 1)
    for at in range(0, MAX_BRACKETS, _ROWS_A_PART):
        chosen = rows[at : at + _ROWS_A_PART]
        parts.append(
            tuple((f"{name}_{row}", code) for row in chosen for name, code in BRACKET_FIELDS)
        )
    return {(EventType.RISK_PARAMETERS_SET, part): fields for part, fields in enumerate(parts)}


RISK_EVENT_FIELDS: Final[dict[tuple[EventType, int], Fields]] = {
    (EventType.PERPETUAL_TRADE, 0): (
        ("trade_id", "Q"),
        ("maker_order_id", "Q"),
        ("taker_order_id", "Q"),
        ("maker_account_id", "Q"),
        ("taker_account_id", "Q"),
        ("price_ticks", "q"),
    ),
    (EventType.PERPETUAL_TRADE, 1): (
        ("quantity_lots", "q"),
        ("quote_units", "q"),
        ("maker_fee_units", "q"),
        ("taker_fee_units", "q"),
        ("insurance_units", "q"),
    ),
    (EventType.PERPETUAL_TRADE, 2): (
        ("maker_lots", "q"),
        ("maker_cost_units", "q"),
        ("maker_realised_units", "q"),
        ("taker_lots", "q"),
        ("taker_cost_units", "q"),
        ("taker_realised_units", "q"),
    ),
    **_terms_parts(),
    (EventType.INDEX_SET, 0): (
        ("time_us", "q"),
        ("index_ticks", "q"),
        ("sources", "q"),
        ("mark_ticks", "q"),
        ("open_lots", "q"),
    ),
    (EventType.PERPETUAL_STATE_SET, 0): (
        ("time_us", "q"),
        ("state", "q"),
        ("previous_state", "q"),
        ("trigger", "q"),
        ("trip", "q"),
    ),
    (EventType.PERPETUAL_STATE_SET, 1): (("actor", "32s"),),
    (EventType.PERPETUAL_STATE_SET, 2): (("reason", "48s"),),
    (EventType.PERPETUAL_STATE_SET, 3): (("reason_more", "48s"),),
    (EventType.LEVERAGE_SET, 0): (*_TIMED, ("leverage", "q"), ("previous_leverage", "q")),
    (EventType.MARGIN_MODE_SET, 0): (*_TIMED, ("mode", "q"), ("released_units", "q")),
    (EventType.MARGIN_MOVED, 0): (*_MONEY, ("margin_units", "q")),
    (EventType.FUNDING_SETTLED, 0): (
        ("time_us", "q"),
        ("funding_time_us", "q"),
        ("rate_ppm", "q"),
        ("premium_ppm", "q"),
        ("mark_ticks", "q"),
        ("rounding_units", "q"),
    ),
    (EventType.FUNDING_SETTLED, 1): (("entries", "q"),),
    (EventType.FUNDING_PAID, 0): (("account_id", "Q"), ("lots", "q"), ("amount_units", "q")),
    (EventType.SCOPE_FROZEN, 0): (*_TIMED, *_KEY, ("closed_count", "q")),
    (EventType.SCOPE_UNFROZEN, 0): (*_TIMED, *_KEY),
    (EventType.SCOPE_STATE, 0): (
        ("account_id", "Q"),
        ("version", "q"),
        ("cash_units", "q"),
        ("equity_units", "q"),
        ("maintenance_units", "q"),
        ("shortage_units", "q"),
    ),
    (EventType.LIQUIDATION_PLACED, 0): _ORDERED,
    (EventType.LIQUIDATION_PLACED, 1): (("limit_ticks", "q"),),
    (EventType.UNWIND_PLACED, 0): _ORDERED,
    (EventType.UNWIND_PLACED, 1): (("limit_ticks", "q"),),
    (EventType.TAKEN_OVER, 0): (*_TIMED, *_KEY, ("delta_lots", "q"), ("quote_units", "q")),
    (EventType.TAKEN_OVER, 1): (
        ("lots", "q"),
        ("cost_units", "q"),
        ("realised_units", "q"),
        ("fund_lots", "q"),
        ("fund_cost_units", "q"),
        ("fund_realised_units", "q"),
    ),
    (EventType.DELEVERAGED, 0): (
        *_TIMED,
        ("counterparty_id", "Q"),
        ("delta_lots", "q"),
        ("quote_units", "q"),
        ("haircut_units", "q"),
    ),
    (EventType.DELEVERAGED, 1): (
        ("lots", "q"),
        ("cost_units", "q"),
        ("realised_units", "q"),
        ("counterparty_lots", "q"),
        ("counterparty_cost_units", "q"),
        ("counterparty_realised_units", "q"),
    ),
    (EventType.DELEVERAGED, 2): _KEY,
    (EventType.FUND_TOPPED_UP, 0): _MONEY,
    (EventType.DUST_SWEPT, 0): _MONEY,
    (EventType.POSITION_SETTLED, 0): (
        ("account_id", "Q"),
        ("lots", "q"),
        ("cost_units", "q"),
        ("realised_units", "q"),
    ),
    (EventType.MARKET_SETTLED, 0): (
        ("time_us", "q"),
        *_KEY,
        ("price_ticks", "q"),
        ("entries", "q"),
    ),
}
