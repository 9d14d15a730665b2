"""When a payment lies deep: in the node's chain, and in what the watcher has read of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from activities.payment_chain import PaymentChain
from domain.chain import Receipt


@dataclass
class Node:
    """A node that tells a head, and has blocks up to another."""

    told: int
    there: int

    async def head(self) -> int:
        return self.told

    async def block_hash(self, number: int) -> str | None:
        return f"0x{number}" if number <= self.there else None


@dataclass
class Blocks:
    """What the watcher has read."""

    height: int | None

    async def tip(self, chain: str) -> tuple[int, str] | None:
        return None if self.height is None else (self.height, f"0x{self.height}")


@dataclass
class Row:
    """A payment, as far as depth goes."""

    chain: str = "ETH"
    confirmations: int = 3
    nonce: int | None = 0


@pytest.mark.parametrize(
    ("told", "there", "read", "is_deep"),
    [
        (12, 12, 12, True),
        (11, 11, 11, False),
        (12, 12, 11, False),  # books that go before the watcher's block differ from the chain there
        (12, 11, 12, False),
        (12, 12, None, True),  # nothing is watched, and nothing compared
    ],
)
async def test_depth_counts_what_the_watcher_has_read(
    told: int, there: int, read: int | None, *, is_deep: bool
) -> None:
    """The third block, counted from its own, has to be told, there, and read."""
    node = cast("Any", Node(told, there))
    chain = PaymentChain(cast("Any", None), Blocks(read), node, "0xhot", 1, 1.0)
    for block_hash, wanted in (("0x10", is_deep), ("0xother", False)):
        receipt = Receipt("0xa", 10, block_hash, succeeded=True, fee=1)
        assert await chain.is_deep(Row(), receipt) is wanted
