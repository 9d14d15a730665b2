"""Where a customer may withdraw to, and how much: allow-list, tiers, windows of time.

Values are whole US cents, rounded up, fixed when the withdrawal is asked for: what an asset is
worth tomorrow changes no window. An unknown tier may withdraw nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Tier(StrEnum):
    """How well a customer is known; the row's `tier`."""

    BASIC = "basic"
    VERIFIED = "verified"
    INSTITUTIONAL = "institutional"


TIER_CHANGED = "tier_changed"  # audit action, about the customer
ADDRESS_LISTED = "address_listed"  # audit action, about the customer
ADDRESS_REMOVED = "address_removed"  # audit action, about the customer
MAX_ADDRESSES = 100  # of one customer


class Window(StrEnum):
    """A span of time that ends at the request; its name is part of a refusal's."""

    HOUR = "1h"
    DAY = "24h"
    MONTH = "30d"


WINDOW_SPAN: dict[Window, dt.timedelta] = {
    Window.HOUR: dt.timedelta(hours=1),
    Window.DAY: dt.timedelta(days=1),
    Window.MONTH: dt.timedelta(days=30),
}
_USD = 100  # cents
LIMITS_CENTS: dict[str, dict[Window, int]] = {
    Tier.BASIC: {
        Window.HOUR: 25_000 * _USD,
        Window.DAY: 50_000 * _USD,
        Window.MONTH: 200_000 * _USD,
    },
    Tier.VERIFIED: {
        Window.HOUR: 500_000 * _USD,
        Window.DAY: 1_000_000 * _USD,
        Window.MONTH: 10_000_000 * _USD,
    },
    Tier.INSTITUTIONAL: {
        Window.HOUR: 10_000_000 * _USD,
        Window.DAY: 50_000_000 * _USD,
        Window.MONTH: 500_000_000 * _USD,
    },
}

LISTED = "destination_is_listed"
COOLED_OFF = "destination_has_cooled_off"
VALUE_KNOWN = "value_is_known"


def within(window: Window) -> str:
    """Return the name of the rule that holds a window's limit."""
    return f"within_{window}_limit"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the rows say about a withdrawal asked for `at`.

    `usable_at` is None for an address that is not on the customer's list, `value_cents` None for
    an asset without a price. `earlier_cents` is the value of the customer's other withdrawals in
    each window before `at`, without those that were given back.
    """

    at: dt.datetime
    usable_at: dt.datetime | None
    tier: str
    value_cents: int | None
    earlier_cents: Mapping[Window, int]

    def limit_cents(self, window: Window) -> int:
        """Return the tier's limit; none of it for a tier that nobody knows."""
        return LIMITS_CENTS.get(self.tier, {}).get(window, 0)

    def left_cents(self, window: Window) -> int:
        """Return what may still be withdrawn in the window, not below 0."""
        return max(0, self.limit_cents(window) - self.earlier_cents[window])


def allowance_checks(allowance: Allowance) -> dict[str, bool]:
    """Return each rule, in order of precedence, with whether the withdrawal passes it."""
    usable_at, value = allowance.usable_at, allowance.value_cents
    return {
        LISTED: usable_at is not None,
        COOLED_OFF: usable_at is not None and usable_at <= allowance.at,
        VALUE_KNOWN: value is not None,
        **{
            within(window): value is not None and value <= allowance.left_cents(window)
            for window in Window
        },
    }


def value_cents(amount: int, chain_decimals: int, price: Decimal) -> int:
    """Return the value of `amount` chain units at `price` USD a coin, rounded up to a cent."""
    numerator, denominator = price.as_integer_ratio()
    scale: int = denominator * 10**chain_decimals
    return -(-amount * numerator * _USD // scale)


@dataclass(frozen=True, slots=True)
class AddressNames:
    """What a customer calls an address, and whose it is."""

    label: str = ""
    beneficiary: str = ""
    institution: str = ""


@dataclass(frozen=True, slots=True)
class ListedAddress:
    """An address of a customer's allow-list; it may be paid from `usable_at` on.

    `beneficiary` is whose it is, `institution` the other exchange or bank that holds it; "" is not
    said.
    """

    chain: str
    address: str
    label: str
    usable_at: dt.datetime
    created_at: dt.datetime
    beneficiary: str = ""
    institution: str = ""
