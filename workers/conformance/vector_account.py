"""Risk vectors of our own ops: what an account, an order and a market go through by RISK-1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from domain.brackets import Brackets, bracket_table
from domain.circuit_breaker import MarkSample, trip
from domain.index_price import SourcePrice, index_ticks
from domain.insurance import drawdown_ppm
from domain.liquidation import liquidation_price_ticks
from domain.margin import Commitment, Exposure, Scope, initial_units, withdrawable_units
from domain.order_guards import (
    PositionShare,
    RestingReduceOnly,
    is_within_position_limit,
    open_loss_units,
    reduce_only_lots,
    reduce_only_trim,
)
from domain.perpetual_state import PerpetualState, StateTrigger, next_state, rules_of
from domain.position import FLAT, Position, after_fill
from domain.risk_parameters import RiskParameters
from workers.conformance.vector_margin import Outcome, side_of
from workers.conformance.vector_text import (
    Grid,
    Inputs,
    VectorError,
    amount,
    number,
    ppm,
    rate,
    step_of,
    units,
    whole,
)

_SYMBOL = 1


def _brackets(inputs: Inputs) -> Brackets:
    rows = [(units(row["floor"]), ppm(row["mmr"]), ppm(row["imr"])) for row in inputs["brackets"]]
    return bracket_table(rows, units(inputs["cap"]))


def _grid(inputs: Inputs, sizes: Sequence[object]) -> Grid:
    return Grid(number(inputs["tick"]), step_of(map(number, sizes)))


def _exposure(inputs: Inputs, grid: Grid) -> Exposure:
    lots, entry = grid.lots(inputs["size"]), grid.ticks(inputs["entry_price"])
    cost = lots * entry * grid.units_per_tick_lot
    mark = grid.ticks(inputs["mark"])
    return Exposure(_SYMBOL, Position(lots, cost), mark, grid.units_per_tick_lot, _brackets(inputs))


def position_fills(inputs: Inputs) -> Outcome:
    """Return a position after fills, and what they realised."""
    fills = inputs["fills"]
    grid = Grid.of([price for _, price in fills], [size for size, _ in fills])
    position, realised = FLAT, 0
    for size, price in fills:
        lots = grid.lots(size)
        change = after_fill(position, lots, lots * grid.ticks(price) * grid.units_per_tick_lot)
        position = change.position
        realised += change.realised_units
    return {
        "size": grid.size(position.lots),
        "cost_basis": amount(position.cost_units),
        "realised_pnl": amount(realised),
    }


def account_margin(inputs: Inputs) -> Outcome:
    """Return what a scope with one position is worth, and at which mark it is liquidated."""
    exposure = _exposure(inputs, grid := _grid(inputs, [inputs["size"]]))
    scope = Scope(units(inputs["cash"]), (exposure,))
    found = liquidation_price_ticks(scope, _SYMBOL)
    return {
        "notional": amount(scope.notional_units),
        "unrealized_pnl": amount(exposure.unrealised_units),
        "equity": amount(scope.equity_units),
        "maintenance_margin": amount(scope.maintenance_units),
        "liquidation_price": None if found is None else grid.price(found),
    }


def order_margin(inputs: Inputs) -> Outcome:
    """Return the initial margin of a position with its open orders, and what may be withdrawn."""
    grid = _grid(inputs, [inputs["size"], inputs["buys"], inputs["sells"]])
    exposure = _exposure(inputs, grid)
    initial = initial_units(
        Commitment(
            exposure,
            grid.lots(inputs["buys"]),
            grid.lots(inputs["sells"]),
            units(inputs["leverage"], 0),
        )
    )
    scope = Scope(units(inputs["cash"]), (exposure,))
    floor_ppm = ppm(inputs["transfer_floor"])
    return {
        "initial_margin": amount(initial),
        "equity": amount(scope.equity_units),
        "withdrawable": amount(withdrawable_units(scope, initial, floor_ppm)),
    }


def open_loss(inputs: Inputs) -> Outcome:
    """Return what an order loses the moment it fills."""
    grid = Grid.of([inputs["price"], inputs["mark"]], [inputs["size"]])
    found = open_loss_units(
        side_of(inputs["side"]),
        grid.lots(inputs["size"]),
        grid.ticks(inputs["price"]),
        grid.ticks(inputs["mark"]),
        grid.units_per_tick_lot,
    )
    return {"open_loss": amount(found)}


def position_limit(inputs: Inputs) -> Outcome:
    """Return whether a side's notional is within what one account may have."""
    share = PositionShare(ppm(inputs["share"]), units(inputs["free"]))
    allowed = is_within_position_limit(
        units(inputs["side_notional"]), _brackets(inputs), units(inputs["open_interest"]), share
    )
    return {"allowed": allowed}


def reduce_only(inputs: Inputs) -> Outcome:
    """Return how much of a reduce-only order may trade, and which resting ones are cancelled."""
    resting = inputs["resting"]
    sizes = [inputs["position"], inputs["size"], *(order["size"] for order in resting)]
    grid = Grid.of([inputs["mark"], *(order["price"] for order in resting)], sizes)
    orders = [
        RestingReduceOnly(
            units(order["id"], 0), grid.ticks(order["price"]), grid.lots(order["size"])
        )
        for order in resting
    ]
    position, side = grid.lots(inputs["position"]), side_of(inputs["side"])
    closable = reduce_only_lots(position, side, abs(position))
    return {
        "size": grid.size(reduce_only_lots(position, side, grid.lots(inputs["size"]))),
        "cancelled": reduce_only_trim(orders, closable, grid.ticks(inputs["mark"])),
    }


def index_price(inputs: Inputs) -> Outcome:
    """Return the index of sources with their ages in seconds."""
    sources, rules = inputs["sources"], RiskParameters().index
    grid = Grid(number(inputs["tick"]), number("1"))
    prices = [
        SourcePrice(place, grid.ticks(price), -_microseconds(age))
        for place, (price, age) in enumerate(sources)
    ]
    found = index_ticks(prices, 0, rules)
    return {"index": None if found is None else grid.price(found)}


def fund_drawdown(inputs: Inputs) -> Outcome:
    """Return how far a fund is below its highest balance."""
    return {"drawdown": rate(drawdown_ppm(units(inputs["balance"]), units(inputs["highest"])))}


def circuit_breaker(inputs: Inputs) -> Outcome:
    """Return what trips the breaker, of marks with their ages in seconds, oldest first."""
    marks = inputs["marks"]
    grid = Grid.of([price for price, _ in marks], [])
    samples = [MarkSample(-_microseconds(age), grid.ticks(price)) for price, age in marks]
    empty = inputs["empty_for_s"]
    tripped = trip(
        samples,
        0,
        sources=units(inputs["sources"], 0),
        empty_since_us=None if empty is None else -_microseconds(empty),
        rules=RiskParameters().breaker,
    )
    return {"trip": tripped and tripped.name}


def _microseconds(seconds: object) -> int:
    return whole(number(seconds) * 10**6, "an age in microseconds")


def market_state(inputs: Inputs) -> Outcome:
    """Return the states that triggers lead through, and what the last one allows."""
    state, states = _state(inputs["state"]), []
    for name in inputs["triggers"]:
        state = next_state(state, StateTrigger(name))
        states.append(state.name)
    rules = rules_of(state)
    return {
        "states": states,
        "new_orders": str(rules.new_orders),
        "liquidations": str(rules.liquidations),
        "funding": str(rules.funding),
        "withdrawals": str(rules.withdrawals),
    }


def _state(name: object) -> PerpetualState:
    if name not in PerpetualState.__members__:
        raise VectorError(f"{name!r} is no state of a market")
    return PerpetualState[str(name)]


ADAPTERS: dict[str, Callable[[Inputs], dict[str, Any]]] = {
    "position_fills": position_fills,
    "account_margin": account_margin,
    "order_margin": order_margin,
    "open_loss": open_loss,
    "position_limit": position_limit,
    "reduce_only": reduce_only,
    "index_price": index_price,
    "fund_drawdown": fund_drawdown,
    "circuit_breaker": circuit_breaker,
    "market_state": market_state,
}
