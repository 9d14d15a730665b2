"""Risk vectors of mark price, funding, price band and auto-deleveraging, as calls of `domain/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from domain.auto_deleveraging import (
    Ranked,
    adl_lights,
    adl_score_ppm,
    allocate,
    deleverage,
    rank,
    settle_pair,
)
from domain.funding import (
    funding_batch,
    funding_cap_ppm,
    funding_rate_ppm,
    funding_since,
    funding_units,
)
from domain.liquidation import RiskRefusal
from domain.margin import Scope
from domain.mark_price import (
    Basis,
    FundingClock,
    ImpactPrice,
    impact_price,
    mark_ticks,
    premium_average_ppm,
    premium_ppm,
)
from domain.money import floor_ppm
from domain.order_guards import is_beyond_band, market_limit_ticks, price_band
from workers.conformance.vector_margin import Outcome, refused, side_of, sign_of
from workers.conformance.vector_text import (
    Grid,
    Inputs,
    Markets,
    VectorError,
    amount,
    number,
    ppm,
    quote_balance,
    rate,
    units,
)

_FINEST_TICK = 2  # decimals, where a price is not one of the case's own


def impact(inputs: Inputs) -> Outcome:
    """Return the exact average price of an impact notional."""
    levels = inputs["levels"]
    grid = Grid.of([price for price, _ in levels], [size for _, size in levels])
    found = _impact(grid, levels, inputs["impact_notional"])
    exact = None if found is None else Fraction(found.numerator, found.divisor) * grid.tick
    return {"impact_price": exact}


def _impact(grid: Grid, levels: Sequence[Any], notional: object) -> ImpactPrice | None:
    book = [(grid.ticks(price), grid.lots(size)) for price, size in levels]
    return impact_price(book, units(notional), grid.units_per_tick_lot)


def premium_index(inputs: Inputs) -> Outcome:
    """Return one premium sample."""
    levels = [*inputs["bids"], *inputs["asks"]]
    prices = [inputs["index"], *(price for price, _ in levels)]
    grid = Grid.of(prices, [size for _, size in levels])
    found = premium_ppm(
        _impact(grid, inputs["bids"], inputs["impact_notional"]),
        _impact(grid, inputs["asks"], inputs["impact_notional"]),
        grid.ticks(inputs["index"]),
        ppm(inputs["max_abs_premium"]),
    )
    return {"premium_ppm": found}


def premium_average(inputs: Inputs) -> Outcome:
    """Return the mean of samples."""
    samples = [(units(value, 0), units(count, 0)) for value, count in inputs["samples"]]
    return {"premium_ppm": premium_average_ppm(samples, units(inputs["expected_count"], 0))}


def mark(inputs: Inputs) -> Outcome:
    """Return the mark price."""
    prices = [inputs["index"], inputs["last"], inputs["ma_basis"]]
    grid = Grid.of(prices, [], finest=_FINEST_TICK)
    clock = FundingClock(
        ppm(inputs["last_funding_rate"]),
        units(inputs["seconds_to_funding"], 0),
        units(inputs["interval_s"], 0),
    )
    basis = Basis(2 * grid.ticks(inputs["ma_basis"]), 1)
    found = mark_ticks(grid.ticks(inputs["index"]), clock, basis, grid.ticks(inputs["last"]))
    return {"mark": grid.price(found)}


def band(inputs: Inputs) -> Outcome:
    """Return the price band and what it says to an order."""
    order = inputs["order"]
    prices = [inputs["mark"], *([order["price"]] if "price" in order else [])]
    grid = Grid.of(prices, [], finest=_FINEST_TICK)
    found = price_band(grid.ticks(inputs["mark"]), ppm(inputs["bandwidth"]))
    outcome: Outcome = {"band": [grid.price(found.lowest_ticks), grid.price(found.highest_ticks)]}
    side = side_of(order["side"])
    if order["type"] == "market":
        return {**outcome, "decision": "cap", "limit": grid.price(market_limit_ticks(found, side))}
    beyond = is_beyond_band(found, side, grid.ticks(order["price"]))
    return {**outcome, "decision": "reject" if beyond else "accept"}


def cap(inputs: Inputs) -> Outcome:
    """Return the funding cap; these cases give MM as a fraction of IM."""
    imr = ppm(inputs["imr"])
    mmr = floor_ppm(imr, ppm(inputs["maintenance_fraction"]))
    return {"cap": rate(funding_cap_ppm(ppm(inputs["factor"]), imr, mmr))}


def rate_clamp(inputs: Inputs) -> Outcome:
    """Return the funding rate."""
    premium, interest, damper = (ppm(inputs[name]) for name in ("premium", "interest", "damper"))
    most = ppm(inputs["cap"]) if "cap" in inputs else None
    return {"funding_rate": rate(funding_rate_ppm(premium, interest, damper, most))}


def payment(inputs: Inputs) -> Outcome:
    """Return what a long pays."""
    grid = Grid.of([inputs["mark"]], [inputs["size"]])
    received = funding_units(
        grid.lots(inputs["size"]),
        grid.ticks(inputs["mark"]),
        grid.units_per_tick_lot,
        ppm(inputs["funding_rate"]),
    )
    return {"long_pays_per_position": amount(-received)}


def settlement(inputs: Inputs) -> Outcome:
    """Return funding by the cumulative index."""
    numbers = [units(inputs[name], 0) for name in ("size", "index_at_open", "index_now")]
    return {"settlement": funding_since(*numbers)}


def batch(inputs: Inputs) -> Outcome:
    """Return all entries of a funding, and the dust."""
    positions = inputs["positions"]
    grid = Grid.of([inputs["mark"]], [position["size"] for position in positions])
    found = funding_batch(
        [(place, grid.lots(position["size"])) for place, position in enumerate(positions)],
        grid.ticks(inputs["mark"]),
        grid.units_per_tick_lot,
        ppm(inputs["funding_rate"]),
    )
    entries = [
        {"account": positions[place]["account"], "amount": amount(value)}
        for place, value in found.entries
    ]
    return {"entries": entries, "rounding": amount(found.rounding_units)}


def score(inputs: Inputs) -> Outcome:
    """Return the score of a position of one unit."""
    sign = sign_of(inputs["side"])
    value, cost, bankrupt = (
        sign * units(inputs[name]) for name in ("mark", "entry_price", "bankruptcy_price")
    )
    found = adl_score_ppm(value, cost, value - bankrupt)
    return {"score": None if found is None else rate(found)}


def _ranked(positions: Sequence[Any], *sizes: object) -> tuple[list[Ranked], dict[int, str], Grid]:
    grid = Grid.of(["1"], [*(position["quantity"] for position in positions), *sizes])
    names = dict(enumerate(sorted(position["account"] for position in positions)))
    ids = {name: account_id for account_id, name in names.items()}
    candidates = []
    for position in positions:
        lots = grid.lots(position["quantity"])
        account_id = ids[position["account"]]
        candidates.append(Ranked(account_id, lots, lots, ppm(position["score"])))
    return rank(candidates), names, grid


def quantiles(inputs: Inputs) -> Outcome:
    """Return a side in rank order with its lights."""
    ranked, names, _ = _ranked(inputs["positions"])
    order = [
        {"account": names[one.account_id], "percentile": one.percentile, "lights": one.lights}
        for one in adl_lights(ranked)
    ]
    return {"order": order}


def allocation(inputs: Inputs) -> Outcome:
    """Return who closes how much of a liquidated quantity."""
    wanted = inputs["liquidated_quantity"]
    ranked, names, grid = _ranked(inputs["positions"], wanted)
    closed, left = allocate(ranked, grid.lots(wanted))
    had = {one.account_id: one.lots for one in ranked}
    fills = [
        {
            "account": names[account_id],
            "closed": grid.size(lots),
            "remaining": grid.size(had[account_id] - lots),
            "price": number(inputs["bankruptcy_price"]),
        }
        for account_id, lots in closed
    ]
    return {"fills": fills, "unallocated": grid.size(left)}


def pair(inputs: Inputs) -> Outcome:
    """Return both accounts after one pair."""
    symbol, liquidated, counterparty = (
        inputs[name] for name in ("symbol", "liquidated", "counterparty")
    )
    markets = Markets([liquidated, counterparty], {symbol: [inputs["delta"]]})
    mode = inputs.get("price_mode", "bankruptcy")
    if mode not in ("bankruptcy", "mark"):
        raise VectorError(f"price_mode {mode!r} is neither bankruptcy nor mark")
    grid, symbol_id = markets.grid(symbol), markets.symbol_id(symbol)
    found = settle_pair(
        markets.scope(liquidated),
        markets.scope(counterparty),
        symbol_id,
        grid.lots(inputs["delta"]),
        at_mark=mode == "mark",
    )
    if isinstance(found, RiskRefusal):
        return refused(found)

    def after(scope: Scope) -> Outcome:
        left = scope.of(symbol_id)
        size = grid.size(left.position.lots) if left else Fraction(0)
        return {"quote_balance": quote_balance(scope), "size": size}

    return {"liquidated": after(found.liquidated), "counterparty": after(found.counterparty)}


def run(inputs: Inputs) -> Outcome:
    """Return the fills of a run through candidates in the given order."""
    symbol, candidates = inputs["symbol"], inputs["candidates"]
    markets = Markets([inputs["liquidated"], *candidates], {symbol: [inputs["delta"]]})
    grid = markets.grid(symbol)
    found = deleverage(
        markets.scope(inputs["liquidated"]),
        markets.symbol_id(symbol),
        grid.lots(inputs["delta"]),
        [(place, markets.scope(candidate)) for place, candidate in enumerate(candidates)],
    )
    fills = [
        {
            "account": candidates[place]["account"],
            "size": grid.size(done.lots),
            "quote": amount(done.quote_units),
            "quote_balance_after": quote_balance(done.counterparty),
        }
        for place, done in found.pairs
    ]
    return {"fills": fills, "unallocated": grid.size(found.unallocated_lots)}


ADAPTERS: dict[str, Callable[[Inputs], Outcome]] = {
    "impact_price": impact,
    "premium_index": premium_index,
    "premium_average": premium_average,
    "mark_price": mark,
    "price_band": band,
    "funding_cap": cap,
    "funding_rate_clamp": rate_clamp,
    "funding_payment": payment,
    "funding_settlement": settlement,
    "funding_batch": batch,
    "adl_score": score,
    "adl_quantiles": quantiles,
    "adl_allocate": allocation,
    "adl_settle_pair": pair,
    "adl_run": run,
}
