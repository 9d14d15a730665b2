"""Scopes of the reference engine: what backs a position, what its margin needs, what is free.

A scope is named by account and symbol: 0 is the account's cross margin with all its positions in
it, else the isolated position in that market. All formulas are `domain/margin.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from domain.errors import RejectReason
from domain.margin import (
    Commitment,
    Scope,
    initial_units,
    margin_shortage_units,
    withdrawable_units,
)
from domain.money import ceil_ppm
from domain.order import ShardMode, Side
from domain.order_guards import open_loss_units
from domain.perpetual_state import gated_units, rules_of
from matching.book import Market, Order
from matching.command_keys import NO_KEY
from matching.engine_state import EngineState
from matching.perpetual import REDUCES, Perpetual, Seat


class Prospect(NamedTuple):
    """What an order would come to: the lots that trade at once, and those that count at its limit.

    `loss_units` is what the former lose against the mark, of each fill at least 0.
    """

    taken_lots: int
    loss_units: int
    left_lots: int

    @property
    def lots(self) -> int:
        """Return all lots that count."""
        return self.taken_lots + self.left_lots


class Wanted(NamedTuple):
    """An order that is asked for, what it comes to: `more_lots` more of its side than now."""

    market: Market
    order: Order
    more_lots: int
    prospect: Prospect


def perpetuals(state: EngineState) -> Iterator[tuple[Market, Perpetual]]:
    """Yield the perpetual markets by id."""
    for _, market in sorted(state.markets.items()):
        if market.perpetual is not None:
            yield market, market.perpetual


def perpetual_of(market: Market | None) -> tuple[Market, Perpetual] | RejectReason:
    """Return a market with its perpetual, or why a command about one cannot mean it."""
    if market is None:
        return RejectReason.UNKNOWN_SYMBOL
    if market.perpetual is None:
        return RejectReason.NOT_A_PERPETUAL
    return market, market.perpetual


def perpetual_for_key(
    state: EngineState, market: Market | None, key: bytes
) -> tuple[Market, Perpetual] | RejectReason:
    """Return the same for a command that needs a key and a shard that is not halted."""
    if key == NO_KEY:
        return RejectReason.MALFORMED_COMMAND
    found = perpetual_of(market)
    if not isinstance(found, RejectReason) and state.mode == ShardMode.HALTED:
        return RejectReason.SHARD_HALTED
    return found


def scope_symbol(market: Market, account_id: int) -> int:
    """Return which scope an account's position in a market belongs to."""
    assert market.perpetual is not None
    isolated = market.perpetual.look(account_id).is_isolated
    return market.rules.symbol_id if isolated else 0


def members(
    state: EngineState, account_id: int, symbol_id: int
) -> list[tuple[Market, Perpetual, Seat]]:
    """Return the used seats of a scope, by market."""
    found = []
    for market, perpetual in perpetuals(state):
        seat = perpetual.look(account_id)
        if seat.is_used and scope_symbol(market, account_id) == symbol_id:
            found.append((market, perpetual, seat))
    return found


def cash_units(state: EngineState, account_id: int, symbol_id: int) -> int:
    """Return a scope's cash; it may be negative against unrealised profit."""
    if symbol_id == 0:
        return state.total_units(account_id, state.collateral)
    perpetual = state.markets[symbol_id].perpetual
    assert perpetual is not None
    return perpetual.look(account_id).margin_units


def held_units(state: EngineState, account_id: int, symbol_id: int) -> int:
    """Return what of a scope's cash open spot orders hold."""
    return 0 if symbol_id else state.held_units(account_id, state.collateral)


def add_cash(state: EngineState, market: Market, seat: Seat, units: int) -> None:
    """Add to the cash that backs a seat."""
    if seat.is_isolated:
        seat.margin_units += units
    else:
        state.balance(seat.account_id, market.rules.quote_asset_id)[0] += units


def scope_of(state: EngineState, account_id: int, symbol_id: int) -> Scope:
    """Return a scope's cash and positions, valued at their marks."""
    exposures = tuple(
        perpetual.exposure(market.rules.symbol_id, seat)
        for market, perpetual, seat in members(state, account_id, symbol_id)
        if seat.lots
    )
    return Scope(cash_units(state, account_id, symbol_id), exposures)


def required_units(
    state: EngineState, account_id: int, symbol_id: int, wanted: Wanted | None = None
) -> int:
    """Return the initial margin of a scope and what its orders lose at once where they fill.

    Of each market: IM by the worse side, and the worse side's open losses. `wanted` is counted as
    if it stood in its book.
    """
    seats = members(state, account_id, symbol_id)
    if wanted is not None and all(market is not wanted.market for market, _, _ in seats):
        perpetual = wanted.market.perpetual
        assert perpetual is not None
        seats.append((wanted.market, perpetual, perpetual.look(account_id)))
    return sum(
        _seat_units(*seat, wanted if wanted is not None and wanted.market is seat[0] else None)
        for seat in seats
    )


def _seat_units(market: Market, perpetual: Perpetual, seat: Seat, wanted: Wanted | None) -> int:
    lots = list(seat.adding)
    if wanted is not None:
        lots[wanted.order.side] += wanted.more_lots
    interest = perpetual.terms.open_interest(perpetual.notional_units(perpetual.open_lots))
    commitment = Commitment(
        perpetual.exposure(market.rules.symbol_id, seat), lots[0], lots[1], seat.leverage, interest
    )
    losses = [0, 0]
    for order in market.open_by_account.get(seat.account_id, {}).values():
        is_wanted = wanted is not None and wanted.order.order_id == order.order_id
        if not order.is_outside and not order.flags & REDUCES and not is_wanted:
            losses[order.side] += _loss(perpetual, order, order.quantity_lots - order.filled_lots)
    if wanted is not None:
        found = wanted.prospect
        losses[wanted.order.side] += _loss(perpetual, wanted.order, found.left_lots)
        losses[wanted.order.side] += found.loss_units
    return initial_units(commitment) + max(losses)


def _loss(perpetual: Perpetual, order: Order, lots: int) -> int:
    units = perpetual.units_per_tick_lot
    return open_loss_units(Side(order.side), lots, order.limit_ticks, perpetual.mark_ticks, units)


def fee_reserve_units(state: EngineState, wanted: Wanted) -> int:
    """Return the fee of an order at the worse of limit and mark, rounded up."""
    market, order, _, found = wanted
    perpetual = market.perpetual
    assert perpetual is not None
    price = max(order.limit_ticks, perpetual.mark_ticks)
    rates = market.rules.fees[state.tier(order.account_id)]
    return ceil_ppm(price * perpetual.units_per_tick_lot * found.lots, rates.taker_ppm)


def spare_units(state: EngineState, account_id: int, symbol_id: int) -> int:
    """Return what a scope's equity leaves to margin: less what spot orders hold."""
    equity = scope_of(state, account_id, symbol_id).equity_units
    return equity - held_units(state, account_id, symbol_id)


def shortage_units(state: EngineState, account_id: int, symbol_id: int) -> int:
    """Return MM + buffers - equity; a liquidation ends where this is not above 0.

    Each position's buffer is its market's, rounded up.
    """
    buffers = sum(
        ceil_ppm(abs(perpetual.notional_units(seat.lots)), perpetual.terms.exit_buffer_ppm)
        for _, perpetual, seat in members(state, account_id, symbol_id)
    )
    return margin_shortage_units(scope_of(state, account_id, symbol_id), 0) + buffers


def marks_are_fresh(state: EngineState, account_id: int, symbol_id: int) -> bool:
    """Return whether all marks that value a scope are fresh."""
    return all(
        perpetual.is_fresh(state.time_us)
        for _, perpetual, seat in members(state, account_id, symbol_id)
        if seat.lots
    )


def leaving_units(state: EngineState, account_id: int, symbol_id: int) -> int:
    """Return what may leave a scope now, not counting what spot orders hold.

    min(cash, equity - max(required, transfer floors x notional)), within the markets' gates
    """
    seats = members(state, account_id, symbol_id)
    scope = scope_of(state, account_id, symbol_id)
    required = required_units(state, account_id, symbol_id)
    floors = sum(
        ceil_ppm(abs(perpetual.notional_units(seat.lots)), perpetual.terms.transfer_floor_ppm)
        for _, perpetual, seat in seats
    )
    return gated_units(
        withdrawable_units(scope, max(required, floors), 0),
        scope.cash_units,
        required,
        [rules_of(perpetual.phase).withdrawals for _, perpetual, seat in seats if seat.lots],
        is_liquidating=state.is_frozen(account_id, symbol_id),
        marks_are_fresh=marks_are_fresh(state, account_id, symbol_id),
    )


def is_gated(state: EngineState) -> bool:
    """Return whether an uncovered loss keeps the collateral of all accounts in the shard."""
    return any(perpetual.gates_collateral for _, perpetual in perpetuals(state))


def free_units(state: EngineState, account_id: int, asset_id: int) -> int:
    """Return what an account may spend of an asset; of collateral what its margin leaves."""
    free = state.free_units(account_id, asset_id)
    if asset_id != state.collateral:
        return free
    if not members(state, account_id, 0) and not state.is_frozen(account_id, 0):
        return free
    return leaving_units(state, account_id, 0) - state.held_units(account_id, asset_id)
