"""Makes an order flow of our own, in the recorded flows' format, with the trades it leads to.

`python -m workers.feed_flow FOLDER` writes `demo.csv.xz` and `demo.log.xz`. The trades come from
the plain Python engine, so playing the file through an exchange must agree with it completely.
"""

from __future__ import annotations

import io
import lzma
import random
import sys
from dataclasses import dataclass
from pathlib import Path

from domain.commands import CancelOrder, Command, Credit, ListSymbol, PlaceOrder
from domain.events import Event, OrderAccepted, OrderClosed, Trade
from domain.fees import flat_fees
from domain.money import text_from_units
from domain.order import OrderType, Side, TimeInForce
from domain.order_id import client_key
from matching.codec import decode_events, encode_command
from matching.engine import create_engine
from workers.feed_file import COLUMNS, PRICE_DECIMALS, VOLUME_DECIMALS

SEED = 20150501
ORDER_COUNT = 2_500
_START_MS = 1_430_438_400_000
_START_TICKS = 23_500
_MARKET = ListSymbol(
    symbol_id=1,
    base_asset_id=1,
    quote_asset_id=2,
    base_units_per_lot=1,
    quote_units_per_tick_lot=1,
    fees=flat_fees(0, 0),
    max_taker_fee_ppm=0,
    band_ppm=10**9,
    listing_price_ticks=_START_TICKS,
    max_order_lots=10**15,
    max_open_orders=10**6,
)
_ACCOUNTS = {Side.BUY: 1, Side.SELL: 2}
_DIRECTIONS = {Side.BUY: "bid", Side.SELL: "ask"}


@dataclass(slots=True)
class _Live:
    side: Side
    price_ticks: int
    volume_lots: int


class FlowMaker:
    """Draws orders around a wandering price and writes down what the engine makes of them."""

    def __init__(self, seed: int) -> None:
        """Open a market with two rich accounts."""
        self.rows: list[str] = []
        self.log: list[str] = []
        self._random = random.Random(seed)  # noqa: S311 - a demo's orders, not a secret
        self._engine = create_engine(kind="reference")
        self._time_ms = _START_MS
        self._live: dict[int, _Live] = {}
        self._apply(_MARKET)
        for number, account in enumerate(_ACCOUNTS.values(), 1):
            for asset in (1, 2):
                self._apply(Credit(10 * number + asset, account, asset, 10**18, _START_MS * 1000))

    def make(self, order_count: int) -> None:
        """Place `order_count` orders, and cancel most of them after a while."""
        price = float(_START_TICKS)
        for number in range(1, order_count + 1):
            price *= 1 + self._random.gauss(0, 0.0002)
            self._time_ms += 1 + int(self._random.expovariate(1 / 150))
            self._place(number, round(price))
            while len(self._live) > 120 or (self._live and self._random.random() < 0.35):
                self._cancel(self._random.choice(list(self._live)))

    def _place(self, number: int, price_ticks: int) -> None:
        side = self._random.choice((Side.BUY, Side.SELL))
        away = round(self._random.gauss(12, 14))
        ticks = price_ticks - away if side is Side.BUY else price_ticks + away
        volume = round(self._random.lognormvariate(18.5, 1))
        self._row(number, ticks, volume, "created", side)
        self._live[number] = _Live(side, ticks, volume)
        events = self._apply(
            PlaceOrder(
                account_id=_ACCOUNTS[side],
                client_key=client_key(str(number)),
                symbol_id=1,
                side=side,
                order_type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC,
                price_ticks=ticks,
                quantity_lots=volume,
                client_text=str(number),
            )
        )
        assert isinstance(events[0], OrderAccepted)
        assert events[0].order_id == number
        for event in events:
            if isinstance(event, Trade):
                self._trade(event)
            if isinstance(event, OrderClosed):
                del self._live[event.order_id]

    def _trade(self, trade: Trade) -> None:
        for number in (trade.maker_order_id, trade.taker_order_id):
            order = self._live[number]
            order.volume_lots -= trade.quantity_lots
            action = "changed" if order.volume_lots else "deleted"
            self._row(number, order.price_ticks, order.volume_lots, action, order.side)
        price = text_from_units(trade.price_ticks, PRICE_DECIMALS)
        amount = text_from_units(trade.quantity_lots, VOLUME_DECIMALS)
        body = f'{{"price": {price}, "amount": {amount}, "id": {trade.trade_id}}}'
        self.log.append(f"{self._time_ms} trade {body}")

    def _cancel(self, number: int) -> None:
        order = self._live.pop(number)
        self._time_ms += 1
        self._row(number, order.price_ticks, order.volume_lots, "deleted", order.side)
        self._apply(CancelOrder(_ACCOUNTS[order.side], 1, order_id=number))

    def _row(self, number: int, ticks: int, volume: int, action: str, side: Side) -> None:
        price = text_from_units(ticks, PRICE_DECIMALS)
        second = self._time_ms // 1000 * 1000
        fields = (number, self._time_ms, second, price, volume, action, _DIRECTIONS[side])
        self.rows.append(",".join(map(str, fields)))

    def _apply(self, command: Command) -> list[Event]:
        sequence = self._engine.sequence + 1
        stripes = encode_command(command, sequence=sequence, time_us=self._time_ms * 1000)
        return decode_events(self._engine.apply(stripes))


def flow_bytes(seed: int = SEED, order_count: int = ORDER_COUNT) -> tuple[bytes, bytes]:
    """Return the flow's CSV and its log, uncompressed."""
    maker = FlowMaker(seed)
    maker.make(order_count)
    text = io.StringIO()
    text.write(",".join(COLUMNS) + "\n")
    text.writelines(f"{row}\n" for row in maker.rows)
    return text.getvalue().encode(), "".join(f"{line}\n" for line in maker.log).encode()


def main() -> None:
    """Write the flow into the folder named on the command line."""
    folder = Path(sys.argv[1])
    flow, log = flow_bytes()
    (folder / "demo.csv.xz").write_bytes(lzma.compress(flow, preset=9))
    (folder / "demo.log.xz").write_bytes(lzma.compress(log, preset=9))


if __name__ == "__main__":
    main()
