"""A real engine's journal for measurements, given all at once or at a chosen pace."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from domain.commands import Credit, ListSymbol, PlaceOrder
from domain.events import EventType
from domain.fees import flat_fees
from domain.order import OrderType, Side, TimeInForce
from matching.codec import encode_command, view_events
from matching.event_log import EventRange
from matching.sequencer import Sequencer
from matching.storage import FileStorage

ACCOUNTS = 1_000
RICH = 10**15  # engine units of each asset
USDT, ETH, SYMBOL = 1, 2, 1
_PRICE, _SPREAD = 100_000, 3
_CHUNK = 2_000  # orders handed to the engine at a time
_READ_BYTES = 4 << 20  # as the reader of the event log
_LISTING = ListSymbol(
    symbol_id=SYMBOL,
    base_asset_id=ETH,
    quote_asset_id=USDT,
    base_units_per_lot=100_000,
    quote_units_per_tick_lot=1,
    fees=flat_fees(1_000, 2_000),
    max_taker_fee_ppm=2_000,
    band_ppm=100_000,
    listing_price_ticks=_PRICE,
    max_order_lots=1_000_000,
    max_open_orders=100_000,
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole commands, as settlement reads them."""

    first_sequence: int
    last_sequence: int
    raw: bytes


class Flow:
    """An engine's journal with at least so many trades between 1,000 accounts."""

    def __init__(self, folder: Path, trades: int) -> None:
        self.folder = folder
        self._now = time.time_ns() // 1000
        self._chance = random.Random(7)  # noqa: S311 - a load, not a secret
        self._number = 0
        self.sequencer = Sequencer(
            FileStorage(folder),
            0,
            self._clock,
            fresh_journal_id=secrets.token_bytes(16),
            build_id=1,
            ack_policy="os",
        )
        self._open()
        self.funded = self.sequencer.sequence
        self.extend(trades)

    def extend(self, trades: int) -> None:
        """Go on until there are `trades` in all; forget the sequences of the earlier ones."""
        before = self.sequencer.sequence
        while self.sequencer.engine.trades() < trades:
            self.sequencer.submit(b"".join(self._order() for _ in range(_CHUNK)))
        self.sequencer.sync()
        self.last = self.sequencer.sequence
        self.trades = self.sequencer.engine.trades()
        self.sequences = self._trade_sequences(before)  # of each new trade, its command

    def _clock(self) -> int:
        self._now += 1
        return self._now

    def _open(self) -> None:
        self.sequencer.submit(encode_command(_LISTING))
        credits_ = (
            Credit(transfer_number(account, asset), account, asset, RICH, self._now)
            for account in range(1, ACCOUNTS + 1)
            for asset in (USDT, ETH)
        )
        self.sequencer.submit(b"".join(encode_command(credit) for credit in credits_))

    def _order(self) -> bytes:
        self._number += 1
        chance = self._chance
        return encode_command(
            PlaceOrder(
                chance.randint(1, ACCOUNTS),
                self._number,
                SYMBOL,
                Side(chance.randint(0, 1)),
                OrderType.LIMIT,
                TimeInForce.GTC,
                _PRICE + chance.randint(-_SPREAD, _SPREAD),
                chance.randint(1, 50),
            )
        )

    def read(self, after: int, last: int) -> EventRange | None:
        """Return events after `after`, at most up to `last`."""
        return self.sequencer.events.read(after, _READ_BYTES, min(last, self.last))

    def _trade_sequences(self, after: int) -> npt.NDArray[np.int64]:
        found = []
        while (part := self.read(after, self.last)) is not None:
            events = view_events(part.data)
            first = (events["type"] == EventType.TRADE) & (events["part"] == 0)
            found.append(events["sequence"][first].astype(np.int64))
            after = part.last_sequence
        return np.concatenate(found)


def transfer_number(account: int, asset: int) -> int:
    """Return the number of the transfer that funds an account."""
    return account * 10 + asset


class JournalSource:
    """Gives the flow's events as fast as they are asked for, or at `trades_per_second`."""

    def __init__(self, flow: Flow, sequences: npt.NDArray[np.int64], rate: float = 0) -> None:
        self._flow = flow
        self._sequences = sequences
        self._rate = rate
        self._begun = time.monotonic()

    def begin(self) -> None:
        """Start the clock."""
        self._begun = time.monotonic()

    def released(self) -> int:
        """Return up to which command the engine has come by now."""
        if not self._rate:
            return self._flow.last
        made = int((time.monotonic() - self._begun) * self._rate)
        return int(self._sequences[made] - 1) if made < len(self._sequences) else self._flow.last

    def release_times(self) -> npt.NDArray[np.float64]:
        """Return when each trade was released."""
        return self._begun + (np.arange(len(self._sequences)) + 1) / self._rate

    async def read(self, after: int, max_wait_seconds: float) -> Batch | None:
        """Return what is released after `after`, or None."""
        deadline = time.monotonic() + max_wait_seconds
        while (last := self.released()) <= after:
            if time.monotonic() >= deadline:
                return None
            await asyncio.sleep(0.002)
        found = self._flow.read(after, last)
        assert found is not None
        return Batch(found.first_sequence, found.last_sequence, found.data)
