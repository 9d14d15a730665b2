"""Risk vectors of margin, liquidation and the insurance fund, as calls of `domain/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from domain.brackets import bracket_table, maintenance_units, next_amount_units
from domain.insurance import drawdown_stop, may_pay, takeover_lots
from domain.liquidation import (
    RiskRefusal,
    bankruptcy_quote_units,
    insurance_delta_units,
    last_safe_mark_ticks,
    limit_price_ticks,
    partial_lots,
    slice_limits,
)
from domain.margin import (
    Commitment,
    Exposure,
    OpenInterest,
    Scope,
    initial_units,
    is_liquidatable,
    scaled_imr_ppm,
)
from domain.money import PPM, ceil_ppm
from domain.order import Side
from domain.position import Position
from domain.rounding import truncate_div
from workers.conformance.vector_text import (
    MONEY_DECIMALS,
    Grid,
    Inputs,
    Markets,
    VectorError,
    amount,
    flat_brackets,
    number,
    ppm,
    rate,
    units,
    whole,
)

Outcome = dict[str, Any]

_SYMBOL = 1
_LIQUIDATION_GRID = (8, 14)  # decimals of the tick and of money where a price is solved for
_PARTIAL_GRID = (12, 18)  # decimals of the lot and of money where a size is solved for


def sign_of(side: object) -> int:
    """Return +1 for "long", -1 for "short"."""
    if side not in ("long", "short"):
        raise VectorError(f"{side!r} is neither long nor short")
    return 1 if side == "long" else -1


def side_of(side: object) -> Side:
    """Return the side called "buy" or "sell"."""
    if side not in ("buy", "sell"):
        raise VectorError(f"{side!r} is neither buy nor sell")
    return Side.BUY if side == "buy" else Side.SELL


def margin_requirements(inputs: Inputs) -> Outcome:
    """Return IM and MM of one position."""
    grid = Grid.of([inputs["mark"]], [inputs["size"]])
    exposure = Exposure(
        _SYMBOL,
        Position(grid.lots(inputs["size"])),
        grid.ticks(inputs["mark"]),
        grid.units_per_tick_lot,
        flat_brackets(ppm(inputs["mmr"]), imr_ppm=ppm(inputs["imr"])),
    )
    interest = OpenInterest()
    if "open_interest" in inputs:
        lower, upper = map(units, inputs["oi_notional_caps"])
        notional = number(inputs["open_interest"]) * number(inputs["mark"]) * 10**MONEY_DECIMALS
        interest = OpenInterest(whole(notional, "the open interest"), lower, upper)
    leverage = PPM  # as much as the bracket allows
    initial = initial_units(Commitment(exposure, leverage=leverage, open_interest=interest))
    return {
        "initial_margin": amount(initial),
        "maintenance_margin": amount(exposure.maintenance_units),
    }


def oi_scaled_imr(inputs: Inputs) -> Outcome:
    """Return the initial rate of a crowded market."""
    return {"imr": rate(_scaled(inputs))}


def _scaled(inputs: Inputs) -> int:
    names = ("oi_notional", "oi_lower_cap", "oi_upper_cap")
    interest = OpenInterest(*(units(inputs.get(name, "0")) for name in names))
    return scaled_imr_ppm(ppm(inputs["base_imr"]), interest)


def initial_margin_minor_units(inputs: Inputs) -> Outcome:
    """Return the initial margin of a notional in minor units."""
    notional = units(inputs["notional_minor"], 0)
    return {"initial_margin_minor": ceil_ppm(notional, _scaled(inputs))}


def maintenance_amount_step(inputs: Inputs) -> Outcome:
    """Return the maintenance amount of a bracket from the one before."""
    found = next_amount_units(
        units(inputs["floor"]),
        ppm(inputs["mmr"]),
        ppm(inputs["mmr_prev"]),
        units(inputs["amount_prev"]),
    )
    return {"maintenance_amount": None if found is None else amount(found)}


def maintenance_amount_table(inputs: Inputs) -> Outcome:
    """Return the maintenance amounts of a whole table."""
    rows = [(units(row["floor"]), ppm(row["mmr"]), PPM) for row in inputs["brackets"]]
    table = bracket_table(rows, rows[-1][0] + 1)
    return {"maintenance_amounts": [amount(row.amount_units) for row in table.rows]}


def maintenance_margin_marginal(inputs: Inputs) -> Outcome:
    """Return MM by bracket and amount, which must be the sum over the brackets."""
    floors = [0, *(units(row["cap"]) for row in inputs["brackets"])]
    rows = [
        (floor, ppm(row["mmr"]), PPM)
        for floor, row in zip(floors, inputs["brackets"], strict=False)
    ]
    table = bracket_table(rows, floors[-1])
    return {"maintenance_margin": amount(maintenance_units(units(inputs["notional"]), table))}


def trigger(inputs: Inputs) -> Outcome:
    """Return whether an account is liquidated."""
    return {"liquidatable": is_liquidatable(Markets([inputs], {}).scope(inputs))}


def liquidation_price(inputs: Inputs) -> Outcome:
    """Return the liquidation price, on a fine grid."""
    tick, decimals = _LIQUIDATION_GRID
    entry, size = number(inputs["entry_price"]), number(inputs["size"])
    lot = Grid.of(["1"], [inputs["size"]]).lot
    grid = Grid(Fraction(1, 10**tick), lot, decimals)
    sign = sign_of(inputs["side"])
    cost = whole(entry * size * 10**decimals, "the cost")
    spare = units(inputs["wallet_balance"], decimals)
    spare -= units(inputs.get("other_maintenance_margin", "0"), decimals)
    spare += units(inputs.get("other_unrealized_pnl", "0"), decimals)
    brackets = flat_brackets(ppm(inputs["mmr"]), units(inputs["maintenance_amount"], decimals))
    position = Position(sign * grid.lots(inputs["size"]), sign * cost)
    found = last_safe_mark_ticks(spare, position, grid.units_per_tick_lot, brackets)
    return {"liquidation_price": None if found is None else grid.price(found)}


def bankruptcy_quote(inputs: Inputs) -> Outcome:
    """Return the quote at which the closed part's share of equity is used up."""
    found = _bankruptcy(inputs, inputs["close"]["symbol"], inputs["close"]["delta"])
    return refused(found) if isinstance(found, RiskRefusal) else {"quote": amount(found)}


def _bankruptcy(account: Inputs, symbol: str, delta: object) -> int | RiskRefusal:
    markets = Markets([account], {symbol: [delta]})
    lots = markets.grid(symbol).lots(delta)
    return bankruptcy_quote_units(markets.scope(account), markets.symbol_id(symbol), lots)


def refused(reason: RiskRefusal) -> Outcome:
    """Return a refusal as the cases write it."""
    return {"error": str(reason)}


def bankruptcy_price_isolated(inputs: Inputs) -> Outcome:
    """Return the bankruptcy price of a lone position: its bankruptcy quote over its size."""
    grid = Grid.of([inputs["entry_price"]], [inputs["size"]])
    lots = sign_of(inputs["side"]) * grid.lots(inputs["size"])
    entry = grid.ticks(inputs["entry_price"])
    position = Position(lots, lots * entry * grid.units_per_tick_lot)
    exposure = Exposure(_SYMBOL, position, entry, grid.units_per_tick_lot, flat_brackets(PPM // 2))
    scope = Scope(units(inputs["margin"]), (exposure,))
    found = bankruptcy_quote_units(scope, _SYMBOL, -lots)
    if isinstance(found, RiskRefusal):
        return refused(found)
    return {"bankruptcy_price": amount(found) / grid.size(lots)}


def liquidation_limit_price(inputs: Inputs) -> Outcome:
    """Return the limit price of a liquidation order."""
    tick = number(inputs["tick"])
    grid = Grid(tick, Grid.of(["1"], [inputs["size"]]).lot)
    found = limit_price_ticks(
        side_of(inputs["close_side"]),
        units(inputs["bankruptcy_quote"]),
        abs(grid.lots(inputs["size"])),
        grid.units_per_tick_lot,
    )
    return {"limit_price": None if found is None else grid.price(found)}


def liquidation_insurance_delta(inputs: Inputs) -> Outcome:
    """Return what a liquidation fill brings the fund.

    A fill's quote that is finer than the money unit, which our grid never makes, is truncated.
    """
    fill = inputs["fill"]
    sign = 1 if side_of(fill["side"]) is Side.SELL else -1
    quote = sign * number(fill["size"]) * number(fill["price"]) * 10**MONEY_DECIMALS
    if quote == 0:
        return refused(RiskRefusal.ZERO_FILL)
    bankruptcy = _bankruptcy(inputs, fill["symbol"], str_of(-sign * number(fill["size"])))
    if isinstance(bankruptcy, RiskRefusal):
        return refused(bankruptcy)
    delta = insurance_delta_units(
        truncate_div(quote.numerator, quote.denominator),
        bankruptcy,
        ppm(inputs["max_liquidation_fee_rate"]),
    )
    return {"insurance_delta": amount(delta)}


def str_of(value: Fraction) -> str:
    """Return a number with at most 30 decimals as decimal text."""
    digits = whole(value * 10**30, "a size")
    sign, magnitude = ("-", -digits) if digits < 0 else ("", digits)
    return f"{sign}{magnitude // 10**30}.{magnitude % 10**30:030d}"


def insurance_delta_allowed(inputs: Inputs) -> Outcome:
    """Return whether the fund may take a delta."""
    return {"valid": may_pay(units(inputs["balance"]), units(inputs["delta"]))}


def insurance_takeover_size(inputs: Inputs) -> Outcome:
    """Return how much the fund takes of a lone position that is used up at a price."""
    grid = Grid.of([inputs["mark"], inputs["bankruptcy_price"]], [inputs["size"]])
    grid = replace(grid, lot=number(inputs["lot"]))
    lots = sign_of(inputs["side"]) * grid.lots(inputs["size"])
    position = Position(lots, lots * grid.ticks(inputs["bankruptcy_price"]))
    position = replace(position, cost_units=position.cost_units * grid.units_per_tick_lot)
    exposure = Exposure(
        _SYMBOL,
        position,
        grid.ticks(inputs["mark"]),
        grid.units_per_tick_lot,
        flat_brackets(PPM // 2),
    )
    found = takeover_lots(
        Scope(0, (exposure,)),
        _SYMBOL,
        balance_units=units(inputs["balance"]),
        fund_lots=0,
        cap_ppm=ppm(inputs["max_notional_ratio"]),
    )
    if isinstance(found, RiskRefusal):
        return refused(found)
    return {"takeover": grid.size(found), "to_adl": grid.size(abs(lots) - found)}


def adl_trigger(inputs: Inputs) -> Outcome:
    """Return whether the fund's balance or drawdown begins auto-deleveraging."""
    reason = drawdown_stop(
        units(inputs["balance"]),
        ppm(inputs["pnl_ratio"]),
        threshold_units=units(inputs["trigger_threshold"]),
        stop_ppm=ppm(inputs["insurance_pnl_ratio"]),
    )
    return {"adl": reason is not None, "reason": reason and str(reason)}


def partial_liquidation_size(inputs: Inputs) -> Outcome:
    """Return the size to close, on a grid so fine that the last lot is below the tolerance.

    A collateral that is worth less than its face makes each unit of quote free less margin.
    """
    lot, decimals = _PARTIAL_GRID
    mark = number(inputs["mark"]) * number(inputs.get("quote_price", "1"))
    grid = Grid(Grid.of([str_of(mark)], []).tick, Fraction(1, 10**lot), decimals)
    rate_ppm = ppm(inputs["mmr"])
    rate_ppm -= ppm(inputs["liquidation_fee"]) + ppm(inputs["insurance_fee"])
    exposure = Exposure(
        _SYMBOL,
        Position(10**30),
        whole(mark / grid.tick, "the mark"),
        grid.units_per_tick_lot,
        flat_brackets(ppm(inputs["mmr"])),
    )
    shortage = units(inputs["margin_shortage"], decimals)
    return {"size": grid.size(partial_lots(exposure, shortage, rate_ppm, 0))}


def partial_liquidation_end_to_end(inputs: Inputs) -> Outcome:
    """Return an account after the partial size was closed at mark, with its fees."""
    grid = Grid.of([inputs["mark"]], [inputs["lot"], inputs["size"]])
    grid = replace(grid, lot=number(inputs["lot"]))
    keep, fees = ppm(inputs["mmr"]) + ppm(inputs["buffer"]), ppm(inputs["insurance_fee"])
    exposure = Exposure(
        _SYMBOL,
        Position(grid.lots(inputs["size"])),
        grid.ticks(inputs["mark"]),
        grid.units_per_tick_lot,
        flat_brackets(ppm(inputs["mmr"])),
    )
    cash = units(inputs["quote_balance"])
    all_fees = fees + ppm(inputs["liquidation_fee"])
    shortage = ceil_ppm(exposure.notional_units, keep) - (cash + exposure.value_units)
    closed = partial_lots(exposure, shortage, keep - all_fees, 0)
    lot_units = exposure.mark_ticks * grid.units_per_tick_lot
    sign = 1 if exposure.position.lots > 0 else -1
    left = exposure.position.lots - sign * closed
    cash += sign * closed * lot_units - ceil_ppm(closed * lot_units, all_fees)
    return {
        "closed": grid.size(closed),
        "remaining": grid.size(left),
        "quote_balance": amount(cash),
        "insurance_income": amount(ceil_ppm(closed * lot_units, fees)),
        "equity": amount(cash + left * lot_units),
        "requirement": amount(ceil_ppm(abs(left) * lot_units, keep)),
    }


def slice_range(inputs: Inputs) -> Outcome:
    """Return the least and the most that a slice may close."""
    limits = slice_limits(
        units(inputs["notional"]), units(inputs["min_notional"]), ppm(inputs["max_portion"])
    )
    return {"min": amount(limits.min_units), "max": amount(limits.max_units)}


ADAPTERS: dict[str, Callable[[Inputs], Outcome]] = {
    "margin_requirements": margin_requirements,
    "oi_scaled_imr": oi_scaled_imr,
    "initial_margin_minor_units": initial_margin_minor_units,
    "maintenance_amount_step": maintenance_amount_step,
    "maintenance_amount_table": maintenance_amount_table,
    "maintenance_margin_marginal": maintenance_margin_marginal,
    "is_liquidatable": trigger,
    "liquidation_price": liquidation_price,
    "bankruptcy_quote": bankruptcy_quote,
    "bankruptcy_price_isolated": bankruptcy_price_isolated,
    "liquidation_limit_price": liquidation_limit_price,
    "liquidation_insurance_delta": liquidation_insurance_delta,
    "insurance_delta_allowed": insurance_delta_allowed,
    "insurance_takeover_size": insurance_takeover_size,
    "adl_trigger": adl_trigger,
    "partial_liquidation_size": partial_liquidation_size,
    "partial_liquidation_end_to_end": partial_liquidation_end_to_end,
    "slice_limits": slice_range,
}
