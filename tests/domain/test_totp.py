"""Codes of a second factor: the standard's own vectors, and that each counts once."""

from __future__ import annotations

import pytest

from domain.totp import base32_of, code_at, provisioning_uri, step_of

RFC_SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    """The last six of the eight digits of its appendix B, for SHA-1."""
    assert code_at(RFC_SECRET, seconds // 30) == code[-6:]


def test_a_clock_may_be_off_by_one_step() -> None:
    """Either way, and no more."""
    now = 1_111_111_111
    middle = now // 30
    for off, found in ((-2, None), (-1, middle - 1), (0, middle), (1, middle + 1), (2, None)):
        code = code_at(RFC_SECRET, middle + off)
        assert step_of(RFC_SECRET, code, now=now, after_step=0) == found


def test_a_code_counts_once() -> None:
    """Neither it nor an earlier one counts after the step that was kept."""
    now = 1_111_111_111
    middle = now // 30
    code = code_at(RFC_SECRET, middle)
    assert step_of(RFC_SECRET, code, now=now, after_step=middle - 1) == middle
    assert step_of(RFC_SECRET, code, now=now, after_step=middle) is None
    earlier = code_at(RFC_SECRET, middle - 1)
    assert step_of(RFC_SECRET, earlier, now=now, after_step=middle) is None


def test_what_an_app_reads() -> None:
    """The key's address format, with a name that needs quoting."""
    assert base32_of(RFC_SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert provisioning_uri("a b/c", RFC_SECRET) == (
        "otpauth://totp/Rialto:a%20b%2Fc?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Rialto"
    )
