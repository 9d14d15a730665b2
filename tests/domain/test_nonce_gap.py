"""Holes in the hot wallet's sequence, from rows alone."""

from __future__ import annotations

import datetime as dt

from domain.nonce_gap import NonceGap, Numbered, find_gap
from domain.withdrawal import StoredTransaction

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def _row(nonce: int, *hashes: str, voids: str = "") -> Numbered:
    transactions = tuple(
        StoredTransaction(name, b"", number, AT, name == voids)
        for number, name in enumerate(hashes)
    )
    return Numbered(nonce, f"w-{nonce}", "confirm", transactions)


def test_no_hole_while_the_node_has_one_of_each() -> None:
    """Any of a nonce's transactions fills it; what is mined is below the count."""
    rows = (_row(5, "0xa", "0xb"), _row(6, "0xc"))
    assert find_gap(5, 7, rows, {"0xa", "0xc"}) is None
    assert find_gap(7, 7, (), set()) is None
    assert find_gap(9, 7, (), set()) is None


def test_lowest_hole_is_named_with_what_waits_behind_it() -> None:
    """Forgotten, never signed, and of no withdrawal at all."""
    rows = (_row(5, "0xa"), _row(6, "0xb"), _row(8))
    assert find_gap(5, 9, rows, {"0xa"}) == NonceGap(6, "w-6", "confirm", True, 2)
    assert find_gap(5, 9, rows, {"0xa", "0xb"}) == NonceGap(7, "", "", False, 1)
    assert find_gap(8, 9, rows, set()) == NonceGap(8, "w-8", "confirm", False, 0)


def test_a_void_is_what_the_node_ought_to_have() -> None:
    """Also where a payment was stored after it by a run that did not know better."""
    assert _row(5).wanted is None
    wanted = _row(5, "0xa", "0xb").wanted
    assert wanted is not None
    assert wanted.tx_hash == "0xb"
    void = _row(5, "0xa", "0xb", voids="0xa").wanted
    assert void is not None
    assert void.tx_hash == "0xa"
