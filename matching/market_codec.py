"""A market's rules between dataclass and stripes; the byte table is `matching/wire.py`."""

from __future__ import annotations

from typing import Any, TypeVar

from domain.commands import ListSymbol, MarketRules, SetParameters
from domain.fees import FeeRates, FeeTable
from matching.wire import FEES_STRIPE, MARKET_FIELDS, MARKET_STRIPE, STRIPE

Rules = TypeVar("Rules", ListSymbol, SetParameters)
Market = TypeVar("Market", bound=MarketRules)
_KEY = slice(32, 48)  # of the first stripe
_NAMES = tuple(name for name, _ in MARKET_FIELDS)


def pack_fees(fees: FeeTable) -> bytes:
    """Return the 64 bytes of a fee table; another number of tiers is `struct.error`."""
    return FEES_STRIPE.pack(*(ppm for row in fees for ppm in (row.maker_ppm, row.taker_ppm)))


def unpack_fees(data: bytes, offset: int = 0) -> FeeTable:
    """Return the fee table at `offset`."""
    values = FEES_STRIPE.unpack_from(data, offset)
    return tuple(map(FeeRates, values[::2], values[1::2]))


def pack_rules(rules: MarketRules) -> bytes:
    """Return what follows the first stripe of a command with a market's rules."""
    return MARKET_STRIPE.pack(*(getattr(rules, name) for name in _NAMES)) + pack_fees(rules.fees)


def unpack_rules(
    kind: type[Rules], numbers: tuple[int, int, int], data: bytes, offset: int
) -> Rules:
    """Return the command of `kind` at `offset`.

    `numbers` are symbol, base units of a lot and quote units of a tick times a lot: what the first
    stripe says.
    """
    key = int.from_bytes(data[offset : offset + STRIPE][_KEY], "little")
    return unpack_market(kind, numbers, data[offset + STRIPE : offset + 3 * STRIPE], key=key)


def unpack_market(
    kind: type[Market], numbers: tuple[int, int, int], extension: bytes, **others: int
) -> Market:
    """Return rules of `kind` from the two stripes that follow the first; `numbers` are its."""
    symbol_id, base_units_per_lot, quote_units_per_tick_lot = numbers
    named: dict[str, Any] = dict(
        zip(_NAMES, MARKET_STRIPE.unpack_from(extension), strict=True), **others
    )
    return kind(
        symbol_id=symbol_id,
        base_units_per_lot=base_units_per_lot,
        quote_units_per_tick_lot=quote_units_per_tick_lot,
        fees=unpack_fees(extension, STRIPE),
        **named,
    )
