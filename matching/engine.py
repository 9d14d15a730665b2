"""The engine behind one face: bytes in, bytes out, and read-only questions to its state."""

from __future__ import annotations

from dataclasses import dataclass

from domain.order import OrderStatus, OrderType, ShardMode, Side, SymbolState, TimeInForce
from matching.book import Order
from matching.engine_state import ASSET_BITS
from matching.reference import ReferenceEngine
from matching.wire import order_words


class EngineKindError(RuntimeError):
    """The wanted implementation is not available here."""


@dataclass(frozen=True, slots=True)
class OrderView:
    """One order as the engine knows it."""

    order_id: int
    account_id: int
    client_key: int
    client_text: str
    symbol_id: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    price_ticks: int
    quantity_lots: int
    filled_lots: int
    accepted_sequence: int
    accepted_time_us: int
    status: OrderStatus


@dataclass(frozen=True, slots=True)
class SymbolView:
    """One market's state and last price (0: no trade yet)."""

    symbol_id: int
    state: SymbolState
    last_ticks: int
    open_orders: int


class Engine:
    """A deterministic engine; `kind` names the implementation behind it."""

    def __init__(self, implementation: ReferenceEngine) -> None:
        self._engine = implementation

    @staticmethod
    def create(shard: int = 0, kind: str = "auto") -> Engine:
        """Return an empty engine. `kind`: "core", "reference", or "auto" for the best there is."""
        _check_kind(kind)
        return Engine(ReferenceEngine(shard))

    @staticmethod
    def restore(data: bytes, kind: str = "auto") -> Engine:
        """Return the engine whose `snapshot()` is `data`; else `SnapshotError`."""
        _check_kind(kind)
        return Engine(ReferenceEngine.restore(data))

    @property
    def kind(self) -> str:
        """Return which implementation runs: "core" or "reference"."""
        return self._engine.kind

    @property
    def shard(self) -> int:
        """Return the shard's number."""
        return self._engine.state.shard

    @property
    def sequence(self) -> int:
        """Return the number of the last command applied."""
        return self._engine.state.sequence

    @property
    def time_us(self) -> int:
        """Return the time of the last command applied."""
        return self._engine.state.time_us

    @property
    def epoch(self) -> int:
        """Return the epoch of the last `Started`."""
        return self._engine.state.epoch

    @property
    def mode(self) -> ShardMode:
        """Return the shard's mode."""
        return ShardMode(self._engine.state.mode)

    def apply(self, batch: bytes) -> bytes:
        """Apply sequenced command stripes; return event stripes. Malformed: `WireError`."""
        return self._engine.apply(batch)

    def chain(self) -> bytes:
        """Return the running chain over all event stripes so far, 64 bytes."""
        return self._engine.chain()

    def digest(self) -> bytes:
        """Return 16 bytes that name the whole state."""
        return self._engine.digest()

    def snapshot(self) -> bytes:
        """Return the canonical bytes of the whole state."""
        return self._engine.snapshot()

    def balances(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Return {(account_id, asset_id): (total, held)} in engine units, without all-zero ones."""
        mask = (1 << ASSET_BITS) - 1
        return {
            (key >> ASSET_BITS, key & mask): (pair[0], pair[1])
            for key, pair in self._engine.state.balances.items()
            if pair[0] or pair[1]
        }

    def account_balances(self, account_id: int) -> dict[int, tuple[int, int]]:
        """Return {asset_id: (total, held)} of one account; all-zero ones left out."""
        state = self._engine.state
        found = {}
        for asset_id in sorted(state.issued):
            total, held = state.balances.get(account_id << ASSET_BITS | asset_id, (0, 0))
            if total or held:
                found[asset_id] = (total, held)
        return found

    def trades(self) -> int:
        """Return how many trades the shard has made since the beginning."""
        return self._engine.state.next_trade - 1

    def fees(self) -> dict[int, int]:
        """Return {asset_id: fees collected} in engine units since the beginning."""
        return dict(self._engine.state.fees)

    def issued(self) -> dict[int, int]:
        """Return {asset_id: credits less debits} in engine units: all totals + fees."""
        return dict(self._engine.state.issued)

    def open_orders(self, account_id: int, symbol_id: int = 0) -> list[OrderView]:
        """Return the account's open orders by id, of one market or (0) of all."""
        markets = self._engine.state.markets
        mine = [
            order
            for market in markets.values()
            if symbol_id in (0, market.rules.symbol_id)
            for order in market.open_by_account.get(account_id, {}).values()
        ]
        return [_view(order) for order in sorted(mine, key=lambda order: order.order_id)]

    def order(self, account_id: int, order_id: int = 0, client_key: int = 0) -> OrderView | None:
        """Return an open or not yet forgotten order of the account, by id or by client key."""
        state = self._engine.state
        if order_id:
            found = state.orders.get(order_id) or state.window.closed.get(order_id)
        else:
            identity = account_id.to_bytes(8, "little") + client_key.to_bytes(16, "little")
            found = state.window.orders.get(identity)
        return _view(found) if found is not None and found.account_id == account_id else None

    def book(
        self, symbol_id: int, depth: int
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the best `depth` (price_ticks, lots) of bids and of asks; unknown: both empty."""
        market = self._engine.state.markets.get(symbol_id)
        if market is None:
            return [], []
        return market.sides[0].depth(depth), market.sides[1].depth(depth)

    def symbols(self) -> list[SymbolView]:
        """Return the listed markets by id."""
        return [
            SymbolView(
                symbol_id,
                SymbolState(market.state),
                market.last_ticks,
                sum(map(len, market.open_by_account.values())),
            )
            for symbol_id, market in sorted(self._engine.state.markets.items())
        ]


def _check_kind(kind: str) -> None:
    if kind == "core":
        raise EngineKindError("the C++ core is not built here: use engine_kind=reference")
    if kind not in ("auto", "reference"):
        raise EngineKindError(f"unknown engine kind {kind!r}")


def _view(order: Order) -> OrderView:
    side, order_type, time_in_force = order_words(order.flags)
    return OrderView(
        order_id=order.order_id,
        account_id=order.account_id,
        client_key=int.from_bytes(order.identity[8:], "little"),
        client_text=order.text.decode("ascii"),
        symbol_id=order.symbol_id,
        side=side,
        order_type=order_type,
        time_in_force=time_in_force,
        post_only=bool(order.flags >> 8 & 1),
        price_ticks=order.price_ticks,
        quantity_lots=order.quantity_lots,
        filled_lots=order.filled_lots,
        accepted_sequence=order.accepted_sequence,
        accepted_time_us=order.accepted_time_us,
        status=OrderStatus(order.status),
    )
