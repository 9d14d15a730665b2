"""A shard on a simulated disk: sequencer, clock and a little order flow, for tests."""

from __future__ import annotations

import random
from typing import Any

from domain.commands import CancelOrder, Credit, PlaceOrder
from domain.order import OrderType, Side, TimeInForce
from matching.codec import encode_command
from matching.sequencer import Sequenced, Sequencer
from matching.storage import Storage
from tests.matching.desk import ETH_USDT, LISTING

JOURNAL_ID = bytes(range(16))


class Clock:
    """A wall clock that moves a millisecond a reading, and jumps when told."""

    def __init__(self) -> None:
        self.now_us = 1_700_000_000_000_000

    def __call__(self) -> int:
        """Return the time."""
        self.now_us += 1_000
        return self.now_us


class Shard:
    """A sequencer that can be started again from the same storage."""

    def __init__(self, storage: Storage, **options: Any) -> None:
        self.storage = storage
        self.clock = Clock()
        self._options = options
        self._number = 0
        self.sequencer = self.start()

    def start(self) -> Sequencer:
        """Start (again) from what the storage has."""
        options = {"fresh_journal_id": JOURNAL_ID, "build_id": 1, "kind": "auto"}
        self.sequencer = Sequencer(self.storage, 0, self.clock, **{**options, **self._options})
        return self.sequencer

    def open_market(self) -> None:
        """List the market and fund the accounts 1 to 5."""
        records = [encode_command(LISTING)]
        records += [
            encode_command(Credit(account * 10 + asset, account, asset, 10**12, self.clock.now_us))
            for account in range(1, 6)
            for asset in (1, 2)
        ]
        self.sequencer.submit(b"".join(records))

    def flow(self, seed: random.Random, commands: int) -> Sequenced:
        """Submit one batch of random orders and cancels."""
        records = []
        for _ in range(commands):
            self._number += 1
            if seed.random() < 0.2:
                key = seed.randint(1, self._number)
                records.append(encode_command(CancelOrder(seed.randint(1, 5), ETH_USDT, 0, key)))
                continue
            records.append(
                encode_command(
                    PlaceOrder(
                        seed.randint(1, 5),
                        self._number,
                        ETH_USDT,
                        Side(seed.randint(0, 1)),
                        OrderType.LIMIT,
                        TimeInForce.GTC,
                        seed.randint(990, 1_010),
                        seed.randint(1, 50),
                    )
                )
            )
        return self.sequencer.submit(b"".join(records))
