"""What a client should know about a refusal that the engine's reason alone does not say."""

from __future__ import annotations

from api.errors import Problem
from api.ports import EngineAway
from api.services import Services
from api.trading_balances import balance_of
from api.trading_state import market_state, trading_statuses
from domain.commands import AmendOrder, Command, PlaceOrder, PlaceOrderList
from domain.market import Market
from domain.order import Side

_CLOSED = frozenset(
    {"shard_halted", "shard_cancel_only", "symbol_halted", "symbol_cancel_only", "symbol_delisted"}
)
_MARGIN_NEEDED = (
    "Equity has to cover the initial margin, and what the order would lose at once at mark: what "
    "it takes counts at the prices of the orders that it meets, what then rests at its limit."
)


async def explained(
    services: Services, problem: Problem, market: Market, command: Command
) -> Problem:
    """Return the problem with what is closed, where else funds are, or what margin is for."""
    if problem.code in _CLOSED:
        return await closed(services, problem, market.shard, market.instrument.symbol_id)
    if problem.code == "insufficient_margin" and isinstance(command, PlaceOrder):
        return problem.with_extra({}, _MARGIN_NEEDED)
    if problem.code != "insufficient_funds":
        return problem
    if isinstance(command, PlaceOrder | PlaceOrderList):
        order = command.orders[0] if isinstance(command, PlaceOrderList) else command
        return await _short(services, problem, market, (order.account_id, order.side), "the order")
    if isinstance(command, AmendOrder):
        return await _short_of_amend(services, problem, market, command)
    return problem


async def _short_of_amend(
    services: Services, problem: Problem, market: Market, amend: AmendOrder
) -> Problem:
    """Tell what is free; what the order holds already counts as free for its amend."""
    door = services.door(market.shard)
    try:
        order = await door.order(amend.account_id, amend.order_id, amend.client_key)
    except EngineAway:
        return problem
    if order is None:
        return problem
    what = "the amended order, which keeps what it holds,"
    return await _short(services, problem, market, (amend.account_id, order.side), what)


async def closed(services: Services, problem: Problem, shard: int, symbol_id: int = 0) -> Problem:
    """Return the problem with who closed the market (0: the shard), where that is the problem.

    It is asked a moment later: `since_sequence` tells which change it is.
    """
    if problem.code not in _CLOSED:
        return problem
    status = (await trading_statuses(services, [shard]))[shard]
    if status is None:
        return problem
    _, why = market_state(status, symbol_id)
    detail = f"{problem.kind.title}: {why.reason}" if why.reason else problem.kind.title
    extra = {"cause": why.cause.name.lower(), "since_sequence": why.sequence}
    return problem.with_extra(extra, detail)


async def _short(
    services: Services, problem: Problem, market: Market, whose: tuple[int, Side], what: str
) -> Problem:
    """Tell what the customer has free here, and on other shards, where a transfer brings it from.

    What margin needs is not free to a spot order, as it is not to a withdrawal.

    `whose` are account and side of the order, and `what` is what needs more.

    The balances are those of a moment later.
    """
    instrument, (account_id, side) = market.instrument, whose
    asset = instrument.quote if side is Side.BUY else instrument.base
    free: dict[int, int] = {}
    for shard in sorted(services.doors):
        try:
            balance = await balance_of(services, shard, account_id, asset)
        except Problem:  # its engine is away
            continue
        is_here = shard == market.shard  # from elsewhere it would have to leave first
        free[shard] = balance.spendable_units if is_here else balance.withdrawable_units
    here = free.pop(market.shard, None)
    if here is None:
        return problem
    available = asset.engine_text(here)
    detail = f"You have {available} {asset.code} free"
    extra = {"asset": asset.code, "shard": market.shard, "available": available}
    found = [
        {"shard": shard, "available": asset.engine_text(units)}
        for shard, units in free.items()
        if units
    ]
    if not found:
        needs = f"{what} with its fee needs" if side is Side.BUY else f"{what} needs"
        return problem.with_extra(extra, f"{detail}; {needs} more.")
    places = ", ".join(f"{place['available']} on shard {place['shard']}" for place in found)
    detail = (
        f"{detail} on shard {market.shard}, where {instrument.symbol} trades, and elsewhere: "
        f"{places}. POST /v1/transfers moves it."
    )
    return problem.with_extra({**extra, "elsewhere": found}, detail)
