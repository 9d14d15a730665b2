"""What all who wait for confirmations see of the chain, by one look for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from activities.shared_look import SharedLook
from activities.wallet_ports import ChainAdapter

_FRESH_SECONDS = 0.25
_BLOCKS = 100  # the newest ones; what lies deeper is looked at each time


class NewestBlocks(Protocol):
    """The blocks that the watcher has stored."""

    async def newest(self, chain: str, count: int) -> dict[int, str]:
        """Return the hashes of the newest ones by number."""


@dataclass(frozen=True, slots=True)
class ChainPicture:
    """The head as the node told it, and the hashes of the newest blocks that the watcher read."""

    head: int
    read: Mapping[int, str] = field(default_factory=dict)

    def shows(self, number: int, block_hash: str) -> bool:
        """Return whether this block is in the chain as the watcher knows it."""
        return self.read.get(number) == block_hash

    def has_read(self, number: int) -> bool:
        """Return whether the watcher has come to this height, as far as the picture goes."""
        return number in self.read


class ChainLook:
    """The picture of one chain; only says when a look of one's own may find something new."""

    def __init__(self, chain: ChainAdapter, blocks: NewestBlocks, name: str) -> None:
        self._chain = chain
        self._blocks = blocks
        self._name = name
        self._shared = SharedLook(self._look, _FRESH_SECONDS)

    async def picture(self) -> ChainPicture:
        """Return the picture, a quarter of a second old at most; raises as the node does."""
        return await self._shared.get()

    async def _look(self) -> ChainPicture:
        return ChainPicture(
            await self._chain.head(), await self._blocks.newest(self._name, _BLOCKS)
        )
