"""Integer division with its rounding in the name. The divisor is always positive.

Rounding down, toward minus infinity, is Python's `//`. C++ divides toward zero: there `//` of a
negative number is the quotient less one where a remainder is left, and only `truncate_div` is
the plain operator.
"""

from __future__ import annotations


def ceil_div(numerator: int, divisor: int) -> int:
    """Return the quotient rounded up, toward plus infinity."""
    return -(-numerator // divisor)


def truncate_div(numerator: int, divisor: int) -> int:
    """Return the quotient rounded toward zero."""
    return -(-numerator // divisor) if numerator < 0 else numerator // divisor


def half_even_div(numerator: int, divisor: int) -> int:
    """Return the nearest whole quotient; halfway between two, the even one."""
    quotient, rest = divmod(numerator, divisor)
    if 2 * rest > divisor or (2 * rest == divisor and quotient % 2):
        return quotient + 1
    return quotient


def clamp(value: int, lowest: int, highest: int) -> int:
    """Return the value, or the end of the range that it lies beyond."""
    return min(max(value, lowest), highest)
