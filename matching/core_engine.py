"""The C++ core behind the engine's face. Same bytes as `matching/reference.py`, much faster."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from domain.errors import RejectReason
from domain.order import ShardMode, SymbolState
from domain.order_record import DryRun, OrderRecord
from domain.perpetual_record import Holding, ScopeMargin
from domain.trading_status import StatusReason
from matching.codec import check_order
from matching.perpetual_state_codec import (
    SEAT,
    SeatLine,
    perpetual_views,
    position_views,
)
from matching.state_codec import SnapshotError, decode_markets, decode_orders, read_status
from matching.views import (
    FrozenView,
    MarketView,
    PerpetualView,
    ShardView,
    SymbolView,
    order_record,
)
from matching.wire import SequenceError, WireError, WireFault

T = TypeVar("T")


def load_core() -> ModuleType | None:
    """Return the native module, or None where it was not built."""
    try:
        return importlib.import_module("matching._core")
    except ImportError:
        return None


class CoreEngine:
    """`matching._core.Core` with the exceptions and values of this package."""

    kind = "core"

    def __init__(self, module: ModuleType, shard: int = 0, data: bytes | None = None) -> None:
        """Start empty, or with the state whose snapshot `data` is (else `SnapshotError`)."""
        self._refusals = (module.CoreWireError, module.CoreSequenceError)
        try:
            self._core = module.Core(shard) if data is None else module.Core.restore(data)
        except ValueError as error:
            raise SnapshotError(f"malformed snapshot: {error}") from error

    @property
    def shard(self) -> int:
        """Return the shard's number."""
        return int(self._core.shard)

    @property
    def sequence(self) -> int:
        """Return the number of the last command applied."""
        return int(self._core.sequence)

    @property
    def time_us(self) -> int:
        """Return the time of the last command applied."""
        return int(self._core.time_us)

    @property
    def epoch(self) -> int:
        """Return the epoch of the last `Started`."""
        return int(self._core.epoch)

    @property
    def mode(self) -> ShardMode:
        """Return the shard's mode."""
        return ShardMode(self._core.mode)

    @property
    def status(self) -> StatusReason:
        """Return why the shard's mode is what it is."""
        return read_status(self._core.status())

    def shared(self) -> Any:
        """Return the native engine, for the loop that drives it from now on."""
        return self._core.shared()

    def with_sequence(self, ask: Callable[[], T]) -> tuple[int, T]:
        """Return the sequence at which one question is answered, and the answer.

        A loop that drives the engine answers questions between two batches; two of them may see
        two states.
        """
        found = ask()
        return int(self._core.answered_at()), found

    def view(self, *, with_digest: bool = False) -> ShardView:
        """Return where the whole shard is, all of it at one sequence."""
        sequence, time_us, epoch, mode, status, chain, symbols, state = self._core.view(with_digest)
        return ShardView(
            sequence=sequence,
            time_us=time_us,
            epoch=epoch,
            mode=ShardMode(mode),
            status=read_status(status),
            chain=chain,
            symbols=_symbols(symbols),
            digest=_digest(state) if with_digest else b"",
        )

    def apply(self, batch: bytes) -> bytes:
        """Apply sequenced command stripes; the interpreter is free while the core works."""
        try:
            return bytes(self._core.apply(bytes(batch)))
        except self._refusals as error:
            raise _named(error) from error

    def replay(self, batch: bytes) -> int:
        """Apply as `apply` does, for the state alone; return how many bytes of events it gave."""
        try:
            return int(self._core.replay(batch))
        except self._refusals as error:
            raise _named(error) from error

    def chain(self) -> bytes:
        """Return the running chain over all event stripes so far, 64 bytes."""
        return bytes(self._core.chain())

    def digest(self) -> bytes:
        """Return BLAKE2b-16 of the snapshot bytes."""
        return _digest(self.snapshot())

    def snapshot(self) -> bytes:
        """Return the canonical bytes of the whole state."""
        return bytes(self._core.snapshot())

    def balances(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Return {(account_id, asset_id): (total, held)} without all-zero ones."""
        return {(a, asset): (total, held) for a, asset, total, held in self._core.balances()}

    def account_balances(self, account_id: int) -> dict[int, tuple[int, int]]:
        """Return {asset_id: (total, held)} of one account."""
        lines = sorted(self._core.account_balances(account_id))
        return {asset: (total, held) for _, asset, total, held in lines}

    def trades(self) -> int:
        """Return how many trades the shard has made since the beginning."""
        return int(self._core.trades)

    def fees(self) -> dict[int, int]:
        """Return {asset_id: fees collected}."""
        return {asset: fees for asset, _, fees in self._core.assets()}

    def issued(self) -> dict[int, int]:
        """Return {asset_id: credits less debits}."""
        return {asset: issued for asset, issued, _ in self._core.assets()}

    def open_orders(self, account_id: int, symbol_id: int = 0) -> list[OrderRecord]:
        """Return the account's open orders by id."""
        return _records(self._core.open_orders(account_id, symbol_id))

    def order(self, account_id: int, order_id: int = 0, client_key: int = 0) -> OrderRecord | None:
        """Return an open or not yet forgotten order of the account."""
        if order_id:
            found = _records(self._core.order_by_id(order_id))
        else:
            low, high = client_key & 2**64 - 1, client_key >> 64
            found = _records(self._core.order_by_key(account_id, low, high))
        return found[0] if found and found[0].account_id == account_id else None

    def dry_run(self, record: bytes) -> DryRun:
        """Return why an unsequenced order or list would be refused now, or what it would hold."""
        check_order(record)
        reason, hold_units, list_position = self._core.dry_run(record)
        return DryRun(RejectReason(reason), hold_units, list_position)

    def book(
        self, symbol_id: int, depth: int
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the best `depth` (price_ticks, lots) of bids and of asks."""
        bids, asks = self._core.book(symbol_id, depth)
        return bids, asks

    def markets(self) -> list[MarketView]:
        """Return the listed markets with their rules, by id."""
        return [
            MarketView(market.rules, SymbolState(market.state))
            for market in decode_markets(bytes(self._core.markets()))
        ]

    def perpetuals(self) -> list[PerpetualView]:
        """Return the perpetual markets by id."""
        lines, now = self._core.perpetuals()
        return perpetual_views(bytes(lines), now)

    def positions(self, account_id: int) -> list[Holding]:
        """Return what an account has in perpetuals, and chosen for them, by market."""
        lines, now = self._core.positions(account_id)
        return position_views(bytes(lines), now)

    def scope(self, account_id: int, symbol_id: int = 0) -> ScopeMargin:
        """Return an account's cross margin, or (by its market) an isolated position's."""
        return ScopeMargin(symbol_id, *self._core.scope(account_id, symbol_id))

    def seats(self) -> list[SeatLine]:
        """Return all seats with a position, cash or choices of their own, by market and account."""
        return [SeatLine(*values) for values in SEAT.iter_unpack(bytes(self._core.seats()))]

    def frozen(self) -> list[FrozenView]:
        """Return the scopes in liquidation by account and symbol."""
        return [
            FrozenView(account_id, symbol_id, version, low | high << 64, since_us)
            for account_id, symbol_id, version, low, high, since_us in self._core.frozen()
        ]

    def dust(self) -> int:
        """Return the rounding dust of funding in units of the collateral."""
        return int(self._core.dust())

    def tiers(self) -> dict[int, int]:
        """Return {account id: fee tier} where it is not 0."""
        return dict(self._core.tiers())

    def symbols(self) -> list[SymbolView]:
        """Return the listed markets by id."""
        return _symbols(self._core.symbols())


def _digest(state: bytes) -> bytes:
    return hashlib.blake2b(state, digest_size=16).digest()


def _symbols(lines: list[tuple[int, int, int, int, bytes]]) -> list[SymbolView]:
    return [
        SymbolView(symbol_id, SymbolState(state), last, count, read_status(status))
        for symbol_id, state, last, count, status in sorted(lines)
    ]


def _records(lines: bytes) -> list[OrderRecord]:
    """Return orders from their lines of a snapshot."""
    return [order_record(order) for order in decode_orders(lines)]


def _named(error: Exception) -> Exception:
    """Return what the core refuses as an exception of this package."""
    if isinstance(error, ValueError):
        fault, text = error.args
        return WireError(WireFault(fault), text)
    return SequenceError(str(error))
