"""When a payment lies deep, and how seldom the node is asked until it does."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities.chain_look import ChainPicture
from activities.payment_chain import PaymentChain
from domain.chain import Receipt
from domain.withdrawal import StoredTransaction


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
    chain = PaymentChain(cast("Any", None), Blocks(read), node, cast("Any", None), "0xhot", 1, 1.0)
    for block_hash, wanted in (("0x10", is_deep), ("0xother", False)):
        receipt = Receipt("0xa", 10, block_hash, succeeded=True, fee=1)
        assert await chain.is_deep(Row(), receipt) is wanted


class MinedAtTen(Node):
    """A node whose block 10 has the payment; counts how often it is asked for the receipt."""

    asked = 0
    block_hash_at_ten = "0x10"

    async def receipt(self, tx_hash: str) -> Receipt | None:
        self.asked += 1
        return Receipt(tx_hash, 10, self.block_hash_at_ten, succeeded=True, fee=1)

    async def block_hash(self, number: int) -> str | None:
        return self.block_hash_at_ten if number == 10 else await super().block_hash(number)


class Scenes:
    """What all who wait see, one picture after the other; the last one stays."""

    def __init__(self, node: MinedAtTen, *scenes: tuple[int, int, str]) -> None:
        self._node = node
        self._scenes = list(scenes)

    async def picture(self) -> ChainPicture:
        head, read, at_ten = self._scenes.pop(0) if len(self._scenes) > 1 else self._scenes[0]
        self._node.told = self._node.there = head
        self._node.block_hash_at_ten = at_ten
        hashes = {number: f"0x{number}" for number in range(5, read + 1)}
        return ChainPicture(head, hashes | ({10: at_ten} if read >= 10 else {}))


@pytest.mark.parametrize(
    ("scenes", "asked"),
    [
        ([(10, 10, "0x10"), (11, 11, "0x10"), (12, 11, "0x10"), (12, 12, "0x10")], 2),
        ([(12, 12, "0x10")], 2),
        ([(11, 11, "0x10"), (11, 11, "0xother"), (12, 12, "0xother")], 3),  # reorganised
        ([(11, 9, "0x10"), (12, 12, "0x10")], 3),  # the watcher is behind: looked at each time
    ],
)
async def test_a_mined_payment_is_asked_for_only_when_the_picture_changes(
    monkeypatch: pytest.MonkeyPatch, scenes: list[tuple[int, int, str]], asked: int
) -> None:
    """Mined at ten, three confirmations: once when it is seen, once when it may be deep enough."""
    monkeypatch.setattr("activities.payment_chain._POLL_SECONDS", 0.001)
    node = MinedAtTen(10, 10)
    look = cast("Any", Scenes(node, *scenes))
    chain = PaymentChain(cast("Any", None), Blocks(12), cast("Any", node), look, "0xhot", 1, 1.0)
    stored = [StoredTransaction("0xa", b"", 0, dt.datetime.now(dt.UTC))]
    receipt = await ActivityEnvironment().run(chain.watch, Row(), stored, stored[0])
    assert receipt is not None
    assert receipt.block_number == 10
    assert node.asked == asked
