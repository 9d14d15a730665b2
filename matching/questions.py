"""Read-only questions to the plain Python engine's state; `core_engine.py` answers the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from domain.commands import Opcode
from domain.errors import RejectReason
from domain.liquidation import liquidation_price_ticks
from domain.order import ListKind, ShardMode, SymbolState
from domain.order_record import DryRun, OrderRecord
from domain.perpetual_record import Holding, ScopeMargin
from domain.risk_commands import MarginMode
from domain.trading_status import StatusReason
from matching.admission import refuse_order
from matching.book import Market, Order
from matching.codec import check_order
from matching.engine_state import ASSET_BITS, EngineState
from matching.list_admission import refuse_list
from matching.order_codec import AskedList, read_list, read_order
from matching.perpetual import Perpetual
from matching.perpetual_state_codec import SeatLine
from matching.scopes import (
    is_gated,
    leaving_units,
    perpetuals,
    required_units,
    scope_of,
    scope_symbol,
)
from matching.views import (
    FrozenView,
    MarketView,
    PerpetualView,
    SymbolView,
    order_record,
)

T = TypeVar("T")


class Questions:
    """What anyone may ask an engine with a `state`; nothing here changes it."""

    state: EngineState

    @property
    def shard(self) -> int:
        """Return the shard's number."""
        return self.state.shard

    @property
    def sequence(self) -> int:
        """Return the number of the last command applied."""
        return self.state.sequence

    @property
    def time_us(self) -> int:
        """Return the time of the last command applied."""
        return self.state.time_us

    @property
    def epoch(self) -> int:
        """Return the epoch of the last `Started`."""
        return self.state.epoch

    def with_sequence(self, ask: Callable[[], T]) -> tuple[int, T]:
        """Return the sequence at which a question is answered, and the answer."""
        return self.sequence, ask()

    @property
    def mode(self) -> ShardMode:
        """Return the shard's mode."""
        return ShardMode(self.state.mode)

    @property
    def status(self) -> StatusReason:
        """Return why the shard's mode is what it is."""
        return self.state.status

    def balances(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Return {(account_id, asset_id): (total, held)} in engine units, without all-zero ones."""
        mask = (1 << ASSET_BITS) - 1
        return {
            (key >> ASSET_BITS, key & mask): (pair[0], pair[1])
            for key, pair in self.state.balances.items()
            if pair[0] or pair[1]
        }

    def account_balances(self, account_id: int) -> dict[int, tuple[int, int]]:
        """Return {asset_id: (total, held)} of one account; all-zero ones left out."""
        state = self.state
        found = {}
        for asset_id in sorted(state.issued):
            total, held = state.balances.get(account_id << ASSET_BITS | asset_id, (0, 0))
            if total or held:
                found[asset_id] = (total, held)
        return found

    def trades(self) -> int:
        """Return how many trades the shard has made since the beginning."""
        return self.state.next_trade - 1

    def fees(self) -> dict[int, int]:
        """Return {asset_id: fees collected} in engine units since the beginning."""
        return dict(self.state.fees)

    def issued(self) -> dict[int, int]:
        """Return {asset_id: credits less debits} in engine units: all totals + fees."""
        return dict(self.state.issued)

    def open_orders(self, account_id: int, symbol_id: int = 0) -> list[OrderRecord]:
        """Return the account's open orders by id, of one market or (0) of all."""
        return [order_record(order) for order in self.state.orders_of(account_id, symbol_id)]

    def order(self, account_id: int, order_id: int = 0, client_key: int = 0) -> OrderRecord | None:
        """Return an open or not yet forgotten order of the account, by id or by client key."""
        state = self.state
        if order_id:
            found = self.remembered(order_id)
        else:
            identity = account_id.to_bytes(8, "little") + client_key.to_bytes(16, "little")
            found = state.window.orders.get(identity)
        return order_record(found) if found is not None and found.account_id == account_id else None

    def remembered(self, order_id: int) -> Order | None:
        """Return the order of that id, open or not yet forgotten."""
        return self.state.orders.get(order_id) or self.state.window.closed.get(order_id)

    def dry_run(self, record: bytes) -> DryRun:
        """Return why an unsequenced PLACE_ORDER or PLACE_ORDER_LIST would be refused now, or not.

        The same checks in the same order as when it is placed, at the time of the last command;
        nothing changes. `WireError` for anything but one such record.
        """
        check_order(record)
        if record[16] == Opcode.PLACE_ORDER_LIST:
            return self._dry_run_list(read_list(record, 0))
        order, surplus = read_order(record, 0)
        if order.identity in self.state.window.orders:
            return DryRun(RejectReason.DUPLICATE_CLIENT_ORDER_ID)
        reason = RejectReason.MALFORMED_COMMAND if surplus else refuse_order(self.state, order)
        if reason:
            return DryRun(reason)
        market = self.state.markets[order.symbol_id]
        budget = order.terms.quote_budget_units
        return DryRun(reason, budget or market.held_units(order))

    def _dry_run_list(self, asked: AskedList) -> DryRun:
        """Return what comes of a list: an OCO holds the larger hold, a bracket its entry's."""
        orders = asked.orders
        for position, order in enumerate(orders, 1):
            if order.identity in self.state.window.orders:
                return DryRun(RejectReason.DUPLICATE_CLIENT_ORDER_ID, 0, position)
        if not asked.is_whole:
            return DryRun(RejectReason.MALFORMED_COMMAND)
        reason, position = refuse_list(self.state, asked)
        if reason:
            return DryRun(reason, 0, position)
        market = self.state.markets[orders[0].symbol_id]
        holding = orders[:1] if asked.kind == ListKind.BRACKET else orders
        return DryRun(reason, max(map(market.held_units, holding)))

    def book(
        self, symbol_id: int, depth: int
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the best `depth` (price_ticks, lots) of bids and of asks; unknown: both empty."""
        market = self.state.markets.get(symbol_id)
        if market is None:
            return [], []
        return market.sides[0].depth(depth), market.sides[1].depth(depth)

    def markets(self) -> list[MarketView]:
        """Return the listed markets with their rules, by id."""
        return [
            MarketView(market.rules, SymbolState(market.state))
            for _, market in sorted(self.state.markets.items())
        ]

    def tiers(self) -> dict[int, int]:
        """Return {account id: fee tier} where it is not 0."""
        return dict(self.state.tiers)

    def symbols(self) -> list[SymbolView]:
        """Return the listed markets by id."""
        return [
            SymbolView(
                symbol_id,
                SymbolState(market.state),
                market.last_ticks,
                sum(map(len, market.open_by_account.values())),
                market.status,
            )
            for symbol_id, market in sorted(self.state.markets.items())
        ]

    def perpetuals(self) -> list[PerpetualView]:
        """Return the perpetual markets by id."""
        return [
            PerpetualView(
                market.rules.symbol_id,
                perpetual.terms,
                perpetual.phase,
                perpetual.index_ticks,
                perpetual.index_time_us,
                perpetual.sources,
                perpetual.mark_ticks,
                perpetual.is_fresh(self.state.time_us),
                perpetual.rate_ppm,
                perpetual.funding_time_us,
                perpetual.open_lots,
            )
            for market, perpetual in perpetuals(self.state)
        ]

    def positions(self, account_id: int) -> list[Holding]:
        """Return what an account has in perpetuals, and chosen for them, by market."""
        return [
            self._position(market, perpetual, account_id)
            for market, perpetual in perpetuals(self.state)
            if perpetual.look(account_id).is_kept
        ]

    def _position(self, market: Market, perpetual: Perpetual, account_id: int) -> Holding:
        symbol_id, seat = market.rules.symbol_id, perpetual.look(account_id)
        exposure = perpetual.exposure(symbol_id, seat)
        scope = scope_of(self.state, account_id, scope_symbol(market, account_id))
        return Holding(
            symbol_id,
            seat.lots,
            seat.cost_units,
            seat.leverage,
            MarginMode(seat.is_isolated),
            seat.margin_units,
            perpetual.mark_ticks,
            exposure.unrealised_units,
            exposure.maintenance_units if seat.lots else 0,
            liquidation_price_ticks(scope, symbol_id) or 0,
        )

    def scope(self, account_id: int, symbol_id: int = 0) -> ScopeMargin:
        """Return an account's cross margin, or (by its market) an isolated position's."""
        found = scope_of(self.state, account_id, symbol_id)
        frozen = self.state.frozen.get((account_id, symbol_id))
        return ScopeMargin(
            symbol_id,
            found.cash_units,
            found.equity_units,
            found.maintenance_units,
            required_units(self.state, account_id, symbol_id),
            leaving_units(self.state, account_id, symbol_id),
            frozen.version if frozen else 0,
            symbol_id == 0 and is_gated(self.state),
        )

    def seats(self) -> list[SeatLine]:
        """Return all seats with a position, cash or choices of their own, by market and account."""
        return [
            SeatLine.of(market.rules.symbol_id, seat)
            for market, perpetual in perpetuals(self.state)
            for _, seat in sorted(perpetual.seats.items())
            if seat.is_kept
        ]

    def frozen(self) -> list[FrozenView]:
        """Return the scopes in liquidation by account and symbol."""
        return [
            FrozenView(*scope, found.version, int.from_bytes(found.key, "little"), found.since_us)
            for scope, found in sorted(self.state.frozen.items())
        ]

    def dust(self) -> int:
        """Return the rounding dust of funding in units of the collateral."""
        return self.state.fund.rounding_units
