"""The hot wallet's nonces are looked after, with a node as a script."""

from __future__ import annotations

import datetime as dt

from activities.nonce_care import NonceCare
from domain.chain import AddressState
from domain.nonce_gap import NonceGap, Numbered
from domain.withdrawal import StoredTransaction

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Rows:
    """Two payments, of which the second has a dearer transaction, and a nonce that nobody has."""

    chain, address = "ETH", "0xHot"

    async def numbered(self, from_nonce: int, limit: int) -> tuple[int, tuple[Numbered, ...]]:
        first = StoredTransaction("0xa", b"a", 0, AT)
        second = tuple(
            StoredTransaction(name, name.encode(), n, AT) for n, name in enumerate(("0xb", "0xc"))
        )
        rows = (Numbered(4, "w-4", "confirm", (first,)), Numbered(5, "w-5", "confirm", second))
        return 7, tuple(row for row in rows if row.nonce >= from_nonce)


class Blocks:
    """What the watcher has stored."""

    async def tip(self, chain: str) -> tuple[int, str] | None:
        return 10, "0xblock"


class Node:
    """Knows some hashes, takes or refuses transactions."""

    def __init__(self, *known: str, head: int = 10) -> None:
        self.known, self.at, self.sent = set(known), head, list[bytes]()
        self.refuses: set[bytes] = set()

    async def head(self) -> int:
        return self.at

    async def address_state(self, address: str, contracts: object) -> AddressState:
        return AddressState(self.at, 4, {})

    async def knows(self, tx_hash: str) -> bool:
        return tx_hash in self.known

    async def broadcast(self, raw: bytes) -> None:
        if raw in self.refuses:
            raise RuntimeError("underpriced")
        self.sent.append(raw)


def _care(node: Node) -> NonceCare:
    return NonceCare(Rows(), Blocks(), node)  # type: ignore[arg-type]


async def test_lowest_hole_is_found_whichever_transaction_the_node_has() -> None:
    """An older one of the nonce fills it, too; the last nonce has no withdrawal."""
    assert await _care(Node("0xa", "0xb")).find() == NonceGap(6, "", "", False, 0)
    assert await _care(Node("0xa")).find() == NonceGap(5, "w-5", "confirm", True, 1)
    assert await _care(Node("0xc")).find() == NonceGap(4, "w-4", "confirm", True, 2)


async def test_what_is_wanted_is_sent_again_and_a_refusal_stops_nobody() -> None:
    """The newest of a nonce; nothing where the node has it, nothing to a node that is behind."""
    node = Node()
    node.refuses = {b"a"}
    assert await _care(node).send_again() == ["w-5"]
    assert node.sent == [b"0xc"]
    assert await _care(Node("0xa", "0xc")).send_again() == []
    behind = Node(head=9)
    assert await _care(behind).send_again() == []
    assert behind.sent == []
