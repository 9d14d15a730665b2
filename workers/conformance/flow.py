"""A recorded order flow (`feed_file.py`) through several engines that must agree byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from domain.commands import CancelOrder, Command, PlaceOrder
from domain.events import EventType
from domain.order import OrderType, Side, TimeInForce
from matching.codec import view_events
from workers.conformance.desk import Desk, market
from workers.feed_file import FlowRow, playable, read_flow

BATCH = 200
_ACCOUNTS = {"bid": 1, "ask": 2}
_RICH = 4 * 10**18


@dataclass(frozen=True, slots=True)
class Played:
    """What a flow led to, the same in every engine; refused are cancels that come too late."""

    commands: int
    trades: int
    refused: int
    events_sha256: str
    digest: str


def play(
    path: Path,
    kinds: Iterable[str] = ("core", "reference"),
    limit: int | None = None,
) -> Played:
    """Play a flow file; `DivergenceError` names the first batch after which engines differ."""
    rows = list(islice(playable(read_flow(path)), limit))
    desk = Desk(*kinds)
    # Quote units are 10**-10: tick 0.01 x lot 10**-8.
    desk.run(market(1, listing_price_ticks=23_500, band_ppm=10**9))
    for account in _ACCOUNTS.values():
        for asset in (1, 2):
            desk.fund(account, asset, _RICH)
    sha256, trades, refused = hashlib.sha256(), 0, 0
    for start in range(0, len(rows), BATCH):
        out = desk.apply(_command(row) for row in rows[start : start + BATCH])
        sha256.update(out)
        view = view_events(out)
        trades += int(np.count_nonzero((view["type"] == EventType.TRADE) & (view["part"] == 0)))
        refused += int(np.count_nonzero(view["type"] == EventType.COMMAND_REJECTED))
    return Played(len(rows), trades, refused, sha256.hexdigest(), desk.digest().hex())


def _command(row: FlowRow) -> Command:
    """Return a row as a command; orders are named by the flow's ids."""
    account = _ACCOUNTS[row.direction]
    if row.action == "deleted":
        return CancelOrder(account, 1, client_key=row.order_id)
    return PlaceOrder(
        account,
        row.order_id,
        1,
        Side.BUY if row.direction == "bid" else Side.SELL,
        OrderType.LIMIT,
        TimeInForce.GTC,
        row.price_ticks,
        row.volume_lots,
    )
