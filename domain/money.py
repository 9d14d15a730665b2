"""Exact conversion between decimal text and integer units.

Every amount in Rialto is an integer count of some unit. Decimal text exists only at the edge
(API, command line); this module is the one place where text becomes units and back.
"""

from __future__ import annotations

import re

INT64_MAX = 2**63 - 1
PPM = 1_000_000

_PLAIN_DECIMAL = re.compile(r"(?P<whole>0|[1-9][0-9]{0,29})(?:\.(?P<fraction>[0-9]{1,30}))?")


class DecimalTextError(ValueError):
    """The text is not a plain non-negative decimal, or is finer than the unit allows."""


def units_from_text(text: str, decimals: int) -> int:
    """Return `text` as a count of 10**-`decimals` units; exact, never rounded.

    Exponents, signs, blanks, leading zeros and digits below the unit are refused with
    `DecimalTextError`: silent rounding of a customer's number is a defect.
    """
    match = _PLAIN_DECIMAL.fullmatch(text)
    if match is None:
        raise DecimalTextError(f"not a plain decimal number: {text[:40]!r}")
    fraction = (match["fraction"] or "").rstrip("0")
    if len(fraction) > decimals:
        raise DecimalTextError(f"{text!r} has more than {decimals} decimals")
    scale: int = 10**decimals
    return int(match["whole"]) * scale + int(fraction.ljust(decimals, "0") or "0")


def text_from_units(units: int, decimals: int) -> str:
    """Return `units` of 10**-`decimals` as plain decimal text without trailing zeros; exact."""
    if not units:
        return "0"
    sign, magnitude = ("-", -units) if units < 0 else ("", units)
    whole, fraction = divmod(magnitude, 10**decimals)
    digits = str(fraction).rjust(decimals, "0").rstrip("0") if decimals else ""
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def floor_ppm(amount_units: int, rate_ppm: int) -> int:
    """Return amount x rate / 10**6 rounded down (toward minus infinity); used for fill fees."""
    return amount_units * rate_ppm // PPM


def ceil_ppm(amount_units: int, rate_ppm: int) -> int:
    """Return amount x rate / 10**6 rounded up; used for holds, so a hold covers its fills."""
    return -(-amount_units * rate_ppm // PPM)
